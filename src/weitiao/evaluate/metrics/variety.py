"""How various answers are, whatever the references say: a model that has memorised one answer gives it to everybody.

repetition   within an answer: share of its runs of 4 words that have come before in it
distinct_n   over all answers: different runs of n words by all runs
self_bleu    how like the others each answer is: its BLEU with all others as references, 0 to 100
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Metric, Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio
from weitiao.evaluate.grams import grams, words
from weitiao.evaluate.metrics.bleu import HAN, ORDERS, score, tokens

TWICE = (
    "an answer that is drawn twice repeats itself: no interval",
    "重复抽取的回答会自我重复，因此没有区间",
)
BLOCK = 1 << 22
"""Counts that are in memory at once."""


@register("metric", "repetition")
@dataclass(frozen=True)
class Repetition(Summed):
    """The share of runs of words that have come before in the same answer."""

    n: Annotated[int, Field(ge=1)] = 4
    """Words in a run."""

    summary: ClassVar[str] = "share of runs of four words that come again in an answer"
    source: ClassVar[str] = "Welleck et al. 2020, arXiv 1908.04319 (seq-rep-4)"
    needs: ClassVar[tuple[str, ...]] = ("answer",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[tuple[str, str]] = ("the answers are too short", "回答太短")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Runs that have come before, and all runs: (N, 2)."""
        runs = [grams(words(said["answer"]), self.n) for said in predictions]
        return np.array([[each.total() - len(each), each.total()] for each in runs], float).reshape(-1, 2)

    def value(self, sums_K: Any) -> Any:
        """The share."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


class _Whole(Metric):
    """Of all answers together; a row is what an answer says, no number."""

    needs: ClassVar[tuple[str, ...]] = ("answer",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = ("the answers are too short", "回答太短")
    no_interval: ClassVar[tuple[str, str] | None] = TWICE
    effort: ClassVar[int] = 20_000

    def cut(self, answer: str) -> list[str]:
        """What it goes by."""
        return words(answer)

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """The words of each answer: (N, 1), as objects."""
        found = np.empty((len(predictions), 1), dtype=object)
        for row, said in enumerate(predictions):
            found[row, 0] = tuple(self.cut(said["answer"]))
        return found


@register("metric", "distinct_1", n=1)
@register("metric", "distinct_2", n=2)
@dataclass(frozen=True)
class Distinct(_Whole):
    """Different runs of words by all runs of all answers."""

    n: Annotated[int, Field(ge=1)] = 1
    """Words in a run."""

    summary: ClassVar[str] = "different runs of words by all runs of all answers"
    source: ClassVar[str] = "Li et al. 2016, arXiv 1510.03055"

    def over(self, rows_NK: Any, weights_RN: Any) -> Any:
        """The share of each draw."""
        from scipy import sparse

        runs = [grams(row[0], self.n) for row in rows_NK]
        number = {gram: place for place, gram in enumerate({gram for each in runs for gram in each})}
        if not number:
            return np.full(len(weights_RN), np.nan)
        where = [
            np.array([number[gram] for each in runs for gram in each]),
            np.repeat(np.arange(len(runs)), list(map(len, runs))),
        ]
        there_GN = sparse.csr_array(
            (np.ones(len(where[0])), (where[0], where[1])), shape=(len(number), len(runs))
        )
        step = max(1, BLOCK // len(number))
        different = [
            (there_GN @ weights_RN[start : start + step].T > 0).sum(0)
            for start in range(0, len(weights_RN), step)
        ]
        return ratio(np.concatenate(different), weights_RN @ np.array([each.total() for each in runs]))


@register("metric", "self_bleu")
@dataclass(frozen=True)
class SelfBleu(_Whole):
    """The mean BLEU of each answer with all others as its references: 100 where all are the same."""

    summary: ClassVar[str] = "how like one another the answers are, 0 to 100"
    source: ClassVar[str] = "Zhu et al. 2018, arXiv 1802.01886; sacrebleu.sentence_bleu"
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[tuple[str, str]] = ("fewer than two answers", "回答少于两条")

    def cut(self, answer: str) -> list[str]:
        """Tokens as BLEU has them."""
        return tokens(answer, chinese=bool(HAN.search(answer)))

    def over(self, rows_NK: Any, weights_RN: Any) -> Any:
        """The mean of each draw; an answer counts once, however often it is drawn."""
        sizes = np.array([len(row[0]) for row in rows_NK])
        orders = [_Runs([grams(row[0], n) for row in rows_NK]) for n in range(1, ORDERS + 1)]
        return np.array([_like_the_others(orders, sizes, drawn > 0) for drawn in weights_RN])


class _Runs:
    """How often each run comes in each answer: by run, and the most frequent answers first."""

    def __init__(self, counted: Sequence[Any]):
        number: dict[Any, int] = {}
        told = [
            (number.setdefault(gram, len(number)), -count, row)
            for row, each in enumerate(counted)
            for gram, count in each.items()
        ]
        told_T3 = np.array(sorted(told), dtype=np.int64).reshape(-1, 3)
        self.gram, self.count, self.row = told_T3[:, 0], -told_T3[:, 1], told_T3[:, 2]

    def within(self, drawn_N: Any) -> tuple[Any, Any]:
        """Runs of each answer that another one that is drawn has too, and all its runs: (N,), (N,)."""
        kept = drawn_N[self.row]
        gram, count, row = self.gram[kept], self.count[kept], self.row[kept]
        fresh = np.ones(len(gram), dtype=bool)
        fresh[1:] = gram[1:] != gram[:-1]
        first = np.flatnonzero(fresh)[fresh.cumsum() - 1] if len(gram) else np.zeros(0, dtype=int)
        # The one who has a run most often goes by the second.
        second = np.minimum(first + 1, max(0, len(gram) - 1))
        others = np.where(gram[second] == gram, count[second], 0) * (second != first) if len(gram) else count
        most = np.where(np.arange(len(gram)) == first, others, count[first] if len(gram) else count)
        size = len(drawn_N)
        both = np.bincount(row, weights=np.minimum(count, most), minlength=size)
        return both, np.bincount(row, weights=count, minlength=size)


def _like_the_others(orders: Sequence[_Runs], sizes_N: Any, drawn_N: Any) -> float:
    rows = np.flatnonzero(drawn_N)
    if len(rows) < 2:
        return float("nan")
    counts = [each.within(drawn_N) for each in orders]
    right, all_ = (np.stack([each[side][rows] for each in counts], axis=-1) for side in (0, 1))
    sizes = sizes_N[rows]
    lengths, often = np.unique(sizes, return_counts=True)
    gaps_NL = np.abs(sizes[:, None] - lengths).astype(float)
    # An answer is no reference of its own; of lengths that are as near the shorter counts.
    gaps_NL[(lengths == sizes[:, None]) & (often == 1)] = np.inf
    nearest = lengths[gaps_NL.argmin(1)]
    return float(score(right, all_, sizes, nearest, effective=True).mean())
