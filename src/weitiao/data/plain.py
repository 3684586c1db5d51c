"""Text is characters: whoever writes `<|im_end|>` or `</s>` writes no special token.

    plain(processor)("a text that says </s>")  ->  as the tokenizer gives it, and no special token in it but its own
    twin(processor)                            ->  a copy of it, with its special tokens spelt as no text spells them

`split_special_tokens` of Transformers does half of this: it looks for no special tokens in a text, but where one is a
word of the vocabulary (Unigram's `</s>`), the text still becomes it.  So in the copy every special token has a name of
noncharacters, which Unicode keeps out of texts; all ids stay.  A name is as long as what it stands for, so places in a
text stay, too.
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

# Unicode 16, section 23.7: 66 code points that are never characters.  A name begins with one of the first, so that it
# is known where each begins.
FIRST = [chr(code) for code in range(0xFDD0, 0xFDF0)]
MORE = [chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF)]
NONCHARACTERS = re.compile(f"[{''.join(FIRST + MORE)}]")


@dataclass(frozen=True)
class Twin:
    """A copy of a tokenizer in which no text spells a special token."""

    processor: Any
    """Asked for the ids of texts, and for nothing else."""
    names: dict[str, str]
    """Special token -> how it is spelt there."""
    hidden: dict[str, str]
    """Special token -> how it is kept apart from those of a chat template, where somebody wrote it as words."""

    def hide(self, value: Any) -> Any:
        """Texts, alone or within lists and dicts, with what spells a special token hidden."""
        if isinstance(value, str):
            return self._spelt.sub(lambda found: self.hidden[found[0]], value)
        if isinstance(value, Mapping):
            return {self.hide(key): self.hide(kept) for key, kept in value.items()}
        return [self.hide(kept) for kept in value] if isinstance(value, list | tuple) else value

    def spelt(self, text: str) -> str:
        """A text for `processor`: its special tokens by their names, what was hidden as characters again."""
        return self._marks.sub(lambda found: self._shown[found[0]], text)

    def read(self, text: str) -> str:
        """A text for people: whatever was hidden or has a name, as it is."""
        return self._marks.sub(lambda found: self._known.get(found[0], found[0]), text)

    @cached_property
    def _spelt(self) -> re.Pattern[str]:
        return any_of(self.names)

    @cached_property
    def _marks(self) -> re.Pattern[str]:
        return any_of([*self.names, *self._known])

    @cached_property
    def _known(self) -> dict[str, str]:
        return {name: mark for known in (self.names, self.hidden) for mark, name in known.items()}

    @cached_property
    def _shown(self) -> dict[str, str]:
        return (
            {name: mark for mark, name in self.hidden.items()}
            | self.names
            | {name: name for name in self.names.values()}
        )


class Plain:
    """Asks a tokenizer as it would be asked, and gets characters for characters."""

    def __init__(self, processor: Any):
        self.own = processor
        self.twin = twin(processor)

    def __call__(self, *texts: Any, **options: Any) -> Any:
        """What the tokenizer gives; `texts` are one text, two, or lists of them."""
        if self.twin is None or any(map(_strange, texts)):
            return self.own(*texts, split_special_tokens=True, **options)
        return self.twin.processor(*texts, **options)


def _strange(text: Any) -> bool:
    """Does it hold what names are made of?"""
    return bool(NONCHARACTERS.search(text)) if isinstance(text, str) else any(map(_strange, text))


def any_of(words: Iterable[str]) -> re.Pattern[str]:
    """What finds any of these words, the longest first; nothing when there are none."""
    return re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))) or "(?!)")


def plain(processor: Any) -> Plain:
    """The tokenizer as one that takes texts as characters; kept, for rows come one by one."""
    return _plain(processor, len(processor))


@lru_cache(maxsize=2)
def _plain(processor: Any, words: int) -> Plain:
    return Plain(processor)


def twin(processor: Any) -> Twin | None:
    """The copy; None for a tokenizer that is not of the `tokenizers` library, or cannot be written so."""
    if not getattr(processor, "is_fast", False):
        return None
    made, names = _twin(type(processor.backend_tokenizer), processor.backend_tokenizer.to_str())
    if made is None:
        return None
    copied = copy.copy(processor)
    copied._tokenizer = made
    return Twin(copied, names, _names(names, MORE, FIRST))


def _twin(kind: Any, written: str) -> tuple[Any, dict[str, str]]:
    tree = json.loads(written)
    # What the last call asked for is no part of it.
    tree |= {"truncation": None, "padding": None}
    marks = {token["content"]: token["id"] for token in tree["added_tokens"] if token["special"]}
    names = _names(marks, FIRST, MORE)
    for token in tree["added_tokens"]:
        if token["special"]:
            token |= {"content": names[token["content"]], "normalized": False}
    _rename(tree["model"], names)
    made = kind.from_str(json.dumps(tree))
    right = all(made.token_to_id(names[mark]) == index for mark, index in marks.items())
    return (made, names) if right else (None, {})


def _names(marks: Iterable[str], first: Sequence[str], more: Sequence[str]) -> dict[str, str]:
    """A name for each mark, as long as it is (or longer, where there are too many of that length)."""
    counts: Counter[int] = Counter()
    found = {}
    for mark in sorted(marks):
        number, length = counts[len(mark)], len(mark)
        counts[length] += 1
        number, digit = divmod(number, len(first))
        name = first[digit]
        while number or len(name) < length:
            number, digit = divmod(number, len(more))
            name += more[digit]
        found[mark] = name
    return found


def _rename(model: dict[str, Any], names: dict[str, str]) -> None:
    """Special tokens that are words of the vocabulary, too."""
    vocab = model["vocab"]
    if isinstance(vocab, dict):
        model["vocab"] = {names.get(word, word): index for word, index in vocab.items()}
    else:
        model["vocab"] = [[names.get(word, word), score] for word, score in vocab]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:
        model["merges"] = [pair for pair in model["merges"] if not _makes(pair, names)]


def _makes(pair: Sequence[str] | str, names: dict[str, str]) -> bool:
    left, right = pair.split(" ", 1) if isinstance(pair, str) else pair
    return left in names or right in names or left + right in names
