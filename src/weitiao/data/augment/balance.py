"""Class balancing: rows of rare classes are repeated.

a class of n rows gets max(0, ceil(share * N) - n) copies, N rows being the largest class
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from weitiao.core.registry import register
from weitiao.data.augment import Repeats, Share


@register("augmentation", "balance")
@dataclass(frozen=True, kw_only=True)
class Balance(Repeats):
    """Rare classes are brought up to the largest one.

    Augmentations that come after it change the copies; copies that none of them can change, and all of them when it
    comes last, are the plain rows once more.  Last in the list it evens out what the others made, too.
    """

    share: Share = 1.0
    """Rows that every class shall have at least, as a share of the largest class."""

    summary: ClassVar[str] = "rows of rare classes repeated"
    source: ClassVar[str] = "random oversampling, as in Batista et al. 2004"

    def wanted(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Copies by class; a combination of labels counts as a class of its own."""
        # The product is rounded first: 0.07 * 100 is a little above 7, and would ask for 8 rows.
        target = math.ceil(round(self.share * max(counts.values()), 9))
        return {label: max(0, target - rows) for label, rows in counts.items()}
