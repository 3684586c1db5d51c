"""A question and a context as the tokens of a model, and where in the context each token stands.

    sides(tokenizer).joined(question, ids, places)
        ->  {"input_ids": [CLS where SEP ada lived in london SEP], "begins": [-1 -1 -1 0 4 10 13 -1], "ends": [...]}, 3

Both are tokenised by themselves, so that neither depends on the other, and put between the special tokens that the
tokenizer puts around two texts.  Whatever a text spells is characters, a special token too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from weitiao.core.errors import fault
from weitiao.data.around import PROBES, around
from weitiao.data.plain import plain
from weitiao.data.tokens import Tokens
from weitiao.tasks.parts.answer_spans import OUTSIDE

BESIDE = 4
"""One of so many parts of what a model reads, at least, is left to the context."""


def sides(processor: Any) -> Sides:
    """Those of a tokenizer; kept, for what stands around two texts is measured."""
    return _sides(processor, len(processor))


@lru_cache(maxsize=2)
def _sides(processor: Any, words: int) -> Sides:
    return Sides(processor)


class Sides:
    """Tokenizes questions and contexts.

    Args:
        processor: a fast tokenizer of Transformers.

    Raises:
        WeitiaoError: `no_places` for one that does not say which characters its tokens are.
    """

    def __init__(self, processor: Any):
        if not getattr(processor, "is_fast", False):
            raise fault("no_places", kind=type(processor).__name__)
        self._processor = processor
        self._tokens = Tokens(processor)
        self._before, self._between, self._behind = around(processor, texts=2)
        self._types = self._measured()

    def questions(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each."""
        return self._tokens([text.strip() for text in texts])

    def contexts(self, texts: Sequence[str]) -> dict[str, tuple[list[int], Any]]:
        """The ids of each, and where in it its tokens begin and end, in code points (T, 2)."""
        once = list(dict.fromkeys(texts))
        said = plain(self._processor)(
            once,
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        places = (np.asarray(one, dtype=np.int64).reshape(-1, 2) for one in said["offset_mapping"])
        return dict(zip(once, zip(said["input_ids"], places, strict=True), strict=True))

    def room(self, question: int, *, limit: int) -> int:
        """Tokens of the context that fit beside a question of so many."""
        return max(0, limit - question - len(self._before) - len(self._between) - len(self._behind))

    def least(self, limit: int) -> int:
        """Tokens of the context that must fit, where it is read in windows or cut."""
        return max(1, limit // BESIDE)

    def joined(
        self, question: Sequence[int], ids: Sequence[int], places: Any
    ) -> tuple[dict[str, list[int]], int]:
        """The inputs of a row, and at which place its context begins."""
        parts = (self._before, question, self._between, ids, self._behind)
        row = [token for part in parts for token in part]
        first = len(self._before) + len(question) + len(self._between)
        outside = [OUTSIDE] * first, [OUTSIDE] * len(self._behind)
        begins, ends = ([*outside[0], *places[:, side].tolist(), *outside[1]] for side in (0, 1))
        inputs = {"input_ids": row, "begins": begins, "ends": ends}
        if self._types:
            kinds = [[kind] * len(part) for kind, part in zip(self._types, parts, strict=True)]
            inputs["token_type_ids"] = [kind for part in kinds for kind in part]
        return inputs, first

    def null(self, ids: Sequence[int]) -> int:
        """The place whose scores speak for no answer: that of the token for whole rows, else the first."""
        mark = self._processor.cls_token_id
        found = np.flatnonzero(np.asarray(ids) == (OUTSIDE if mark is None else mark))
        return int(found[0]) if len(found) else 0

    def _measured(self) -> list[int]:
        """The token type of each part of a row; none where the tokenizer gives none."""
        said = plain(self._processor)(PROBES[0], PROBES[1], verbose=False)
        kinds = list(said.get("token_type_ids", ()))
        if not kinds:
            return []
        question, context = self._tokens(list(PROBES[:2]))
        parts = (self._before, question, self._between, context, self._behind)
        begins = np.cumsum([0, *map(len, parts)]).tolist()
        return [kinds[begin] if part else 0 for begin, part in zip(begins, parts, strict=False)]
