"""What a place can hold: which of the exported forms fit.

Budget.read("20MB,50ms").fits({"size_mb": 11.2, "ms": 3.1})  ->  True
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from weitiao.core.errors import fault
from weitiao.core.why import because

PART = re.compile(r"(\d+(?:\.\d+)?)\s*(kb|mb|gb|ms|s)", re.IGNORECASE)
UNITS = {
    "kb": ("size_mb", 1e-3),
    "mb": ("size_mb", 1),
    "gb": ("size_mb", 1e3),
    "ms": ("ms", 1),
    "s": ("ms", 1e3),
}


@dataclass(frozen=True)
class Budget:
    """Limits by the names of `parity.json`."""

    most: Mapping[str, float]

    @classmethod
    def read(cls, words: str) -> Self:
        """`20MB,50ms`: size, CPU time a row, or both.

        Raises:
            WeitiaoError: `wrong_usage`.
        """
        most: dict[str, float] = {}
        for word in words.split(","):
            found = PART.fullmatch(word.strip())
            if not found:
                raise fault("wrong_usage", **because("no_such_budget", word=word.strip()))
            name, times = UNITS[found[2].lower()]
            most[name] = float(found[1]) * times
        return cls(most)

    def fits(self, told: Mapping[str, Any]) -> bool:
        """Is what was measured of a form within it?  What was not measured is not."""
        return all(told[name] is not None and told[name] <= limit for name, limit in self.most.items())
