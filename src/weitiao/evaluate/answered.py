"""Judging where only some of the rows were answered in words: generation takes long, scoring does not.

chosen(1000, 100, seed=0)                                ->  a hundred rows, drawn by the seed, in order
judge_some(references, systems, metrics, rows=[3, 7])    ->  as `judge`; metrics of answers go by these rows alone
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from weitiao.core.contracts import Metric, Told
from weitiao.core.errors import language
from weitiao.evaluate import judge
from weitiao.evaluate.chosen import LATE
from weitiao.evaluate.judge import Systems

NONE = ("no test row was answered (evaluate.answers)", "没有对任何测试行生成回答（evaluate.answers）")


def chosen(count: int, wanted: int | None, *, seed: int) -> list[int]:
    """Which of so many rows are answered; None: all."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return sorted(Random(seed).sample(range(count), wanted))


def judge_some(
    references: Told,
    systems: Systems,
    metrics: Mapping[str, Metric],
    *,
    rows: Sequence[int],
    groups: Sequence[int] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """What `judge` says; the metrics that need answers look at some rows alone.

    Args:
        references: what was expected, one a row.
        systems: by name what each said of the same rows.
        metrics: by name; the first is the primary one.
        rows: those that were answered.
        groups: which group each row is of.
        options: as `judge`.
    """
    spoken = {name: metric for name, metric in metrics.items() if {*LATE} & {*metric.needs}}
    others = {name: metric for name, metric in metrics.items() if name not in spoken}
    if not spoken or len(rows) == len(references):
        return judge.judge(references, systems, metrics, groups=groups, **options)
    parts = [judge.judge(references, systems, others, groups=groups, **options)] if others else []
    if rows:
        some = {system: [told[row] for row in rows] for system, told in systems.items() if told}
        some_groups = None if groups is None else [groups[row] for row in rows]
        part = judge.judge([references[row] for row in rows], some, spoken, groups=some_groups, **options)
        for found in part["metrics"].values():
            found |= {name: {**one, "rows": len(rows)} for name, one in found.items()}
        parts.append(part)
    else:
        parts.append(_unanswered(systems, spoken))
    first = parts[0] if next(iter(metrics)) in others else parts[-1]
    return {
        "metrics": {
            system: {
                name: next(part["metrics"][system][name] for part in parts if name in part["metrics"][system])
                for name in metrics
            }
            for system in systems
        },
        "comparisons": {
            other: {
                **beside,
                "metrics": {
                    name: each
                    for part in parts
                    for name, each in part["comparisons"].get(other, {}).get("metrics", {}).items()
                },
            }
            for other, beside in first["comparisons"].items()
        },
    }


def _unanswered(systems: Systems, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    why = NONE[("en", "zh").index(language())]
    nothing = {"value": None, "low": None, "high": None, "why": why}
    compared = {"difference": None, "p_value": None, "test": None}
    return {
        "metrics": {system: dict.fromkeys(metrics, nothing) for system in systems},
        "comparisons": {
            other: {**compared, "metrics": dict.fromkeys(metrics, compared)}
            for other in systems
            if other != "tuned"
        },
    }
