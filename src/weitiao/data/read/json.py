"""JSON and JSON Lines in, one record an object out, a piece of the file at a time.

[{"text": "a"},      ->  Record(line=1, {"text": "a"})
 {"text": "b"}]          Record(line=2, {"text": "b"})
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import reason
from weitiao.data.formats import FORMATS
from weitiao.data.read import nested
from weitiao.data.read.boxes.coco import read_coco
from weitiao.data.read.pandas_json import refuse_table
from weitiao.data.read.source import LONGEST_RAW, BadRow, Source, numbered, seen_columns, shown
from weitiao.data.read.text import Text
from weitiao.data.read.unique import Unique

DEEPEST = 100
"""Objects and lists inside each other; Python's own limit depends on who calls."""
SPACE = re.compile(r"[ \t\r\n]*")
ENDS = re.compile(r"|\.|[eE][+-]?")
"""What may be left of a number that a file ends in, behind what already is one."""
ROWS = frozenset(name for format in FORMATS.values() for name in format.needs + format.may_have)
"""Names under which a list is part of a row."""
WORDS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")


def read_json(text: Text, *, format: str) -> Source:
    """Open a file of objects: a list of them, an object with one such list in it, one a line, or over many lines.

    Raises:
        WeitiaoError: `wrong_usage` for a table that pandas wrote by columns; `bad_json`, also later by `rows()`, with line and column; `empty_file`.
    """
    refuse_table(text)
    lines = not format.startswith("json") or format.startswith("jsonl")
    if not lines and (found := read_coco(text, format=format)):
        return found
    layout = _layout(text, lines=lines)
    if layout == "lines":
        found, note = _lines(text, format=format), "" if lines else "holds_a_line_each"
    elif layout == "objects":
        found, note = _objects(text, format=format), "holds_long_objects"
    else:
        found, note = _list(text, format=format), "holds_one_list" if lines else ""
    return nested.opened(replace(found, notes=(*found.notes, *([reason(note)] if note else ()))))


def begins_json(text: Text) -> bool:
    """Does a file begin with an object that holds something, or with a list of such?"""
    walk = _Walk(text)
    try:
        if walk.peek() == "[":
            walk.at += 1
        if walk.peek() != "{":
            return False
        walk.at += 1
        return isinstance(walk.value()[0], str) and walk.peek() == ":"
    except (WeitiaoError, _End):
        return False


def _layout(text: Text, *, lines: bool) -> str:
    """`list`, `lines` or `objects`, by how a file begins; `lines` when its name says one object a line."""
    said = list(islice((line for line in text.lines() if line.strip()), 2))
    start = said[0].lstrip()[:1] if said else ""
    whole = bool(said) and _is_json(said[0])
    if "".join("".join(said).split()) == "[]":
        return "list"  # of nothing
    if start == "[" and lines:
        # A list a line is a bad row a line.
        return "lines" if (whole and len(said) > 1) or not begins_json(text) else "list"
    if start != "{":
        return "lines" if lines else "list"
    if len(said) > 1 and (whole or (lines and said[1].lstrip().startswith("{"))):
        return "lines"
    if lines and len(said) == 1 and not whole:
        return "lines"  # cut short
    walk = _Walk(text)
    try:
        walk.at = walk.window.find("{") + 1 if walk.peek() else 0
        key, _ = walk.value()
        walk.expect(":")
        if walk.peek() == "[" and key not in ROWS and not lines:
            return "list"  # however long it is
        walk = _Walk(text)
        first, _ = walk.value()
        if walk.peek():
            return "objects"
        # One object alone is a row, or what wraps the rows.
        rows = [
            name
            for name, value in first.items()
            if value and isinstance(value, list) and isinstance(value[0], dict)
        ]
        a_row = nested.nests(first) or any(set(first) >= set(each.needs) for each in FORMATS.values())
        wraps = len(rows) == 1 if lines else True
        return "list" if wraps and not a_row else "objects"
    except (WeitiaoError, _End):
        return "lines" if lines else "list"


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _objects(text: Text, *, format: str) -> Source:
    """Objects one behind another, each over several lines."""

    def rows() -> Iterator[Record | BadRow]:
        return numbered(_Walk(text).objects())

    return Source(str(text.path), format, text.encoding, text.sha256, seen_columns(rows()), rows)


def _lines(text: Text, *, format: str) -> Source:
    """One object a line; lines that hold none are bad rows."""
    path, decoder = str(text.path), Unique()

    def rows() -> Iterator[Record | BadRow]:
        # Lines end at line feeds alone: JSON strings may hold other separators (U+2028).
        for number, line in enumerate(text.lines(), start=1):
            if not line.strip():
                continue
            value: Any = None
            why = text.spoilt(line)
            if not why:
                try:
                    # A list that lost its brackets still has its commas.
                    value = decoder.decode(line.rstrip().removesuffix(","))
                except (ValueError, RecursionError) as error:
                    why = reason("no_json", why=_why_not(error))
                else:
                    why = _unusable(value, line, decoder)
            yield BadRow(path, number, why, shown(line)) if why else Record(path, number, value)

    return Source(path, format, text.encoding, text.sha256, seen_columns(rows()), rows)


def _list(text: Text, *, format: str) -> Source:
    """A list of objects, or an object with one such list in it."""
    path = str(text.path)

    walk = _Walk(text)
    columns = seen_columns(walk.rows())
    notes = (reason("rows_are_list", name=walk.key),) if walk.key else ()
    return Source(
        path, format, text.encoding, text.sha256, columns, lambda: numbered(_Walk(text).rows()), notes
    )


class _End(Exception):
    """The file ends before the value does."""


class _Walk:
    """One way through a JSON file: a window on its characters, which slides on."""

    def __init__(self, text: Text):
        self.text, self.path, self.blocks = text, str(text.path), text.blocks()
        self.decoder = Unique()
        self.window, self.at = "", 0
        # The line on which the character at `counted` stands, and how long that line was before the window began.
        self.line, self.counted, self.before = 1, 0, 0
        self.key = ""
        """The name of the list, when it stands in an object."""

    def rows(self) -> Iterator[Record | BadRow]:
        """Every element of the list."""
        mark = self.peek()
        if not mark:
            raise fault("empty_file", path=self.path, why=reason("file_is_empty"))
        self.at += 1
        if mark == "[":
            whole = yield from self.elements()
        elif mark == "{":
            whole = yield from self.members()
        else:
            raise self.bad(reason("no_list"))
        if whole and self.peek():
            raise self.bad(self.said(reason("extra_data"), self.at))
        if mark == "{" and not self.key:
            raise self.bad(reason("no_list"))

    def objects(self) -> Iterator[Record | BadRow]:
        """Objects one behind another; a broken one ends where a line begins with the next."""
        while self.peek():
            line = self.line_at(self.at)
            try:
                value, raw = self.value()
                why = self.text.spoilt(raw) or _unusable(value, raw, self.decoder)
            except _End:
                why, raw = reason("ends_in_row"), self.skip()
            except WeitiaoError as error:
                why, raw = reason("no_json", why=error.values["why"]), self.skip()
            yield BadRow(self.path, line, why, shown(raw)) if why else Record(self.path, line, value)
            if self.peek() == ",":
                self.at += 1

    def skip(self) -> str:
        """Go on to the next line that begins with an object, or to the end; what was passed."""
        passed = ""
        while (found := self.window.find("\n{", max(self.at + 1, self.counted - 1))) < 0:
            # Of a long piece nobody will want to see the rest.
            passed = (passed + self.window[self.at :])[:LONGEST_RAW]
            self.at = len(self.window)
            if not self.more():
                return passed
        raw, self.at = self.window[self.at : found], found + 1
        return passed + raw

    def members(self) -> Generator[Record | BadRow, None, bool]:
        """The elements of the one list of objects among an object's members; what else is there is passed over."""
        try:
            while self.peek() != "}":
                key, _ = self.value()
                self.expect(":")
                if self.peek() != "[":
                    self.value()
                else:
                    self.at += 1
                    rows = self.elements()
                    if self.peek() != "{":
                        whole = all(True for _ in rows)
                    elif self.key:
                        raise self.bad(reason("two_lists", one=self.key, other=shown(str(key))))
                    else:
                        self.key = shown(str(key))
                        whole = yield from rows
                    if not whole:
                        return False
                if self.peek() != "}":
                    self.expect(",")
        except _End:
            if self.key:
                yield BadRow(self.path, self.line_at(self.at), reason("ends_before_object"))
            return False
        self.at += 1
        return True

    def elements(self) -> Generator[Record | BadRow, None, bool]:
        """The elements of the list whose bracket was just passed; true when it is closed."""
        if self.peek() == "]":
            self.at += 1
            return True
        while True:
            self.peek()
            line = self.line_at(self.at)
            try:
                value, raw = self.value()
                why = self.text.spoilt(raw) or _unusable(value, raw, self.decoder)
                yield BadRow(self.path, line, why, shown(raw)) if why else Record(self.path, line, value)
                if self.peek() == "]":
                    self.at += 1
                    return True
                line = self.line_at(self.at)
                self.expect(",")
            except _End:
                raw, self.at = self.window[self.at :], len(self.window)
                why = reason("ends_in_row" if raw else "ends_before_list")
                yield BadRow(self.path, line, why, shown(raw))
                return False

    def value(self) -> tuple[Any, str]:
        """The next value, and how it is written; `_End` when the file ends in it."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.window, self.at)
            except json.JSONDecodeError as error:
                # A window that ends inside the value looks like a fault near its end; a real fault stays one.
                open_string = error.msg.startswith("Unterminated string")
                if (open_string or error.pos > len(self.window) - 12) and self.more():
                    continue
                rest = self.window[error.pos :].strip()
                cut = ENDS.fullmatch(rest) or any(word.startswith(rest) for word in WORDS)
                if open_string or "\\u" in error.msg or cut:
                    raise _End from None
                raise self.bad(self.said(error.msg, error.pos)) from None
            except (RecursionError, ValueError) as error:
                raise self.bad(self.said(_why_not(error), self.at)) from None
            # A number at the end of the window may go on behind it: 1 as 1.5, or as 1e+9.
            if end >= len(self.window) - 2 and self.more():
                continue
            raw, self.at = self.window[self.at : end], end
            return value, raw

    def peek(self) -> str:
        """The next character that is no space; empty at the end of the file."""
        while True:
            self.at = SPACE.match(self.window, self.at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if self.at < len(self.window):
                return self.window[self.at]
            if not self.more():
                return ""

    def expect(self, mark: str) -> None:
        """Pass a character that must come now."""
        found = self.peek()
        if not found:
            raise _End
        if found != mark:
            raise self.bad(self.said(reason("expecting", mark=mark), self.at))
        self.at += 1

    def more(self) -> bool:
        """Let the window slide on, and grow to twice what is left in it; false at the end of the file."""
        parts: list[str] = []
        wanted = len(self.window) - self.at + 1
        while sum(len(part) for part in parts) < wanted and (block := next(self.blocks, "")):
            parts.append(block)
        if parts:
            self.line_at(self.at)
            gone = self.window[: self.at]
            self.before = len(gone) - gone.rfind("\n") - 1 + (0 if "\n" in gone else self.before)
            self.window = self.window[self.at :] + "".join(parts)
            self.at = self.counted = 0
        return bool(parts)

    def line_at(self, position: int) -> int:
        """The line of a character of the window that lies behind those asked for before."""
        self.line += self.window.count("\n", self.counted, position)
        self.counted = position
        return self.line

    def said(self, why: str, position: int) -> str:
        """A fault with its place."""
        line = self.line_at(max(position, self.counted))
        start = self.window.rfind("\n", 0, position)
        column = position - start if start >= 0 else self.before + position + 1
        return reason("at_line", line=line, column=column, why=why)

    def bad(self, why: str) -> WeitiaoError:
        """The error for a file that cannot be gone on with."""
        return fault("bad_json", path=self.path, why=why)


def _why_not(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return reason("endless_number" if isinstance(error, ValueError) else "nested")


def _unusable(value: Any, raw: str, decoder: Unique) -> str:
    """Why the value that was just read makes no record; empty when it does."""
    if not isinstance(value, dict):
        return reason("no_object", kind=reason("kind", type=type(value).__name__))
    if decoder.twice:
        return reason("key_twice", key=shown(decoder.twice))
    if raw.count("[") + raw.count("{") > DEEPEST and _depth(value) > DEEPEST:
        return reason("nested")
    if "\\u" in raw:  # only an escape can write half a character
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return reason("holds_half_character")
    return ""


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level:
        depth += 1
        level = [
            child
            for thing in level
            if isinstance(thing, dict | list)
            for child in (thing.values() if isinstance(thing, dict) else thing)
        ]
    return depth
