"""Lengths: characters of every column, tokens against what the model reads.

rows, lengths in tokens, limit 512  ->  quantiles, a histogram, the rows that would be cut
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from weitiao.data.doctor.finding import Case, Diagnosis, Finding, Marked, Part, Row, finding, percent
from weitiao.data.unknown import UNKNOWN

SHORT = 3  # characters (letters, signs) below which a text says next to nothing
BINS = 24
QUANTILES = {"min": 0.0, "median": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


class Lengths(Part):
    """Quantiles and histograms; rows that are too long or hardly there."""

    def __init__(self, case: Case):
        super().__init__(case)
        self.columns: dict[str, array[int]] = {}
        self.short = Marked()
        # A token of a tagged row is a word: words may be short.
        self.words = case.shape.name == "tagged"

    def see(self, row: Row) -> None:
        """How long the texts of each column are together."""
        sizes: dict[str, int] = {}
        for address, text in row.texts.items():
            column = address.partition(".")[0]
            sizes[column] = sizes.get(column, 0) + len(text)
        for column, size in sizes.items():
            self.columns.setdefault(column, array("l")).append(size)
        if not self.words and any(len(text.strip()) < SHORT for text in row.texts.values()):
            self.short.add(row.index)

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """Tables of characters and tokens; rows over the limit; very short ones."""
        diagnosis.tables["characters"] = {column: quantiles(sizes) for column, sizes in self.columns.items()}
        lengths, limit = self.case.lengths, self.case.limit
        sizes = lengths if lengths is not None else next(iter(self.columns.values()), None)
        if sizes is not None and len(sizes):
            diagnosis.tables["histogram"] = {
                "unit": "characters" if lengths is None else "tokens",
                **histogram(sizes),
            }
        if lengths is not None and len(lengths):
            unknown = self.case.unknown or 0.0
            diagnosis.tables["tokens"] = {**quantiles(lengths), "limit": limit, "unknown": round(unknown, 6)}
            if unknown > UNKNOWN:
                yield finding("unknown_tokens", "warning", share=percent(unknown, 1))
            over = [index for index, length in enumerate(lengths) if limit and length > limit]
            if over:
                lost = sum(lengths[index] - (limit or 0) for index in over)
                yield finding(
                    "over_limit",
                    "warning",
                    count=len(over),
                    places=self.case.places(over),
                    fix="data.overlong",
                    limit=f"{limit:,}",
                    share=percent(len(over), len(lengths)),
                    lost=f"{lost:,}",
                )
        lost_N = self.case.written_lost
        if over := [index for index, lost in enumerate(lost_N) if lost]:
            yield finding(
                "long_targets",
                "warning",
                count=len(over),
                places=self.case.places(over),
                fix="task.max_target_length",
                share=percent(len(over), len(lost_N)),
                lost=f"{sum(lost_N):,}",
            )
        if self.short.count:
            places = self.case.places(self.short.first)
            yield finding("short_texts", "note", count=self.short.count, places=places, least=SHORT)


def quantiles(sizes: Sequence[int]) -> dict[str, float]:
    """Minimum, median, 95 and 99 per cent, maximum, and the mean."""
    import numpy as np

    values = np.quantile(np.asarray(sizes), list(QUANTILES.values()), method="inverted_cdf")
    found = {name: int(value) for name, value in zip(QUANTILES, values, strict=True)}
    return {**found, "mean": round(float(np.mean(np.asarray(sizes))), 1)}


def histogram(sizes: Sequence[int]) -> dict[str, Any]:
    """Bins of equal width up to the 99th percentile; the last one holds all that is longer."""
    import numpy as np

    values = np.asarray(sizes)
    top = max(int(np.quantile(values, 0.99)), 1)
    width = -(-(top + 1) // BINS)
    counts = np.bincount(np.minimum(values // width, BINS))
    return {"width": width, "counts": counts.tolist()}
