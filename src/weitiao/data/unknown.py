"""What a tokenizer makes of rows: how many tokens, and how many of them stand for what it does not know.

met = Met.of(tokenizer);  met.see([101, 2023, 100, 102])  ->  met.tokens 2, met.unknown 1, met.share 0.5
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

UNKNOWN = 0.01
"""Share of the tokens of the rows above which unknown ones are told."""


class Met:
    """Counts over the ids of rows.

    Args:
        mark: the id that stands for what is not known; None where there is none.
        special: ids that stand for no text, and are left out.
    """

    def __init__(self, mark: int | None, special: Iterable[int] = ()):
        import numpy as np

        self._mark = mark
        self._special = np.asarray(sorted(set(special) - {mark}), dtype=np.int64)
        self.tokens = self.unknown = 0

    @classmethod
    def of(cls, processor: Any) -> Met:
        """For rows that this tokenizer makes ids of."""
        return cls(unknown_id(processor), getattr(processor, "all_special_ids", ()))

    def see(self, ids: ArrayLike) -> None:
        """Count the ids of one row, or of many behind each other."""
        import numpy as np

        ids = np.asarray(ids)
        self.tokens += int((~np.isin(ids, self._special)).sum())
        self.unknown += 0 if self._mark is None else int((ids == self._mark).sum())

    @property
    def share(self) -> float:
        """How much is unknown, 0 to 1."""
        return self.unknown / max(1, self.tokens)


def unknown_id(processor: Any) -> int | None:
    """The token that stands for whatever a tokenizer does not know; None where there is none of its own (GPT-2 names
    the end of a text so, and knows every byte)."""
    found = getattr(processor, "unk_token_id", None)
    roles = (getattr(processor, f"{role}_token_id", None) for role in ("bos", "eos", "cls", "sep"))
    return None if found in roles else found
