"""Token ids of many texts, each piece between spaces encoded once.

    Tokens(tokenizer)(["the film was the best", ...])        ->  [[464, 2646, ...], ...]
    Tokens(tokenizer).whole(["the film was the best", ...])  ->  the same, with what stands around a text

A tokenizer's own work is mostly taking texts apart and looking up words that it has met before.  Most tokenizers never
put a space behind other characters of one token, so a text's tokens are those of its pieces, cut before each single
space; the pieces are kept.  Where that does not hold (`_cuts_at_spaces`), the tokenizer gets the whole text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from weitiao.data.plain import NONCHARACTERS
from weitiao.data.plain import plain as as_characters

KEPT = 200_000  # pieces; about 50 MB
LONGEST = 40  # characters of a piece worth keeping; Chinese has hardly any spaces
CUT = re.compile(r"(?<=\S)(?= \S)")
# Pre-tokenizers that end a piece before every single space between two other characters, whatever they are.
CUTTING = {
    "BertPreTokenizer",
    "ByteLevel",
    "Digits",
    "Metaspace",
    "Punctuation",
    "Whitespace",
    "WhitespaceSplit",
}


class Tokens:
    """Encodes texts as `tokenizer(text, add_special_tokens=False)` does.

    Args:
        tokenizer: of Transformers.
        plain: read every text as characters (`data.plain`); else a text may spell special tokens.
    """

    def __init__(self, tokenizer: Any, *, plain: bool = True):
        self._plain = as_characters(tokenizer) if plain else None
        self._tokenizer: Any = self._plain or tokenizer
        self._side = tokenizer.truncation_side
        self._around: tuple[list[int], list[int]] | None = None
        self._fast: Any = None
        read: Any = (self._plain.twin and self._plain.twin.processor) if self._plain else tokenizer
        if getattr(read, "is_fast", False):
            self._fast, self._marks = _copied(read, len(read))
            if self._fast is not None:
                self._pieces, self._spaced = _Kept(self._fast, ""), _Kept(self._fast, " ")

    def whole(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of every text with the special tokens that the tokenizer puts around it."""
        if self._fast is None:
            return self._asked(texts, add_special_tokens=True)
        found = self(texts)
        for text, ids in zip(texts, found, strict=True):
            if ids and self._around is None:
                self._around = _around(self._fast.encode(text))
        before, behind = self._around or _around(self._fast.encode(""))
        return [before + ids + behind for ids in found]

    def cut(self, ids: list[int], limit: int) -> list[int] | None:
        """What `whole` gave, shortened as the tokenizer would shorten it; None where only it knows how."""
        if self._around is None:
            return None
        before, behind = self._around
        own = ids[len(before) : len(ids) - len(behind)]
        room = limit - len(before) - len(behind)
        return before + (own[len(own) - room :] if self._side == "left" else own[:room]) + behind

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of every text."""
        if self._fast is None:
            return self._asked(texts, add_special_tokens=False)
        return [self._ids(text) for text in texts]

    def _asked(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[int]]:
        options = {"verbose": False, "return_attention_mask": False, "add_special_tokens": add_special_tokens}
        return self._tokenizer(list(texts), **options)["input_ids"] if texts else []

    def _ids(self, text: str) -> list[int]:
        if self._plain and NONCHARACTERS.search(text):
            return self._plain(text, add_special_tokens=False, verbose=False)["input_ids"]
        # An added token may hold spaces or take those beside it.
        if self._marks.search(text):
            return self._fast.encode(text, add_special_tokens=False).ids
        # Of white space only the plain space is printable, so here nothing else sets words apart, and never twice.
        if not text.isprintable() or "  " in text:
            return list(chain.from_iterable(map(self._pieces.__getitem__, CUT.split(text))))
        first, *others = text.split(" ")
        return [*self._pieces[first], *chain.from_iterable(map(self._spaced.__getitem__, others))]


@lru_cache(maxsize=2)  # for each side of the data: a large vocabulary takes seconds to be written and read
def _copied(tokenizer: Any, words: int) -> tuple[Any, re.Pattern[str]]:
    """A copy for pieces, or None where a tokenizer must see whole texts; and what finds its added tokens."""
    backend = tokenizer.backend_tokenizer
    written = backend.to_str()
    tree = json.loads(written)
    marks = re.compile("|".join(re.escape(token["content"]) for token in tree["added_tokens"]) or "(?!)")
    if not _cuts_at_spaces(tree):
        return None, marks
    # A copy: what others ask of the tokenizer (to truncate, to pad) stays out of here.
    copied = type(backend).from_str(written)
    copied.no_truncation()
    copied.no_padding()
    return copied, marks


def _around(encoding: Any) -> tuple[list[int], list[int]]:
    """What its post-processor has put before and behind a text's own tokens."""
    own = [place for place, added in enumerate(encoding.special_tokens_mask) if not added]
    if not own:
        return encoding.ids, []
    return encoding.ids[: own[0]], encoding.ids[own[-1] + 1 :]


class _Kept(dict[str, list[int]]):
    """The ids of every piece met so far, behind a fixed beginning; others are encoded when they are asked for."""

    def __init__(self, tokenizer: Any, before: str):
        super().__init__()
        self._tokenizer, self._before = tokenizer, before

    def __missing__(self, piece: str) -> list[int]:
        ids = self._tokenizer.encode(self._before + piece, add_special_tokens=False).ids
        if len(piece) <= LONGEST:
            if len(self) >= KEPT:
                self.clear()
            self[piece] = ids
        return ids


def _cuts_at_spaces(tree: dict[str, Any]) -> bool:
    """Does this tokenizer's file say that nothing reaches over a single space?"""
    steps = tree["pre_tokenizer"] or {"type": None}
    steps = steps.get("pretokenizers", [steps])
    # ByteLevel without its pattern cuts nothing by itself.
    cutting = [
        s for s in steps if s.get("type") in CUTTING and s.get("use_regex", True) and s.get("split", True)
    ]
    # A mark that is looked for in normalised text may be missed in the text as it stands.
    reaching = [
        t
        for t in tree["added_tokens"]
        if t["normalized"] and (t["lstrip"] or t["rstrip"] or " " in t["content"])
    ]
    return len(cutting) == len(steps) and not reaching and _each_for_itself(tree["normalizer"])


def _each_for_itself(normalizer: dict[str, Any] | None) -> bool:
    """Does it change a text piece by piece?  Replacing a pattern may look over spaces, so only certain ones do."""
    if normalizer is None:
        return True
    if normalizer["type"] == "Sequence":
        return all(map(_each_for_itself, normalizer["normalizers"]))
    if normalizer["type"] == "Replace":
        pattern = normalizer["pattern"].get("Regex") or normalizer["pattern"]["String"]
        # One character, or one out of a class, for another.
        return len(pattern) == 1 or bool(re.fullmatch(r"\[[^\[\]^]*\]", pattern))
    return normalizer["type"] in (
        "BertNormalizer",
        "Lowercase",
        "NFC",
        "NFD",
        "NFKC",
        "NFKD",
        "Nmt",
        "StripAccents",
    )
