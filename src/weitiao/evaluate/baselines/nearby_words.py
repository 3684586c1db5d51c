"""The part of the context that stands nearest to the rarer words of the question, and looks like an answer.

    words of the context  ->  runs of few words  ->  how near, how rare, how written  ->  logistic regression  ->  one run

Of each run it is looked at what SQuAD's logistic regression looks at, less the grammar (Rajpurkar et al. 2016, arXiv
1606.05250, section 5), and at distances as in the sliding window of MCTest (Richardson et al. 2013, D13-1020).  Where
training rows have no answer, how well a run must fit is learnt from them, too.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Answers, Baseline, Record, Shape
from weitiao.core.registry import register
from weitiao.data import answer_words

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+(?:['’.-][^\\W_{_UNSPACED}]+)*|[^\\w\\s]")
ENDS = frozenset(".!?。！？;；\n")
MOST = 12
"""Words of an answer that are tried, at most."""
OTHERS = 15
"""Wrong runs of each training row that are looked at."""
FITTED, HELD = 2000, 1000
"""Training rows that the regression is fitted to, at most; and others that say how well a run must fit."""


@dataclass(frozen=True)
class _Seen:
    """A context and a question as words."""

    places: list[tuple[int, int]]
    words: list[str]
    asked: list[str]

    def place(self, run: tuple[int, int]) -> tuple[int, int]:
        """Where a run of words begins and ends, in code points."""
        return self.places[run[0]][0], self.places[run[1] - 1][1]


@register("baseline", "nearby_words")
@dataclass(frozen=True)
class NearbyWords(Baseline):
    """Runs of words by a logistic regression on how near the question's words are, and on how they are written."""

    seed: int = 0
    """Which wrong runs it sees."""

    summary: ClassVar[str] = "runs of words near the question's words, by logistic regression"
    source: ClassVar[str] = "Rajpurkar et al. 2016, arXiv 1606.05250, its logistic regression without grammar"

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Weighs what speaks for a run."""
        rng = np.random.default_rng(self.seed)
        some = [records[place].values for place in rng.permutation(len(records))]
        if not any(values["answers"] for values in some):
            return lambda unseen: [_none() for _ in unseen]
        # Rows that it was fitted to, or counted words of, would say that it is surer than it is.
        silent = not all(values["answers"] for values in some)
        held, fitted = (some[::2], some[1::2]) if silent else ([], some)
        best = _Best(_Looks(fitted), fitted, rng)
        least = _least(held[:HELD], best) if held else -math.inf

        def answers(unseen: Sequence[Record]) -> list[dict[str, Any]]:
            found = [(record.values, *best(record.values)) for record in unseen]
            return [
                _none() if score < least else _told(values, start, end) for values, score, start, end in found
            ]

        return answers


class _Best:
    """Which run of a row most speaks for, how much, and where it begins and ends."""

    def __init__(self, looks: _Looks, rows: Sequence[Mapping[str, Any]], rng: np.random.Generator):
        from sklearn.linear_model import LogisticRegression

        self._looks = looks
        answered = [values for values in rows if values["answers"]][:FITTED]
        parts = [self._some(values, rng) for values in answered]
        self._weight_F = None
        if not parts:
            return
        x_NF, y_N = (np.concatenate(each) for each in zip(*parts, strict=True))
        spread_F = np.maximum(x_NF.std(0), 1e-9)
        if len({*y_N.tolist()}) == 2:  # else none of the answers is a run that is tried, or nothing else is
            model = LogisticRegression(max_iter=500, class_weight="balanced").fit(x_NF / spread_F, y_N)
            self._weight_F = model.coef_[0] / spread_F

    def _some(self, values: Mapping[str, Any], rng: np.random.Generator) -> tuple[Any, Any]:
        """The right runs of a row, and some wrong ones."""
        seen = self._looks.seen(values)
        right = {(one["start"], one["start"] + len(one["text"])) for one in values["answers"]}
        runs, found_NF = self._looks.runs(seen)
        hit_N = np.array([seen.place(run) in right for run in runs], dtype=bool)
        kept = np.concatenate([np.flatnonzero(hit_N), rng.permutation(np.flatnonzero(~hit_N))[:OTHERS]])
        return found_NF[kept], hit_N[kept]

    def __call__(self, values: Mapping[str, Any]) -> tuple[float, int, int]:
        seen = self._looks.seen(values)
        runs, found_NF = self._looks.runs(seen)
        if not runs or self._weight_F is None:
            return -math.inf, 0, len(values["context"])
        score_N = found_NF @ self._weight_F
        best = int(score_N.argmax())
        return float(score_N[best]), *seen.place(runs[best])


def _least(rows: Sequence[Mapping[str, Any]], best: _Best) -> float:
    """How much must speak for a run, so that the F1 of these rows is best."""
    gaps, answered, none = [], [], []
    for values in rows:
        score, start, end = best(values)
        texts = [answer["text"] for answer in values["answers"]]
        gaps.append(-max(score, -1e9))
        answered.append(answer_words.f1(values["context"][start:end], texts))
        none.append(answer_words.f1("", texts))
    return -answer_words.threshold(gaps, answered, none)


def _told(values: Mapping[str, Any], start: int, end: int) -> dict[str, Any]:
    return {"answer": values["context"][start:end], "start": start, "end": end}


def _none() -> dict[str, Any]:
    return {"answer": "", "start": None, "end": None}


class _Looks:
    """What is looked at: how rare words are, and how long answers, in the training rows."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]):
        answered = [values for values in rows if values["answers"]]
        contexts = {values["context"] for values in rows}
        stood = Counter(word for text in contexts for word in {*map(str.lower, WORD.findall(text))})
        self._count, self._stood = len(contexts), stood
        lengths = Counter(
            len(WORD.findall(answer["text"])) for values in answered for answer in values["answers"]
        )
        total = lengths.total()
        self._likely = [math.log((lengths[n] + 0.5) / (total + MOST)) for n in range(MOST + 1)]
        firsts = Counter(next(iter(self._asked(values["question"])), "") for values in answered)
        self._firsts = {word: place for place, (word, _) in enumerate(firsts.most_common(8))}

    def _asked(self, question: str) -> list[str]:
        return [word.lower() for word in WORD.findall(question)]

    def seen(self, values: Mapping[str, Any]) -> _Seen:
        """A row as words."""
        found = list(WORD.finditer(values["context"]))
        return _Seen([m.span() for m in found], [m[0] for m in found], self._asked(values["question"]))

    def _rare(self, word: str) -> float:
        return math.log((self._count + 1) / (self._stood[word] + 0.5))

    def runs(self, seen: _Seen) -> tuple[list[tuple[int, int]], Any]:
        """The runs of words that may be an answer, and what is seen of each (N, F)."""
        words, asked = seen.words, {word for word in seen.asked if word[0].isalnum()}
        rare_W = np.array([self._rare(word.lower()) for word in words])
        hit_W = np.array(
            [rare if word.lower() in asked else 0.0 for word, rare in zip(words, rare_W, strict=True)]
        )
        near_W = [_near(hit_W), _near(hit_W[::-1])[::-1]] if len(words) else [hit_W, hit_W]
        sentence_W, sums = _sentences(words, hit_W)
        written_W = np.array([_written(word) for word in words]).reshape(-1, 4)
        all_hits = np.concatenate([[0.0], np.cumsum(hit_W)])
        all_rare = np.concatenate([[0.0], np.cumsum(rare_W)])
        first = self._firsts.get(next(iter(seen.asked), ""), len(self._firsts))
        runs = list(_runs(words, sentence_W))
        found = np.zeros((len(runs), 10 + 6 * (len(self._firsts) + 1)))
        for row, (i, j) in zip(found, runs, strict=True):
            shape = [*written_W[i], float(j - i == 1), self._likely[j - i]]
            row[:10] = (
                near_W[0][i - 1] if i else 0.0,
                near_W[1][j] if j < len(words) else 0.0,
                sums[sentence_W[i]],
                all_hits[j] - all_hits[i],
                (all_rare[j] - all_rare[i]) / (j - i),
                self._likely[j - i],
                i / len(words),
                *written_W[i][:3],
            )
            # What an answer looks like depends on how the question begins.
            row[10 + 6 * first : 16 + 6 * first] = shape
        return runs, found


def _near(hit_W: Any) -> Any:
    """At each word how near rare words of the question stand before it, each by its distance."""
    found, now = np.zeros(len(hit_W)), 0.0
    for place, hit in enumerate(hit_W):
        now = 0.8 * now + hit
        found[place] = now
    return found


def _sentences(words: Sequence[str], hit_W: Any) -> tuple[list[int], list[float]]:
    """Of each word its sentence, and of each sentence how much of the question stands in it."""
    found, sums = [], [0.0]
    for word, hit in zip(words, hit_W, strict=True):
        found.append(len(sums) - 1)
        sums[-1] += float(hit)
        if word in ENDS:
            sums.append(0.0)
    return found, sums


def _written(word: str) -> tuple[float, float, float, float]:
    return (
        float(word[:1].isupper()),
        float(any(char.isdigit() for char in word)),
        float(word.isalpha() and len(word) > 3),
        float(word.isupper()),
    )


def _runs(words: Sequence[str], sentence_W: Sequence[int]) -> Iterator[tuple[int, int]]:
    for i, word in enumerate(words):
        if not word[0].isalnum():
            continue
        for j in range(i + 1, min(len(words), i + MOST) + 1):
            if sentence_W[j - 1] != sentence_W[i]:
                break
            if words[j - 1][0].isalnum():
                yield i, j
