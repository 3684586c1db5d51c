"""BM25: a search by words alone (`data.bm25`), of all passages or, where rows list their own, of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data.bm25 import Index, ways
from weitiao.data.passages import gathered, ranked

BLOCK = 1 << 22
"""Scores that are in memory at once."""


@register("baseline", "bm25")
@dataclass(frozen=True)
class BM25(Baseline):
    """Which passages hold the rare words of the question; nothing is learnt from the training rows."""

    summary: ClassVar[str] = "search by the words that question and passage share"
    source: ClassVar[str] = "Robertson & Zaragoza 2009; rank_bm25, with Lucene's idf"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Only whether texts are written without spaces: their words are single characters and pairs of them then."""
        words = ways([text for row in records[:200] for text in shape.texts(row.values).values()])

        def answers(unseen: Sequence[Record]) -> list[dict[str, Any]]:
            rows = [(row.values["anchor"], row.values["positive"], *row.values["negative"]) for row in unseen]
            passages = gathered(rows)
            index = Index([rows[row][1 + which] for row, which in passages.places], words)
            told: list[dict[str, Any]] = []
            step = max(1, BLOCK // index.size)
            for start in range(0, len(rows), step):
                scores_NM = index.scores([row[0] for row in rows[start : start + step]]).toarray()
                for n, ranks in enumerate(passages.ranks(scores_NM, start)):
                    told.append({"ranks": ranks, "found": passages.found(scores_NM[n], start + n)})
            return told

        def reranks(unseen: Sequence[Record]) -> list[dict[str, Any]]:
            texts = dict.fromkeys(text for row in unseen for text in row.values["passages"])
            places = {text: place for place, text in enumerate(texts)}
            index = Index(list(texts), words)
            told: list[dict[str, Any]] = []
            for row in unseen:
                scores_M = index.scores([row.values["query"]]).toarray()[0]
                own = scores_M[[places[text] for text in row.values["passages"]]]
                told.append(ranked(own, row.values["scores"]))
            return told

        return reranks if "passages" in shape.columns else answers
