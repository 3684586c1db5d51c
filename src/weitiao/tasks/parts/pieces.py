"""Words as the tokens of a model, and the token that speaks for each of them.

    Pieces(tokenizer, spaced=True)(["Ada", "Lovelace"])  ->  ids [A, da, Love, lace], first [0, 2]

A word is tokenized by itself, as it stands in a text: behind a space where words are set apart by spaces, without one
where they are characters that stand side by side.  So the same words give the same tokens, whatever the text between
them was.  What speaks for a word is its first token that shows something when it is decoded: many tokenizers put a
mark of the space (`▁`, `Ġ`) before a word as a token of its own, which is the same for all words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

from weitiao.data.around import PROBES, around
from weitiao.data.tokens import Tokens

KEPT = 200_000  # words
NONE = -1
"""In the place of a word's first visible token, where it has none."""


def pieces(processor: Any, *, spaced: bool) -> Pieces:
    """Those of a tokenizer; kept, for making them reads all of its vocabulary, and long rows are cut one by one."""
    return _pieces(processor, len(processor), spaced)


@lru_cache(maxsize=2)
def _pieces(processor: Any, words: int, spaced: bool) -> Pieces:
    return Pieces(processor, spaced=spaced)


class Pieces:
    """Tokenizes rows of words.  Whatever a word spells is characters, a special token too.

    Args:
        processor: a tokenizer of Transformers, fast or not.
        spaced: are words set apart by spaces in the texts that the model knows?
    """

    def __init__(self, processor: Any, *, spaced: bool):
        self._processor, self._spaced = processor, spaced
        self._tokens = Tokens(processor)
        self._known: dict[str, tuple[list[int], int]] = {}

    def __call__(self, words: Sequence[str]) -> tuple[list[int], list[int]]:
        """Ids of all tokens, without those that stand around a row; place of each word's first visible one, or NONE.

        A word of which nothing shows leaves no token.
        """
        texts = [word if place == 0 else self._space + word for place, word in enumerate(words)]
        self._learn(texts)
        ids: list[int] = []
        first = []
        for text in texts:
            own, visible = self._known[text]
            first.append(NONE if visible == NONE else len(ids) + visible)
            ids += own
        return ids, first

    def _learn(self, texts: Sequence[str]) -> None:
        if len(self._known) > KEPT:
            self._known.clear()
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for text, ids in zip(new, self._tokens(new), strict=True):
            mute = self._mute(ids)
            if mute == len(ids):
                self._known[text] = [], NONE
            elif self._spaced:
                self._known[text] = ids, mute
            else:  # no space stands before it, so neither does its mark
                self._known[text] = ids[mute:], 0

    def _mute(self, ids: Sequence[int]) -> int:
        """How many tokens at the beginning of a word show nothing: without them it reads the same.

        Some tokens show something only together (the bytes of a character), so it is the rest that is looked at.
        """
        whole = self._seen(ids)
        if not whole:
            return len(ids)
        return next(place for place in range(len(ids)) if self._seen(ids[place + 1 :]) != whole)

    def _seen(self, ids: Sequence[int]) -> str:
        text = self._processor.decode(list(ids))
        return "".join(c for c in text if c.isprintable() and not c.isspace())

    @cached_property
    def _space(self) -> str:
        """What must stand before a word for it to be read as behind another one: measured on two words."""
        if not self._spaced:
            return ""
        alone, behind, both = (
            self._tokens([before.format(word) for word in PROBES]) for before in ("{0}", " {0}", "{0} {0}")
        )
        if all(a + a == ab for a, ab in zip(alone, both, strict=True)):
            return ""
        return " " if all(a + b == ab for a, b, ab in zip(alone, behind, both, strict=True)) else ""

    @property
    def around(self) -> tuple[Sequence[int], Sequence[int]]:
        """The special tokens that stand before and behind a row."""
        before, behind = around(self._processor)
        return before, behind
