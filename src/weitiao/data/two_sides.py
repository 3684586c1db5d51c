"""A tokenizer that reads one side and writes another: the ids of both, and what it puts around them.

    sides = Sides.of(tokenizer, "en_XX", "zh_CN")
    sides.sources(["Good morning"])  ->  [[...]]      sides.targets(["早上好"])  ->  [[...]]

Some tokenizers cut targets otherwise than sources (Marian), some mark the language of each (mBART, NLLB).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias

from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import reason
from weitiao.data.plain import NONCHARACTERS, twin

IGNORE = -100
"""A label that is not learnt: PyTorch's ignore_index."""
PROBES = ("a", "1", "好")
"""Texts by which it is seen what stands around one."""
NAMED = ("text", "text_target")
"""The sides, as Transformers' tokenizers are asked for them."""
LANGUAGES = ("src_lang", "tgt_lang")
"""What Transformers' tokenizers call them."""
KEYS = ("task.source_language", "task.target_language")


Read: TypeAlias = Callable[..., list[list[int]]]


@dataclass(frozen=True)
class Sides:
    """Both sides of a tokenizer."""

    sources: Read
    """Texts that are read -> the ids of each."""
    targets: Read
    """Texts that are written -> the ids of each."""
    before_source: list[int]
    """What it puts before a source."""
    behind_source: list[int]
    before_target: list[int]
    """What it puts before a target: an answer begins with it, too."""
    behind_target: list[int]
    from_left: bool = False
    """Does it cut the beginning off, and not the end?"""

    @classmethod
    def of(
        cls, processor: Any, source_language: str = "", target_language: str = "", *, plain: bool
    ) -> Sides:
        """The sides of a tokenizer, which hears the languages; kept, for rows are asked one by one.

        Args:
            processor: a tokenizer.
            source_language: as it names it; empty leaves what it has.
            target_language: the same of the other side.
            plain: read every text as characters; else a text may spell special tokens.

        Raises:
            WeitiaoError: `unknown_language`.
        """
        return _sides(processor, len(processor), source_language, target_language, plain)

    def cut_source(self, ids: list[int], limit: int) -> list[int]:
        """A source of at most so many tokens, what stands around it among them."""
        return self._cut(ids, limit, self.before_source, self.behind_source)

    def cut_target(self, ids: list[int], limit: int) -> list[int]:
        """A target of at most so many tokens, what stands around it among them."""
        return self._cut(ids, limit, self.before_target, self.behind_target)

    def _cut(self, ids: list[int], limit: int, before: list[int], behind: list[int]) -> list[int]:
        if len(ids) <= limit:
            return ids
        own, room = ids[len(before) : len(ids) - len(behind)], max(0, limit - len(before) - len(behind))
        return [*before, *(own[len(own) - room :] if self.from_left else own[:room]), *behind]


@lru_cache(maxsize=2)
def _sides(processor: Any, words: int, source_language: str, target_language: str, plain: bool) -> Sides:
    for key, name, language in zip(KEYS, LANGUAGES, (source_language, target_language), strict=True):
        _tell(processor, name, language, key=key)
    if hasattr(processor, LANGUAGES[1]) and not getattr(processor, LANGUAGES[1]):
        raise _no_language(processor, LANGUAGES[1], "", key=KEYS[1])  # it would be taken for the source's
    asked = [partial(_own, processor, side) for side in NAMED]
    source, target = map(_around, asked)
    sources, targets = asked
    if plain:
        copied = twin(processor)
        backend = copied.processor.backend_tokenizer if copied else None
        sources = partial(_characters, asked[0], backend, *source)
        targets = partial(_characters, asked[1], backend, *target)
    return Sides(sources, targets, *source, *target, from_left=processor.truncation_side == "left")


def _own(processor: Any, side: str, texts: Sequence[str], **options: Any) -> list[list[int]]:
    """What the tokenizer itself gives for texts of a side."""
    if not texts:
        return []
    words = {side: list(texts), "verbose": False, "return_attention_mask": False, **options}
    return [list(ids) for ids in processor(**words)["input_ids"]]


def _characters(
    own: Read, backend: Any, before: list[int], behind: list[int], texts: Sequence[str]
) -> list[list[int]]:
    """The same, where a text spells no special token."""
    if backend is None or any(map(NONCHARACTERS.search, texts)):
        return own(texts, split_special_tokens=True)
    found = backend.encode_batch(list(texts), add_special_tokens=False)
    return [[*before, *each.ids, *behind] for each in found]


def _around(read: Read) -> tuple[list[int], list[int]]:
    """What stands before and behind a text: what its ids share with those of no text at all."""
    nothing, *probes = read(["", *PROBES])
    probe = next((ids for ids in probes if len(ids) > len(nothing)), nothing)
    before = 0
    while before < len(nothing) and nothing[before] == probe[before]:
        before += 1
    # Where nothing could be read, what stands around it stands behind it.
    before = 0 if probe is nothing else before
    return nothing[:before], nothing[before:]


def _tell(processor: Any, name: str, language: str, *, key: str) -> None:
    if not language or getattr(processor, name, "") == language:
        return
    if not hasattr(processor, name):
        raise _no_language(processor, name, language, key=key)
    before = getattr(processor, name)
    try:
        setattr(processor, name, language)
        side = NAMED[LANGUAGES.index(name)]
        right = not _unknown(processor, _own(processor, side, [""])[0])
    except (KeyError, ValueError, TypeError):  # a tokenizer's own code, of a name that it does not know
        right = False
    if not right:
        setattr(processor, name, before)
        raise _no_language(processor, name, language, key=key)


def _unknown(processor: Any, ids: Sequence[int | None]) -> bool:
    return processor.unk_token_id is not None and processor.unk_token_id in ids


def _no_language(processor: Any, name: str, language: str, *, key: str) -> WeitiaoError:
    known = [*getattr(processor, "lang_code_to_id", {}), *getattr(processor, "additional_special_tokens", [])]
    why = reason("languages_known", known=", ".join(known[:12])) if known else reason("marks_no_languages")
    return fault("unknown_language", key=key, language=language or "-", why=why)
