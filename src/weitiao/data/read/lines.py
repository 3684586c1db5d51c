"""Plain text and CoNLL in, a record a line or a sentence out.

Good film.      ->  Record(line=1, {"text": "Good film."})

Ann B-PER       ->  Record(line=1, {"tokens": ["Ann", "sings"], "tags": ["B-PER", "O"]})
sings O
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from weitiao.core.contracts import Record
from weitiao.core.why import reason
from weitiao.data.read.source import BadRow, Source, shown
from weitiao.data.read.text import Text

# Universal Dependencies write facts of a sentence above it: `# sent_id = 3`.
FACT = re.compile(r"#\s*\w+\s*=")

# They number their tokens, in the first of ten columns; the word stands in the second, its part of speech in the fourth.
UNIVERSAL = re.compile(r"\d+([-.]\d+)?")


def read_lines(text: Text, *, format: str, blank: bool = False) -> Source:
    """Open plain text: every line that says something is a row; with `blank`, every other one too."""
    path = str(text.path)

    def rows() -> Iterator[Record | BadRow]:
        for number, line in enumerate(text.lines(), start=1):
            if why := text.spoilt(line):
                yield BadRow(path, number, why, shown(line))
            elif blank or line.strip():
                yield Record(path, number, {"text": line.rstrip("\r\n")})

    return Source(path, format, text.encoding, text.sha256, ["text"], rows)


def read_conll(text: Text, *, format: str) -> Source:
    """Open a file of one token a line, the token first and the tag last, with an empty line after every sentence."""
    path = str(text.path)

    def rows() -> Iterator[Record | BadRow]:
        sentence: list[str] = []
        number = 0
        for number, line in enumerate(text.lines(), start=1):
            if line.strip():
                sentence.append(line)
            elif sentence:
                yield from _sentence(text, number - len(sentence), sentence)
                sentence = []
        if sentence:
            yield from _sentence(text, number + 1 - len(sentence), sentence)

    return Source(path, format, text.encoding, text.sha256, ["tokens", "tags"], rows)


def _sentence(text: Text, first: int, lines: list[str]) -> Iterator[Record | BadRow]:
    """The record of some lines, the first of which has the number `first`; nothing when they hold no tokens."""
    path, raw = str(text.path), "".join(lines)
    if why := text.spoilt(raw):
        yield BadRow(path, first, why, shown(raw))
        return
    tokens, tags, start = [], [], 0
    for number, line in enumerate(lines, start=first):
        # With tabs a token may hold spaces, or be one.
        cells = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if cells[0] == "-DOCSTART-" or FACT.match(line):
            continue
        start = start or number
        if len(cells) == 10 and (universal := UNIVERSAL.fullmatch(cells[0])):
            if universal[1]:
                continue  # words that are written as one, and left out words, beside the tokens
            cells = [cells[1], cells[3]]
        if len(cells) < 2 or not cells[0] or not cells[-1].strip():
            why = reason("no_tag" if cells[0] else "no_token", number=number)
            yield BadRow(path, start, why, shown(raw))
            return
        tokens.append(cells[0])
        tags.append(cells[-1].strip())
    if tokens:
        yield Record(path, start, {"tokens": tokens, "tags": tags})
