"""A dictionary of words that may stand for one another.

word<TAB>other,another_one        one word a line; `_` stands for a space (also: others split by spaces)
Aa01A01= 人 士 人物                the lines of Cilin (a Chinese thesaurus): all words after `=` mean the same
    ->  Dictionary.read(path)     ->  dictionary.others("Other") == ["Another one"]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import Field

from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data.augment import Helpers
from weitiao.data.augment.words import is_han

EMBEDDED = ("wordnet", "cilin", "homophones")
CILIN = re.compile(r"^[A-Z][a-z]\d\d[A-Z]\d\d([=#@])\s*(.*)$")
Named: TypeAlias = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Dictionary:
    """Words in lower case -> what may stand in their place."""

    entries: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, path: Path) -> Dictionary:
        """The dictionary in a UTF-8 file, of either form.

        Raises:
            WeitiaoError: `file_missing`, or `bad_dictionary` with the line.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (FileNotFoundError, IsADirectoryError):
            raise fault("file_missing", path=path) from None
        except UnicodeDecodeError as error:
            broken = path.read_bytes()[: error.start].count(b"\n") + 1
            raise fault("bad_dictionary", path=path, line=broken, why=reason("not_utf8")) from None
        entries: dict[str, dict[str, None]] = {}
        for number, line in enumerate(text.split("\n"), start=1):
            for word, others in _entries(line.strip(), path, number):
                entries.setdefault(word.lower(), {}).update(dict.fromkeys(others))
        found = {w: tuple(o for o in others if o.lower() != w) for w, others in entries.items()}
        found = {word: others for word, others in found.items() if others}
        if not found:
            raise fault("bad_dictionary", path=path, line=1, why=reason("holds_no_words"))
        return cls(found)

    def others(self, word: str) -> tuple[str, ...]:
        """What may stand for `word`, beginning with a capital when it does; empty when it is not listed."""
        others = self.entries.get(word.lower(), ())
        if word[:1].isupper():
            return tuple(other[:1].upper() + other[1:] for other in others)
        return others


def _entries(line: str, path: Path, number: int) -> list[tuple[str, list[str]]]:
    if not line or line.startswith("#"):
        return []
    if cilin := CILIN.match(line):
        # `#` lines hold words of one kind that mean different things, `@` lines a single word.
        words = cilin[2].split() if cilin[1] == "=" else []
        return [(word, words) for word in words]
    word, tab, rest = line.partition("\t")
    if not tab or not word.strip():
        raise fault("bad_dictionary", path=path, line=number, why=reason("no_tab"))
    others = rest.split(",") if "," in rest else rest.split()
    return [(_spaced(word), [_spaced(other) for other in others if other.strip()])]


def _spaced(word: str) -> str:
    return word.strip().replace("_", " ")


class Lookup:
    """The dictionary that a setting names; `auto` asks WordNet for English words and Cilin for Chinese ones."""

    def __init__(self, name: str, helpers: Helpers, *, single: bool = False):
        self.name, self.helpers = name, helpers
        self.single = single  # leave out what is several words: a tag belongs to one
        self.opened: dict[str, Dictionary] = {}
        if name != "auto":
            self._open(name)

    def others(self, word: str) -> tuple[str, ...]:
        """What may stand for `word`."""
        name = self.name if self.name != "auto" else "cilin" if is_han(word) else "wordnet"
        others = self._open(name).others(word)
        return tuple(other for other in others if " " not in other) if self.single else others

    def _open(self, name: str) -> Dictionary:
        if name not in self.opened:
            embedded = self.helpers.dictionary if name in EMBEDDED else None
            self.opened[name] = Dictionary.read(embedded(name) if embedded else Path(name))
        return self.opened[name]


def needs_dictionary(name: str) -> tuple[str, ...]:
    """Whether an embedded dictionary has to be handed in, as `Augmentation.needs` says it."""
    return ("dictionary",) if name in ("auto", *EMBEDDED) else ()
