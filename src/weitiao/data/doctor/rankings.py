"""Queries and their passages: is there a right one for each query, and a wrong one?

3 of 200 queries have no passage with a score above 0  ->  nothing can be found for them
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from weitiao.data.doctor.finding import Case, Diagnosis, Finding, Part, Row, finding, percent
from weitiao.data.equal_text import digest, normalised


class Rankings(Part):
    """What the passages of each query are, over all of its rows."""

    shapes: ClassVar[tuple[str, ...]] = ("ranked",)

    def __init__(self, case: Case):
        super().__init__(case)
        self.first: dict[int, int] = {}
        self.right: set[int] = set()
        self.wrong: set[int] = set()
        self.passages = 0

    def see(self, row: Row) -> None:
        """Note what its query has."""
        values = row.record.values
        query = digest(normalised(values["query"]))
        self.first.setdefault(query, row.index)
        self.passages += len(values["scores"])
        for score in values["scores"]:
            (self.right if score > 0 else self.wrong).add(query)

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """Queries without a right passage, and those with right ones alone."""
        queries = len(self.first)
        without = [index for query, index in self.first.items() if query not in self.right]
        alone = sum(query not in self.wrong for query in self.first)
        diagnosis.tables["rankings"] = {
            "queries": queries,
            "passages": self.passages,
            "without_right": len(without),
            "right_alone": alone,
        }
        if without:
            places, share = self.case.places(without), percent(len(without), queries)
            yield finding("no_right_passage", "warning", count=len(without), places=places, share=share)
        if alone:
            yield finding("right_passages_alone", "note", count=alone, share=percent(alone, queries))
