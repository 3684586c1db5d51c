"""The shape of rows that say which passages suit a query.

{"query": "reset password", "passages": ["Click on ...", "Our shop ..."], "scores": [1.0, 0.0]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Shape
from weitiao.core.why import reason
from weitiao.data.equal_text import normalised
from weitiao.data.pairs import BETWEEN, text_fault


@dataclass(frozen=True)
class Ranked(Shape):
    """A query, passages, and how well each suits it."""

    name: ClassVar[str] = "ranked"
    target: ClassVar[str] = "scores"
    columns: ClassVar[Mapping[str, str]] = {
        "query": "what is searched for",
        "passages": "the texts that may suit it",
        "scores": "how well each of them does, a number; 0 where it does not",
    }
    formats: ClassVar[tuple[str, ...]] = (
        "query_passages",
        "query_passage_label",
        "query_positives",
        "query_positive",
    )
    also: ClassVar[Mapping[str, tuple[str, ...]]] = {"passages": ("passage", "documents", "docs")}

    def faults(self, values: Mapping[str, Any]) -> str:
        """No text may be empty, each passage has one number, and none two of them."""
        found = text_fault(values, "query")
        if found:
            return found
        passages, scores = values["passages"], values["scores"]
        if len(passages) != len(scores):
            return reason("passages_and_scores", passages=len(passages), scores=len(scores))
        if not passages:
            return reason("no_passage")
        met: dict[str, float] = {}
        for passage, score in zip(passages, scores, strict=True):
            if found := text_fault({"passage": passage}, "passage"):
                return found
            if met.setdefault(normalised(passage), score) != score:
                return reason("passage_two_scores", passage=passage[:80])
        return ""

    def key(self, values: Mapping[str, Any]) -> str:
        """Query and passages; with the scores of several: of one passage two rows that say otherwise contradict each other."""
        scores = values.get("scores") or ()
        return BETWEEN.join(
            (values["query"], *values["passages"], *(map(str, scores) if len(scores) > 1 else ()))
        )

    def group(self, values: Mapping[str, Any]) -> str:
        """The query: its passages stay on one side."""
        return str(values["query"])

    def stratum(self, values: Mapping[str, Any]) -> str:
        """Of a passage alone whether it suits; lists have both."""
        scores = values.get("scores") or []
        return ("right" if scores[0] > 0 else "wrong") if len(scores) == 1 else ""

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """The query and every passage."""
        found = {"query": values["query"]} if isinstance(values.get("query"), str) else {}
        passages = values.get("passages")
        if isinstance(passages, str):  # of a row that is asked: one passage stands for a list of one
            return found | {"passages": passages}
        return found | {f"passages.{i}": text for i, text in enumerate(passages or ())}
