"""A dictionary of the tags of the training rows, the longest entry first.

    dictionary([{"tokens": [...], "tags": [...]}, ...], [["in", "London"], ...])
        ->  [{"tags": ["O", "B-LOC"], "spans": [{"type": "LOC", "start": 1, "end": 2}]}, ...]

An entry is a run of words that was a span at least as often as not; it has the type that it had most often.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data import tags
from weitiao.data.tags import Span

Words = tuple[str, ...]


@register("baseline", "dictionary")
@dataclass(frozen=True)
class Dictionary(Baseline):
    """Runs of words that were a span at least as often as not."""

    summary: ClassVar[str] = "a dictionary of the spans of the training rows"
    source: ClassVar[str] = "the baseline of Tjong Kim Sang & De Meulder 2003, W03-0419"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Keeps the training rows' spans."""
        rows = [record.values for record in records]
        return lambda unseen: dictionary(rows, [record.values["tokens"] for record in unseen])


def dictionary(rows: Sequence[Mapping[str, Any]], unseen: Iterable[Sequence[str]]) -> list[dict[str, Any]]:
    """Tags and spans of rows of words, places counted in words.

    Args:
        rows: the training rows, with their tokens and tags.
        unseen: words of the rows that are asked.
    """
    scheme = tags.scheme(row["tags"] for row in rows) or "bio"
    entries = _entries([row["tokens"] for row in rows], [tags.spans(row["tags"], scheme) for row in rows])
    longest = max(map(len, entries), default=0)
    told = []
    for words in unseen:
        found = _found(words, entries, longest)
        spans = [{"type": span.type, "start": span.start, "end": span.end} for span in found]
        told.append({"tags": tags.written(found, len(words), scheme), "spans": spans})
    return told


def _entries(rows: Sequence[Sequence[str]], spans: Sequence[Iterable[Span]]) -> dict[Words, str]:
    seen: defaultdict[Words, Counter[str]] = defaultdict(Counter)
    for words, found in zip(rows, spans, strict=True):
        for span in found:
            seen[tuple(words[span.start : span.end])][span.type] += 1
    sizes = sorted(set(map(len, seen)))
    stood = Counter(run for words in rows for size in sizes for run in _runs(words, size) if run in seen)
    return {
        run: max(sorted(types), key=types.__getitem__)
        for run, types in seen.items()
        if 2 * types.total() >= stood[run]
    }


def _found(words: Sequence[str], entries: Mapping[Words, str], longest: int) -> list[Span]:
    """From left to right the longest entry that stands there."""
    found, place = [], 0
    while place < len(words):
        sizes = range(min(longest, len(words) - place), 0, -1)
        size = next((size for size in sizes if tuple(words[place : place + size]) in entries), 0)
        if size:
            found.append(Span(place, place + size, entries[tuple(words[place : place + size])]))
        place += size or 1
    return found


def _runs(words: Sequence[str], size: int) -> Iterable[Words]:
    return (tuple(words[place : place + size]) for place in range(len(words) - size + 1))
