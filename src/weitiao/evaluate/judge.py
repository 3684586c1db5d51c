"""Predictions and truth in, numbers with intervals and tests out: one table for every metric of every task.

    judge(references, {"tuned": [...], "untuned": [...]}, {"f1": F()}, ...)  ->  {"metrics": ..., "comparisons": ...}
    measured(task, metrics, predictions, examples)                           ->  {"loss": 0.41, "loss_se": 0.03, ...}

A metric gives what every row tells, once a system; from that come its value, its interval and the test of its
difference to every other system.  Where rows belong together (`groups`) whole groups are drawn: ten rows of one user are
not ten witnesses.  A value that is not defined is None and says why; no table holds nan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from weitiao.core.contracts import Example, Metric, Summed, Task, Told
from weitiao.core.errors import language
from weitiao.evaluate import paired, resample, studentised
from weitiao.evaluate.said import said

Systems: TypeAlias = Mapping[str, Told]
Rows: TypeAlias = dict[str, dict[str, Any]]
"""By system and metric what each row tells (N, K); a metric is left out where a system does not give what it needs."""

ALONE = ("a single row (or group) has no interval", "只有一行（或一组）数据，没有区间")
ALIKE = ("all draws of rows give one value: no interval", "每次抽取结果都相同，没有区间")
SELDOM = ("too few rows for an interval", "行数太少，没有区间")
LEANS = (
    "too few rows a class for an interval: so few make the value itself too low or too high",
    "每类的行数太少，没有区间：行数如此少时该值本身就有偏差",
)
NOT_GIVEN = ("it gives no {}", "它不给出 {}")
DRAWN = 20_000_000
"""So many rows are drawn for the interval of one value, all draws together."""


def judge(
    references: Told,
    systems: Systems,
    metrics: Mapping[str, Metric],
    *,
    labels: Sequence[str] = (),
    groups: Sequence[int] | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Every metric of every system, with its interval, and `tuned` beside each other system.

    Args:
        references: what was expected, one a row.
        systems: by name what each said of the same rows; `tuned` among them.
        metrics: by name; the first is the primary one.
        labels: the task's, in order.
        groups: which group each row is of; None: each is its own.
        confidence: coverage of the intervals.
        resamples: bootstrap draws.
        seed: of draws and tests.
    """
    rows = read(references, systems, metrics, labels)
    unit_N, count = resample.units(groups, len(references))
    found: dict[str, dict[str, Any]] = {}
    for system, own in rows.items():
        values = {name: value(metrics[name], each) for name, each in own.items()}
        # What is not defined on all rows is not asked of some.
        asked = {name: (metrics[name], own[name]) for name, one in values.items() if math.isfinite(one)}
        spans = _intervals(asked, unit_N, count, confidence, resamples=resamples, seed=seed)
        found[system] = {
            name: _unsaid(metric, systems[system], labels)
            if name not in own
            else _none(metric.undefined)
            if name not in asked
            else _around(metric, values[name], own[name], unit_N, count, spans.get(name))
            for name, metric in metrics.items()
        }
        for name, (metric, each) in asked.items():
            ideal = metric.by_chance(each, resamples, np.random.default_rng(seed))
            if ideal is not None and (span := resample.interval(ideal, confidence)):
                found[system][name]["by_chance"] = {"low": span[0], "high": span[1]}
    beside = {
        other: compare(metrics, rows["tuned"], rows[other], unit_N, count, seed=seed)
        for other in systems
        if other != "tuned"
    }
    return {"metrics": found, "comparisons": beside}


def read(references: Told, systems: Systems, metrics: Mapping[str, Metric], labels: Sequence[str]) -> Rows:
    """What each row tells of each system under each metric."""
    return {
        system: {
            name: np.asarray(metric.rows(references, told, labels))
            for name, metric in metrics.items()
            if told and not metric.lacks(told[0]) and not (labels and metric.refuses(labels))
        }
        for system, told in systems.items()
    }


def value(metric: Metric, rows_NK: Any) -> float:
    """The metric of all rows; nan where it is not defined."""
    if isinstance(metric, Summed):
        return float(metric.value(rows_NK.sum(0)))
    return float(metric.over(rows_NK, np.ones((1, len(rows_NK))))[0])


def around(
    metric: Metric,
    rows_NK: Any,
    groups: Sequence[int] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """One metric of some rows with its interval, as `judge` gives it; None and the reason where it is not defined.

    Args:
        metric: any.
        rows_NK: what each row tells.
        groups: which group each row is of; None: each is its own.
        confidence: coverage of the interval.
        resamples: bootstrap draws; fewer where rows are many.
        seed: of the draws.
    """
    unit_N, count = resample.units(groups, len(rows_NK))
    found = value(metric, rows_NK)
    if not math.isfinite(found):
        return _none(metric.undefined)
    times = min(resamples, max(resample.FEWEST, DRAWN // count))
    spans = _intervals({"": (metric, rows_NK)}, unit_N, count, confidence, resamples=times, seed=seed)
    return _around(metric, found, rows_NK, unit_N, count, spans.get(""))


def compare(
    metrics: Mapping[str, Metric],
    ours: Mapping[str, Any],
    others: Mapping[str, Any],
    unit_N: Any,
    count: int,
    *,
    seed: int,
) -> dict[str, Any]:
    """The difference and the paired test of every metric; those of the first stand on their own, too.

    Args:
        metrics: by name; the first is the primary one.
        ours: rows (N, K) by metric, of the system whose gain is asked.
        others: those of the other one.
        unit_N: unit of each row.
        count: how many units there are.
        seed: of the tests.
    """
    both = {
        name: (metric, ours[name], others[name])
        for name, metric in metrics.items()
        if name in ours and name in others
    }
    tests = paired.tests(both, unit_N, count, seed=seed)
    nothing = {"difference": None, "p_value": None, "test": None}
    each = {name: tests.get(name, nothing) for name in metrics}
    return {**each[next(iter(metrics))], "metrics": each}


def measured(
    task: Task,
    metrics: Mapping[str, Metric],
    predictions: Told,
    examples: Sequence[Example],
) -> dict[str, float]:
    """What the validation rows say, without intervals: `loss` and its standard error, `loss_se`, and every metric that
    goes by predictions.

    Args:
        task: whose rows they are.
        metrics: of `watched`.
        predictions: one an example.
        examples: encoded rows.
    """
    expected = [task.expected(example) for example in examples]
    rows = {
        name: np.asarray(metric.rows(expected, predictions, task.classes()))
        for name, metric in metrics.items()
    }
    found = {name: value(metrics[name], each) for name, each in rows.items()}
    loss = metrics["loss"]
    return {**found, "loss_se": error(loss, rows["loss"])} if isinstance(loss, Summed) else found


def error(metric: Summed, rows_NK: Any) -> float:
    """Standard error of a function of sums: the rows are left out one by one (the jackknife, Tukey 1958); nan for one row."""
    count = len(rows_NK)
    if count < 2:
        return math.nan
    without_N = metric.value(rows_NK.sum(0) - rows_NK)
    return float(math.sqrt((count - 1) / count * ((without_N - without_N.mean()) ** 2).sum()))


def _intervals(
    asked: Mapping[str, tuple[Metric, Any]],
    unit_N: Any,
    count: int,
    confidence: float,
    *,
    resamples: int,
    seed: int,
) -> dict[str, tuple[float, float] | None]:
    """Of each metric the interval that its kind asks for, by name; none for one that has no interval.

    Shares have a closed form; what ends on one side alone goes by standard errors, everything else by percentiles.
    """
    closed = {name: _closed(metric, rows, count, confidence) for name, (metric, rows) in asked.items()}
    found: dict[str, tuple[float, float] | None] = {
        name: span for name, span in closed.items() if span is not None
    }
    again = {name: one for name, one in asked.items() if name not in found and not one[0].no_interval}
    if count < 2 or not again:
        return found
    words: dict[str, Any] = {"resamples": resamples, "seed": seed}
    ending = {
        name: (metric, rows) for name, (metric, rows) in again.items() if studentised.suits(metric, rows)
    }
    off = studentised.pivots(ending, unit_N, count, **words) if ending else {}
    for name, (metric, rows) in ending.items():
        span = studentised.interval(metric, rows, unit_N, count, off[name], confidence)
        if span is not None:
            found[name] = span
    # What is at its end, as a loss of nothing, has no logarithm there.
    rest = {name: one for name, one in again.items() if name not in found}
    drawn = resample.bootstrap(rest, unit_N, count, **words) if rest else {}
    for name, (one, rows) in rest.items():
        freedom = resample.freedom(one, rows, unit_N, count, most=len(drawn[name]))
        found[name] = resample.interval(drawn[name], confidence, count=count, freedom=freedom)
    return found


def _around(
    metric: Metric, found: float, rows_NK: Any, unit_N: Any, count: int, span: tuple[float, float] | None
) -> dict[str, Any]:
    """A value with its interval."""
    if span and math.isclose(*span, rel_tol=1e-12, abs_tol=1e-12):
        return _none(ALIKE, value=found)  # rows that are all right tell nothing of others
    if span and resample.leans(metric, rows_NK, unit_N, count):
        return _none(LEANS, value=found)
    if span is None:
        return _none(metric.no_interval or (SELDOM if count > 1 else ALONE), value=found)
    return {"value": found, "low": span[0], "high": span[1]}


def _closed(metric: Metric, rows_NK: Any, count: int, confidence: float) -> tuple[float, float] | None:
    """Wilson's interval of a share (Wilson 1927, JASA 22, 209-212), where rows are their own units, or all alike:
    drawing groups that are all right tells nothing of others."""
    from scipy import stats

    if not (isinstance(metric, Summed) and metric.whole(rows_NK)):
        return None
    share = rows_NK[:, 0].mean()
    if count != len(rows_NK) and 0 < share < 1:
        return None
    found = stats.binomtest(round(float(share) * count), count).proportion_ci(confidence, "wilson")
    return float(found.low), float(found.high)


def _unsaid(metric: Metric, told: Told, labels: Sequence[str]) -> dict[str, Any]:
    """Why a metric is not asked; rows that were given may carry more labels than the task knew of when it was named."""
    if told and (lacking := metric.lacks(told[0])):
        return _none(NOT_GIVEN, said(lacking, language()))
    return {"value": None, "low": None, "high": None, "why": metric.refuses(labels)}


def _none(why: tuple[str, str], *words: str, value: float | None = None) -> dict[str, Any]:
    """No number, or no interval, and why."""
    said = why[("en", "zh").index(language())].format(*words)
    return {"value": value, "low": None, "high": None, "why": said}
