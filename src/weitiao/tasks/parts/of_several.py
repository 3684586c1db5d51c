"""What tasks share in whose pictures there are several labels, each in a place of its own: of things, or of pixels.

A model has an output for each of `labels`, in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from weitiao.tasks.parts import label_sets
from weitiao.tasks.parts.pictures import OfPictures


@dataclass(frozen=True)
class OfSeveral(OfPictures):
    """Which of a fixed set of labels are where in a picture?"""

    labels: tuple[str, ...] = ()

    @property
    def tallies(self) -> bool:
        """Its loss is a mean over the things, or the known pixels, of the whole step."""
        return True

    def follow(self, outputs: Sequence[str]) -> Self:
        """The base's order, when its outputs are these labels but for case: then its head knows them."""
        return replace(self, labels=label_sets.in_order_of(self.labels, outputs))

    def classes(self) -> tuple[str, ...]:
        """The labels."""
        return self.labels

    def model_options(self) -> dict[str, Any]:
        """The size of the head and the names of its outputs; nothing before the data told them: no detector opens with none."""
        return label_sets.outputs(self.labels) if self.labels else {}

    @cached_property
    def _index(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.labels)}
