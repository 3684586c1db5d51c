"""Are answers as various after tuning as before?  A model that has learnt one tone says the same to everybody.

{"tuned": [said, ...], "untuned": [said, ...]} of the same rows  ->  found(...)  ->  section(found)

An answer that is drawn twice repeats itself, so bootstrap draws say nothing of distinct-n and self-BLEU.  Their intervals
are of halves of the rows: the spread of a statistic over halves drawn without replacement is that over as many rows as
there are (the delete-d jackknife with d = N / 2, Shao & Wu 1989, Annals of Statistics 17).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from weitiao.core import registry
from weitiao.core.contracts import Metric, Section, Told, both
from weitiao.core.contracts.section import Column, Table, TableRow
from weitiao.core.why import reason
from weitiao.evaluate import paired, resample
from weitiao.evaluate.stress.paired_change import Drawing
from weitiao.evaluate.stress.written_otherwise import FEWEST, corrected, estimate
from weitiao.evaluate.words import words

METRICS = ("distinct_1", "distinct_2", "self_bleu", "repetition")
SYSTEMS = ("tuned", "untuned")
HALVES = 200


def found(
    told: Mapping[str, Told],
    groups: Sequence[int],
    drawing: Drawing,
    *,
    metrics: Sequence[str] = METRICS,
) -> dict[str, Any]:
    """How various the answers are, by metric: both systems, the paired difference, its interval and test.

    Args:
        told: by system, `tuned` and `untuned`, what it answered to the same rows (`answer`).
        groups: which group each row is of.
        drawing: of intervals and tests.
        metrics: of answers, by name.

    Returns:
        `rows` and `metrics`: each with `name`, `tuned`, `untuned` (`value`, `low`, `high`), `difference` (tuned less
        untuned), `low`, `high`, `p_value` and `p_holm` over all of them; or `why` there are none.
    """
    rows = len(told.get("tuned", ()))
    if rows < FEWEST or len(told.get("untuned", ())) != rows:
        return {"rows": rows, "why": reason("too_few_answers", rows=FEWEST)}
    unit_N, count = resample.units(groups, rows)
    each = [_of(name, told, unit_N, count, drawing) for name in metrics]
    corrected(each)
    return {"rows": rows, "metrics": each}


def _of(name: str, told: Mapping[str, Told], unit_N: Any, count: int, drawing: Drawing) -> dict[str, Any]:
    metric: Metric = registry.build("metric", {"name": name})
    sides = {system: metric.rows([], told[system], ()) for system in SYSTEMS}
    test = paired.tests({"m": (metric, sides["tuned"], sides["untuned"])}, unit_N, count, seed=drawing.seed)[
        "m"
    ]
    drawn_RN = _halves(unit_N, count, drawing.seed)
    values = {
        system: (float(metric.over(rows, np.ones((1, len(rows))))[0]), metric.over(rows, drawn_RN))
        for system, rows in sides.items()
    }
    (tuned, of_tuned), (untuned, of_untuned) = (values[system] for system in SYSTEMS)
    made = {
        "name": name,
        "tuned": _around(tuned, of_tuned, drawing),
        "untuned": _around(untuned, of_untuned, drawing),
        **{key: test[key] for key in ("difference", "p_value", "test")},
    }
    beside = _around(tuned - untuned, of_tuned - of_untuned, drawing)
    return {**made, "low": beside["low"], "high": beside["high"]}


def _halves(unit_N: Any, count: int, seed: int) -> Any:
    """Which rows stand in each draw, whole units at a time (R, N)."""
    rng = np.random.default_rng(seed)
    ranks_RU = rng.random((HALVES, count)).argsort(axis=1).argsort(axis=1)
    return (ranks_RU < count // 2)[:, unit_N].astype(float)


def _around(value: float, drawn_R: Any, drawing: Drawing) -> dict[str, Any]:
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    spread = float(np.std(drawn_R[np.isfinite(drawn_R)])) if np.isfinite(drawn_R).any() else 0.0
    if spread <= 1e-9 * abs(value):  # every half says the same, but for rounding
        return {"value": value, "low": None, "high": None}
    reach = NormalDist().inv_cdf(0.5 + drawing.confidence / 2) * spread
    return {"value": value, "low": value - reach, "high": value + reach}


def section(said: Mapping[str, Any]) -> Section:
    """The table.

    Args:
        said: what `found` gives, with `metrics`.
    """
    titles = (("tuned", "微调后"), ("untuned", "微调前"), ("difference", "差值"), ("p", "p"))
    return Table(
        title=both("Diversity of the answers", "回答的多样性"),
        note=both(
            "Answers to the same locked test rows, after and before tuning. Less distinct, more self-BLEU or more repetition: "
            "the tuned model says more of the same. Intervals are of halves of the rows; p is of the paired difference, "
            "corrected over all lines (Holm).",
            "对同一批锁定测试行，微调后与微调前的回答。distinct 更低，或自 BLEU、重复率更高，说明微调后的回答更雷同。"
            "区间来自各行的半数抽样；p 针对配对差值，并对所有行做了 Holm 校正。",
        ),
        foot=both(f"{said['rows']:,} answers.", f"{said['rows']:,} 条回答。"),
        head=both("of the answers", "回答的"),
        columns=[Column(title=both(*title)) for title in titles],
        rows=[
            TableRow(
                name=both(*(words(language).get(one["name"], one["name"]) for language in ("en", "zh"))),
                values=[
                    *(estimate(one[side]) for side in SYSTEMS),
                    estimate(one, "difference"),
                    one["p_holm"],
                ],
            )
            for one in said["metrics"]
        ],
        brief=True,
    )
