"""Answers that stand in a context, against all that are right: exact match and F1 of words, as SQuAD counts them.

squad_f1              2 P R / (P + R) of the words in common; of the right answer that is nearest
squad_exact_match     the same words in the same order

Punctuation, case and English articles do not count; Chinese is counted by characters.  A question without an answer is
right where none is given.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.data import answer_words
from weitiao.evaluate.arrays import ratio


class _OfAnswers(Summed):
    """The mean over questions of what their answer is worth."""

    needs: ClassVar[tuple[str, ...]] = ("start",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = ("there is no such question", "没有这样的问题")
    of: Literal["all", "answerable", "unanswerable"]

    @abstractmethod
    def row(self, said: str, right: Sequence[str]) -> float:
        """What one answer is worth, 0 to 1."""

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """What each answer is worth, and 1; twice 0 for a question that is not asked about: (N, 2)."""
        told = np.zeros((len(references), 2))
        for place, (known, said) in enumerate(zip(references, predictions, strict=True)):
            if self.of == "all" or bool(known["answers"]) == (self.of == "answerable"):
                told[place] = self.row(said["answer"], known["answers"]), 1.0
        return told

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], np.where(sums_K[..., 1] == 0, np.nan, sums_K[..., 1]))


@register("metric", "squad_f1")
@register("metric", "squad_f1_answerable", of="answerable")
@register("metric", "squad_f1_unanswerable", of="unanswerable")
@dataclass(frozen=True)
class SquadF1(_OfAnswers):
    """Words that answer and the nearest right answer have in common, as F1."""

    of: Literal["all", "answerable", "unanswerable"] = "all"
    """Which questions count: all, those that their context answers, or the others."""

    summary: ClassVar[str] = "words in common with the nearest right answer"
    source: ClassVar[str] = "Rajpurkar et al. 2016, arXiv 1606.05250; 2018, arXiv 1806.03822"

    def row(self, said: str, right: Sequence[str]) -> float:
        """F1 of the words."""
        return answer_words.f1(said, right)


@register("metric", "squad_exact_match")
@register("metric", "squad_exact_match_answerable", of="answerable")
@register("metric", "squad_exact_match_unanswerable", of="unanswerable")
@dataclass(frozen=True)
class SquadExactMatch(_OfAnswers):
    """The share of answers that are right, word for word."""

    of: Literal["all", "answerable", "unanswerable"] = "all"
    """Which questions count: all, those that their context answers, or the others."""

    summary: ClassVar[str] = "share of answers that are a right one"
    source: ClassVar[str] = "Rajpurkar et al. 2016, arXiv 1606.05250; 2018, arXiv 1806.03822"

    @property
    def proportion(self) -> bool:  # type: ignore[override]  # the others say it for their class
        """Of all questions; of some of them, the others are rows of nothing."""
        return self.of == "all"

    def row(self, said: str, right: Sequence[str]) -> float:
        """1 or 0."""
        return answer_words.exact(said, right)
