"""How much of the reference is in the answer: word for word, by words, by runs of words.

exact_match   the same text, but for the white space around and between words
token_f1      words in common, as SQuAD counts them, articles and all
rouge_n       runs of n words in common; rouge_l: the longest common subsequence

Every row is one number between 0 and 1, and the metric their mean.  Words are those of `evaluate.grams`: lower case, no
stemming, Chinese by characters.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio
from weitiao.evaluate.grams import f_measure, grams, longest_common, shared, words


class _Mean(Summed):
    """The mean over rows of how much an answer is worth."""

    needs: ClassVar[tuple[str, ...]] = ("answer",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @abstractmethod
    def row(self, reference: str, answer: str) -> float:
        """What one answer is worth, 0 to 1."""

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """What each answer is worth, and 1: (N, 2)."""
        pairs = zip(references, predictions, strict=True)
        worth = [self.row(known["reference"] or "", said["answer"]) for known, said in pairs]
        return np.stack([np.array(worth, dtype=float), np.ones(len(worth))], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The mean."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


@register("metric", "exact_match")
@dataclass(frozen=True)
class ExactMatch(_Mean):
    """The share of answers that are the reference, word for word; white space counts as one space."""

    summary: ClassVar[str] = "share of answers that are the reference"
    source: ClassVar[str] = "Rajpurkar et al. 2016, arXiv 1606.05250, without its changes to the texts"
    proportion: ClassVar[bool] = True

    def row(self, reference: str, answer: str) -> float:
        """1 or 0."""
        return float(reference.split() == answer.split())


@register("metric", "token_f1")
@dataclass(frozen=True)
class TokenF1(_Mean):
    """Words that answer and reference have in common, as F1, in any order."""

    summary: ClassVar[str] = "words in common with the reference, in any order"
    source: ClassVar[str] = "Rajpurkar et al. 2016, arXiv 1606.05250"

    def row(self, reference: str, answer: str) -> float:
        """F1 of the words."""
        ours, theirs = words(answer), words(reference)
        return f_measure(shared(grams(ours, 1), grams(theirs, 1)), len(ours), len(theirs))


@register("metric", "rouge_1", n=1)
@register("metric", "rouge_2", n=2)
@dataclass(frozen=True)
class RougeN(_Mean):
    """Runs of words that answer and reference have in common, as F1."""

    n: Annotated[int, Field(ge=1)] = 1
    """Words in a run."""

    summary: ClassVar[str] = "runs of words in common with the reference"
    source: ClassVar[str] = "Lin 2004, ACL W04-1013"

    def row(self, reference: str, answer: str) -> float:
        """F1 of the runs; texts that are shorter than a run are alike when they are the same."""
        ours, theirs = words(answer), words(reference)
        if ours == theirs:
            return 1.0
        first, second = grams(ours, self.n), grams(theirs, self.n)
        if not first and not second:
            return 0.0
        return f_measure(shared(first, second), first.total(), second.total())


@register("metric", "rouge_l")
@dataclass(frozen=True)
class RougeL(_Mean):
    """The longest common subsequence of answer and reference, as F1."""

    summary: ClassVar[str] = "longest common subsequence of words with the reference"
    source: ClassVar[str] = "Lin 2004, ACL W04-1013"

    def row(self, reference: str, answer: str) -> float:
        """F1 of the subsequence."""
        ours, theirs = words(answer), words(reference)
        return f_measure(longest_common(ours, theirs), len(ours), len(theirs))


@register("metric", "length_ratio")
@dataclass(frozen=True)
class LengthRatio(Summed):
    """How long answers are beside their references: 1 is as long, 2 twice as long."""

    summary: ClassVar[str] = "words of the answers by words of the references"
    source: ClassVar[str] = "words of all answers / words of all references"
    needs: ClassVar[tuple[str, ...]] = ("answer",)
    ideal: ClassVar[float | None] = 1.0
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    undefined: ClassVar[tuple[str, str]] = ("the references hold no words", "参考答案中没有词")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Words of answer and reference: (N, 2)."""
        pairs = zip(references, predictions, strict=True)
        sizes = [[len(words(said["answer"])), len(words(known["reference"] or ""))] for known, said in pairs]
        return np.array(sizes, dtype=float).reshape(-1, 2)

    def value(self, sums_K: Any) -> Any:
        """The ratio of the sums."""
        below = np.where(sums_K[..., 1] == 0, np.nan, sums_K[..., 1])
        return ratio(sums_K[..., 0], below)


@register("metric", "valid_json")
@dataclass(frozen=True)
class ValidJson(Summed):
    """Of rows whose reference is a JSON object or list: the share whose answer is one, of the same kind."""

    fenced: bool = True
    """Is JSON within a ```code fence``` taken for JSON?"""

    summary: ClassVar[str] = "share of answers that are JSON, where references are"
    source: ClassVar[str] = "json.loads"
    needs: ClassVar[tuple[str, ...]] = ("answer",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = ("no reference is JSON", "参考答案都不是 JSON")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Is the answer JSON, is the reference: (N, 2)."""
        found = []
        for known, said in zip(references, predictions, strict=True):
            wanted = self._kind(known["reference"] or "")
            found.append([float(bool(wanted) and self._kind(said["answer"]) == wanted), float(bool(wanted))])
        return np.array(found, dtype=float).reshape(-1, 2)

    def value(self, sums_K: Any) -> Any:
        """The share."""
        return ratio(sums_K[..., 0], sums_K[..., 1])

    def _kind(self, text: str) -> Literal["object", "list", ""]:
        """What JSON a text is; empty where it is none."""
        import json

        text = text.strip()
        if self.fenced and text.startswith("```") and text.endswith("```") and "\n" in text:
            text = text.partition("\n")[2].removesuffix("```")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        return "object" if isinstance(found, dict) else "list" if isinstance(found, list) else ""
