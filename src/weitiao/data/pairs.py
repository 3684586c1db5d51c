"""Rows of texts that belong together, or do not: what is learnt from by models that turn a text into a vector.

{"anchor": "reset password", "positive": "Click on ...", "negative": []}  ->  PAIR.faults(...), .group(...)
{"sentence1": "A dog runs.", "sentence2": "A dog is running.", "score": 4.8}  ->  SCORED_PAIR....
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Shape
from weitiao.core.why import reason
from weitiao.data.equal_text import blank, normalised

# Between the parts of a key; white space alone would not tell ("a b", "c") from ("a", "b c") once it is normalised.
BETWEEN = "\n\0\n"


def text_fault(values: Mapping[str, Any], column: str) -> str:
    """Why a column holds no text that says something; empty when it does."""
    value = values.get(column)
    if not isinstance(value, str):
        kind = reason("kind_none") if value is None else reason("kind", type=type(value).__name__)
        return reason("is_kind", what=column, kind=kind)
    return reason("is_empty", what=column) if blank(value) else ""


@dataclass(frozen=True)
class Pair(Shape):
    """A text and the one that belongs to it, and maybe some that do not."""

    name: ClassVar[str] = "pair"
    target: ClassVar[str] = "positive"
    columns: ClassVar[Mapping[str, str]] = {
        "anchor": "the text that is asked, such as a question",
        "positive": "the text that belongs to it, such as its answer",
        "negative": "texts that do not, if any",
    }
    formats: ClassVar[tuple[str, ...]] = ("pairs", "query_passage", "question_answer")
    also: ClassVar[Mapping[str, tuple[str, ...]]] = {"anchor": ("query", "question")}

    def faults(self, values: Mapping[str, Any]) -> str:
        """No text may be empty, and none be right and wrong at once."""
        found = text_fault(values, "anchor") or text_fault(values, "positive")
        if found:
            return found
        for negative in values["negative"]:
            if fault := text_fault({"negative": negative}, "negative"):
                return fault
            if normalised(negative) == normalised(values["positive"]):
                return reason("negative_is_positive")
        return ""

    def key(self, values: Mapping[str, Any]) -> str:
        """All texts."""
        return BETWEEN.join(self.texts(values).values())

    def group(self, values: Mapping[str, Any]) -> str:
        """What is asked: its answers stay on one side."""
        return str(values["anchor"])

    def asks(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The anchor alone."""
        return {"anchor": values["anchor"]}

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Every text."""
        found = {name: values[name] for name in ("anchor", "positive") if isinstance(values.get(name), str)}
        return found | {f"negative.{i}": text for i, text in enumerate(values.get("negative") or ())}


@dataclass(frozen=True)
class ScoredPair(Shape):
    """Two texts and how alike they are."""

    name: ClassVar[str] = "scored_pair"
    target: ClassVar[str] = "score"
    columns: ClassVar[Mapping[str, str]] = {
        "sentence1": "a text",
        "sentence2": "another",
        "score": "how alike they are, a number",
    }
    formats: ClassVar[tuple[str, ...]] = ("scored_pairs",)

    def faults(self, values: Mapping[str, Any]) -> str:
        """Two texts and a number are needed."""
        found = text_fault(values, "sentence1") or text_fault(values, "sentence2")
        return found or (reason("label_missing") if values.get("score") is None else "")

    def key(self, values: Mapping[str, Any]) -> str:
        """Both texts and the number: one pair may be measured twice."""
        return f"{self.group(values)}{BETWEEN}{values['score']}"

    def group(self, values: Mapping[str, Any]) -> str:
        """Both texts, whichever stands first."""
        return BETWEEN.join(sorted((values["sentence1"], values["sentence2"])))

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Both."""
        return {
            name: values[name] for name in ("sentence1", "sentence2") if isinstance(values.get(name), str)
        }
