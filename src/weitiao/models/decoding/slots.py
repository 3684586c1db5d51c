"""Keys and values of rows that come and go, one layer's.

    update(keys)          one more column for every row, written in place
    take_in(keys, sizes)  further rows behind the others, as prefilled, their last tokens in the last column; equal
                          ones are copies of one that was
    leave(places)         rows go; the last ones take their places

Transformers' dynamic layer copies all it holds at every token, and knows no rows that come later.  Rows end in the same
column, so the columns before a shorter row's first token are unused: they are finite, and masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor
from transformers.cache_utils import CacheLayerMixin

AHEAD = 64
"""Columns that are kept free for tokens to come."""


class Slots(CacheLayerMixin):
    """A cache layer of Transformers'; keys (B, K, S, D) and values (B, K, S, E) are views of what is used."""

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()
        self.rows = self.first = self.end = 0
        """Rows in use, and the columns in use: from `first` up to `end`."""

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing: `take_in` makes the room."""

    @property
    def held_bytes(self) -> int:
        """Of all room, used or free."""
        return sum(each.untyped_storage().nbytes() for each in self._room())

    def get_seq_length(self) -> int:
        """Columns in use."""
        return self.end - self.first

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many columns are looked at, and from which on."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """No end is set."""
        return -1

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write the next columns; all that is to be attended to."""
        first, end = self.end, self.end + key_states.shape[2]
        if end > self._room()[0].shape[2]:
            self._lay(self.rows, before=0, behind=end - first + AHEAD)
            first, end = self.end, self.end + key_states.shape[2]
        keys, values = (held[: self.rows] for held in self._room())
        keys[:, :, first:end], values[:, :, first:end] = key_states, value_states
        self.end = end
        return keys[:, :, self.first : end], values[:, :, self.first : end]

    def take_in(self, keys: Tensor, values: Tensor, sizes: Sequence[int], of: Sequence[int]) -> None:
        """Further rows: of keys (N, K, T, D), filled up on the left, of which the last `sizes` columns are used, each
        takes one, that at its place in `of`."""
        if self.keys is None:
            self.keys, self.values = keys[:0, :, :0], values[:0, :, :0]
        longest, rows = max(sizes), self.rows + len(of)
        before = max(0, longest - self.get_seq_length())
        if rows > len(self._room()[0]) or before > self.first:
            self._lay(rows, before=before, behind=AHEAD)
        self.first -= before
        held_keys, held_values = self._room()
        for place, one in enumerate(of, start=self.rows):
            own, theirs = slice(self.end - sizes[one], self.end), slice(keys.shape[2] - sizes[one], None)
            held_keys[place, :, own] = keys[one, :, theirs]
            held_values[place, :, own] = values[one, :, theirs]
        self.rows = rows

    def kept(self, place: int, size: int) -> tuple[Tensor, Tensor]:
        """A copy of the last `size` columns of a row."""
        own = slice(self.end - size, self.end)
        keys, values = (held[place : place + 1, :, own].clone() for held in self._room())
        return keys, values

    def leave(self, moves: Sequence[tuple[int, int]], rows: int, longest: int) -> None:
        """The first `rows` places stay in use, after each (from, to) of `moves`; of columns the last `longest`."""
        used = slice(self.first, self.end)
        for held in self._room():
            for source, goal in moves:
                held[goal, :, used] = held[source, :, used]
        self.rows, self.first = rows, self.end - longest

    def _room(self) -> tuple[Tensor, Tensor]:
        """All that is held, used or free; Transformers' layers may be empty, this one is not: `take_in` came first."""
        return cast("tuple[Tensor, Tensor]", (self.keys, self.values))

    def _lay(self, rows: int, *, before: int, behind: int) -> None:
        """All that is used in a larger room, with free columns on both sides."""
        used = slice(self.first, self.end)
        size = self.get_seq_length()
        for name in ("keys", "values"):
            old: Tensor = getattr(self, name)
            # Zeros, for a masked score may be anything but not a number.
            new = old.new_zeros(rows, old.shape[1], before + size + behind, old.shape[3])
            new[: self.rows, :, before : before + size] = old[: self.rows, :, used]
            setattr(self, name, new)
        self.first, self.end = before, before + size
