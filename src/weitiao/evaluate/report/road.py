"""Several runs of which each begins where others ended, on one page: what every step gave.

{"sft": folder, "reward": folder, "grpo": folder}  ->  road(...)  ->  {"steps": Table, ...}
                                                  verdicts(...)  ->  [["It learned: ..."], ...]

Steps are of different tasks: each is judged by its own metric, beside what it began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weitiao.core.contracts import both
from weitiao.core.contracts.section import Cell, Column, Table, TableRow, estimated
from weitiao.core.run import RunFolder
from weitiao.evaluate.analysed import plain
from weitiao.evaluate.report.side_by_side import Judged, called
from weitiao.evaluate.verdict import remarks, retold

FOLLOWED = ("reward_parts", "general")
"""Sections of the last step that tell what became of the model besides."""


def road(steps: Mapping[str, RunFolder]) -> dict[str, Any]:
    """The sections of the page, in order, as results keep them.

    Args:
        steps: by name, in the order in which they were gone; all judged.

    Raises:
        WeitiaoError: `not_judged_yet`, `old_results`.
    """
    runs = [Judged(name, folder) for name, folder in steps.items()]
    last = runs[-1].results["sections"]
    return {**plain({"steps": _steps(runs)}), **{name: last[name] for name in FOLLOWED if name in last}}


def _steps(runs: list[Judged]) -> Table:
    columns = [
        Column(title=both("measured by", "指标")),
        Column(title=both("tuned", "微调后")),
        Column(title=both("untuned", "微调前")),
        Column(title=both("p-value", "p 值")),
        Column(title=both("test rows", "测试行数")),
        Column(title=both("training, seconds", "训练用时（秒）")),
    ]
    return Table(
        title=both("The road", "全程"),
        note=both(
            "Each step on its own locked rows, beside the model that it began with; a paired test on the same rows.",
            "每一步都在各自锁定的测试数据上评估，与该步开始前的模型对照；在相同数据上逐行配对检验。",
        ),
        head=both("step", "步骤"),
        columns=columns,
        rows=[TableRow(name=run.name, values=_step(run)) for run in runs],
    )


def _step(run: Judged) -> list[Cell]:
    results = run.results
    primary, metrics = results["primary"], results["metrics"]
    before = metrics.get("untuned", {}).get(primary, {"value": None})
    return [
        called(primary),
        estimated(metrics["tuned"][primary]),
        estimated({"low": None, "high": None, **before}),
        results["comparisons"].get("untuned", {}).get("p_value"),
        metrics["tuned"][primary].get("rows", results["rows"]),
        results["seconds"]["train"],
    ]


def verdicts(steps: Mapping[str, RunFolder]) -> list[list[str]]:
    """Of each step its verdict in the reader's language, and what must be known besides.

    Raises:
        WeitiaoError: as `road`.
    """
    runs = [Judged(name, folder) for name, folder in steps.items()]
    return [
        [
            retold(run.results, confidence=run.settings.get("evaluate.confidence", 0.95)),
            *remarks(run.results),
        ]
        for run in runs
    ]
