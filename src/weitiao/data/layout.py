"""How rows lie beside each other in a forward pass, and which of them may.

    Layout.ALIKE.parts([3, 1, 4], [9, 7, 9])  ->  [[3, 4], [1]]

What a model can do is measured when it is opened (`models.examine`); how rows are stacked and dealt goes by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class Layout(StrEnum):
    """From what is cheapest to what every model can do."""

    PACKED = "packed"
    """End to end in one sequence."""
    PADDED = "padded"
    """Each filled up on the right to the longest."""
    ALIKE = "alike"
    """Beside rows of the same length alone: this model hears its padding."""
    ALONE = "alone"
    """One by one: this model hears whatever is beside a row."""

    @property
    def fills(self) -> bool:
        """Do short rows take the room of the longest?"""
        return self is Layout.PADDED

    def parts(self, rows: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
        """The rows of a batch by forward passes.

        Args:
            rows: which ones, by index.
            lengths: their lengths in tokens, in the same order.
        """
        if self is Layout.ALONE:
            return [[row] for row in rows]
        if self is not Layout.ALIKE:
            return [list(rows)]
        by_length: dict[int, list[int]] = {}
        for row, length in zip(rows, lengths, strict=True):
            by_length.setdefault(length, []).append(row)
        return list(by_length.values())
