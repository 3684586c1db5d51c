"""Spans of words or characters: found is one whose type, beginning and end are all right.

    precision = hit / said        recall = hit / true        F1 = 2 hit / (said + true)

hit, said and true are spans of a type: found, told, there.  `micro` is of the sums over all types, `macro` the mean over
the types that occur.  A span told twice counts once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import imagined_of_classes, over_classes, ratio


def counts(references: Told, predictions: Told, types: Sequence[str]) -> Any:
    """hit, said and true (3, N, C + 1) of each row and type; the last column is of types that are none of these."""
    place = {kind: number for number, kind in enumerate(types)}
    found = np.zeros((3, len(references), len(types) + 1))
    for row, (reference, prediction) in enumerate(zip(references, predictions, strict=True)):
        true, said = _set(reference), _set(prediction)
        for part, spans in zip(found, (true & said, said, true), strict=True):
            for kind, *_ in spans:
                part[row, place.get(kind, -1)] += 1
    return found


def unlike(
    true: Mapping[str, Any], said: Mapping[str, Any]
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Spans of a row that are there and not told, and spans that are told and not there."""

    def less(spans: Mapping[str, Any], known: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        there = _set(known)
        return [span for span in spans["spans"] if (span["type"], span["start"], span["end"]) not in there]

    return less(true, said), less(said, true)


def _set(told: Mapping[str, Any]) -> set[tuple[str, int, int]]:
    return {(span["type"], span["start"], span["end"]) for span in told["spans"]}


class _OfSpans(Summed):
    """What precision, recall and F1 share."""

    source: ClassVar[str] = "seqeval 1.2.2; Tjong Kim Sang & De Meulder 2003, W03-0419"
    needs: ClassVar[tuple[str, ...]] = ("spans",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = ("there is no span to go by", "没有可计算的片段")
    average: Literal["micro", "macro"]

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """hit, said and true of each type, side by side: (N, 3 (C + 1))."""
        return np.concatenate(counts(references, predictions, labels), axis=1)

    def value(self, sums_K: Any) -> Any:
        """Of all spans, or the mean over the types that occur; 0 stands for 0/0 in them."""
        return over_classes(sums_K, self.each, micro=self.average == "micro")

    def imagined(self, sums_UK: Any) -> Any | None:
        """Units of each type, where each type counts the same however rare it is."""
        return imagined_of_classes(sums_UK) if self.average == "macro" else None

    @abstractmethod
    def each(self, hit: Any, said: Any, true: Any) -> Any:
        """Of every type, from its three sums."""


@register("metric", "span_precision")
@register("metric", "span_precision_macro", average="macro")
@dataclass(frozen=True)
class SpanPrecision(_OfSpans):
    """Of the spans that are told, the share that is right."""

    average: Literal["micro", "macro"] = "micro"
    """Of all spans together, or the mean over their types."""

    summary: ClassVar[str] = "of the spans that are told, the share that is right"

    def each(self, hit: Any, said: Any, true: Any) -> Any:
        """hit / said."""
        return ratio(hit, said)


@register("metric", "span_recall")
@register("metric", "span_recall_macro", average="macro")
@dataclass(frozen=True)
class SpanRecall(_OfSpans):
    """Of the spans that are there, the share that is found."""

    average: Literal["micro", "macro"] = "micro"
    """Of all spans together, or the mean over their types."""

    summary: ClassVar[str] = "of the spans that are there, the share that is found"

    def each(self, hit: Any, said: Any, true: Any) -> Any:
        """hit / true."""
        return ratio(hit, true)


@register("metric", "span_f1")
@register("metric", "span_f1_macro", average="macro")
@dataclass(frozen=True)
class SpanF1(_OfSpans):
    """The harmonic mean of precision and recall of spans."""

    average: Literal["micro", "macro"] = "micro"
    """Of all spans together, or the mean over their types."""

    summary: ClassVar[str] = "harmonic mean of span precision and recall"

    def each(self, hit: Any, said: Any, true: Any) -> Any:
        """2 hit / (said + true)."""
        return ratio(2 * hit, said + true)


@register("metric", "token_accuracy")
@dataclass(frozen=True)
class TokenAccuracy(Summed):
    """The share of words whose tag is right; where most words are outside of all spans it is high for nothing."""

    summary: ClassVar[str] = "share of words whose tag is right"
    source: ClassVar[str] = "sklearn.metrics.accuracy_score, over words"
    needs: ClassVar[tuple[str, ...]] = ("tags",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Words that are right, and words: (N, 2)."""
        pairs = list(zip(references, predictions, strict=True))
        hits = [sum(x == y for x, y in zip(a["tags"], b["tags"], strict=True)) for a, b in pairs]
        return np.array([[hit, len(a["tags"])] for hit, (a, _) in zip(hits, pairs, strict=True)], dtype=float)

    def value(self, sums_K: Any) -> Any:
        """The share."""
        return ratio(sums_K[..., 0], sums_K[..., 1])
