"""Several runs on one page, as sections like any others.

run folders  ->  side_by_side(runs)  ->  {"scores": Table, "against_first": Table, "learning": Curve, "settings": Table, "costs": Table}

Runs need not have been judged on the same rows; where they were, each is tested against the first, pair by pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from weitiao.core import registry
from weitiao.core.contracts import both
from weitiao.core.contracts.section import Both, Cell, Column, Curve, Estimate, Line, Section, Table, TableRow
from weitiao.core.errors import fault
from weitiao.core.files import read_lines
from weitiao.core.results import VERSION
from weitiao.core.run import RunFolder
from weitiao.evaluate.report.charts import told
from weitiao.evaluate.words import pairs

NO_SETTING = ("output_dir", "data.train", "data.validation", "data.test")
"""Where rows lie and where results go: no setting of a method."""


@dataclass(frozen=True)
class Judged:
    """A judged run, as a reader of its folder finds it."""

    name: str
    folder: RunFolder

    @cached_property
    def results(self) -> dict[str, Any]:
        """What the judge found.

        Raises:
            WeitiaoError: `not_judged_yet`, `old_results`.
        """
        found = self.folder.json("results.json")
        if not found:
            raise fault("not_judged_yet", run=self.folder.path)
        if found.get("version") != VERSION:
            raise fault("old_results", run=self.folder.path, version=found.get("version", "-"))
        return found

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The recipe, flat: `train.learning_rate` -> 1e-4."""
        return dict(_flat(yaml.safe_load((self.folder.path / "recipe.yaml").read_text(encoding="utf-8"))))

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """One a test row."""
        return read_lines(self.folder.path / "predictions.jsonl")


def side_by_side(folders: Sequence[RunFolder]) -> dict[str, Section]:
    """The sections of the page, in order.

    Args:
        folders: of judged runs; the first is the one that the others are tested against.

    Raises:
        WeitiaoError: `not_judged_yet`, `old_results`.
    """
    runs = [Judged(name, folder) for name, folder in zip(_names(folders), folders, strict=True)]
    made = {
        "scores": _scores(runs),
        "against_first": _against_first(runs),
        "learning": _learning(runs),
        "settings": _settings(runs),
        "costs": _costs(runs),
    }
    return {name: section for name, section in made.items() if section}


def _names(folders: Sequence[RunFolder]) -> list[str]:
    """The folders' names; all of their paths where two are the same."""
    short = [folder.path.resolve().name for folder in folders]
    return short if len({*short}) == len(short) else [str(folder.path) for folder in folders]


def called(name: str) -> Both | str:
    """A metric, or the like, in both languages."""
    pair = pairs().get(f"macro_{name}", pairs().get(name))
    return both(*pair) if pair else name.replace("_", " ")


def _columns(runs: Sequence[Judged]) -> list[Column]:
    return [Column(title=run.name) for run in runs]


def _scores(runs: Sequence[Judged]) -> Table:
    """Every metric of every run, and what the untuned models have of the first one."""
    tuned = [run.results["metrics"]["tuned"] for run in runs]
    primary = runs[0].results["primary"]
    names = dict.fromkeys([primary, *(name for metrics in tuned for name in metrics)])
    rows = [
        TableRow(name=called(name), values=[_estimate(each.get(name)) for each in tuned]) for name in names
    ]
    before: list[Cell] = [_estimate(run.results["metrics"].get("untuned", {}).get(primary)) for run in runs]
    if any(before):
        name = called(primary)
        en, zh = (name.en, name.zh) if isinstance(name, Both) else (name, name)
        rows.insert(1, TableRow(name=both(f"{en}, untuned", f"{zh}（微调前）"), values=before))
    rows.append(TableRow(name=both("test rows", "测试行数"), values=[run.results["rows"] for run in runs]))
    return Table(
        title=both("Scores", "得分"),
        note=both("Of the tuned models, with their intervals.", "微调后模型的得分与区间。"),
        columns=_columns(runs),
        rows=rows,
    )


def systems(results: Mapping[str, Any]) -> Table:
    """What all systems of one run have of its primary metric."""
    primary = results["primary"]
    rows = [
        TableRow(name=called(system), values=[_estimate(found.get(primary))])
        for system, found in results["metrics"].items()
    ]
    title = both("Tuned beside the rest", "前后对照")
    return Table(title=title, columns=[Column(title=called(primary))], rows=rows)


def _estimate(found: Mapping[str, Any] | None) -> Estimate | None:
    if found is None or found["value"] is None:
        return None
    return Estimate(**{key: found[key] for key in ("value", "low", "high")})


def _against_first(runs: Sequence[Judged]) -> Table | None:
    """Each run's primary metric less the first one's, tested on the same rows."""
    from weitiao.evaluate.judge import compare, read
    from weitiao.evaluate.paired import holm
    from weitiao.evaluate.resample import units

    first, *others = runs
    primary = first.results["primary"]
    if not others or primary not in registry.names("metric"):
        return None
    metrics = {primary: registry.build("metric", {"name": primary})}
    groups = [line.get("group", number) for number, line in enumerate(first.lines)]
    unit_N, count = units(groups, len(groups))
    found: dict[str, dict[str, Any]] = {}
    for run in others:
        if _expected(run) == _expected(first) and run.results["labels"] == first.results["labels"]:
            systems = {
                name: [line["tuned"] for line in one.lines] for name, one in (("a", first), ("b", run))
            }
            told_of = read(first.lines, systems, metrics, first.results["labels"])
            if told_of["a"] and told_of["b"]:
                beside = compare(metrics, told_of["b"], told_of["a"], unit_N, count, seed=0)
                found[run.name] = beside["metrics"][primary]
    tested = [name for name, pair in found.items() if pair["p_value"] is not None]
    p_values = dict(zip(tested, holm([found[name]["p_value"] for name in tested]), strict=True))
    no_test = both("not compared: other test rows", "测试数据不同，不作比较")
    rows = [
        TableRow(
            name=run.name,
            values=[found[run.name]["difference"], p_values.get(run.name)]
            if run.name in found
            else [no_test, None],
        )
        for run in others
    ]
    name = called(primary)
    return Table(
        title=both("Against the first", "与第一个相比"),
        note=both(
            f"Against {first.name}, on the same test rows: a paired test; p-values are corrected by Holm's method.",
            f"与 {first.name} 在同一测试集上逐行配对检验，p 值经 Holm 法校正。",
        ),
        columns=[
            Column(
                title=both(f"difference, {name.en}", f"{name.zh}之差") if isinstance(name, Both) else name
            ),
            Column(title=both("p-value", "p 值")),
        ],
        rows=rows,
    )


def _expected(run: Judged) -> list[Any]:
    """What was asked of a run's test rows: all that is no answer of a system, less where it lay."""
    systems = {*run.results["metrics"], "file", "line", "group"}
    return [{key: value for key, value in line.items() if key not in systems} for line in run.lines]


def _learning(runs: Sequence[Judged]) -> Curve | None:
    """The loss on the validation rows of each run, as training went on; none where they are losses of different tasks."""
    if len({run.results["task"] for run in runs}) > 1:
        return None
    lines = []
    for run in runs:
        story = told(read_lines(run.folder.path / "log.jsonl"))
        x, y = story.points("validation/loss")
        if x and story.axis == "epoch":
            lines.append(Line(name=run.name, x=x, y=y))
    if not lines:
        return None
    title = both("Validation loss", "验证损失")
    return Curve(title=title, x=both("epoch", "轮次"), y=both("loss", "损失"), lines=lines)


def _settings(runs: Sequence[Judged]) -> Table | None:
    """What their recipes do not have in common."""
    keys = dict.fromkeys(key for run in runs for key in run.settings if key not in NO_SETTING)
    rows = []
    for key in keys:
        values = [run.settings.get(key) for run in runs]
        if any(value != values[0] for value in values):
            rows.append(TableRow(name=key, values=[_setting(value) for value in values]))
    if not rows:
        return None
    title = both("Settings that differ", "不同的设置")
    note = both("All others are the same.", "其余设置均相同。")
    return Table(title=title, note=note, columns=_columns(runs), rows=rows)


def _setting(value: Any) -> Cell:
    return None if value is None else str(value)


def _costs(runs: Sequence[Judged]) -> Table:
    """What they took."""
    trained = [run.results["trainable"]["trained"] for run in runs]
    seconds = [run.results["seconds"]["train"] for run in runs]
    return Table(
        title=both("Costs", "代价"),
        columns=_columns(runs),
        rows=[
            TableRow(name=both("trained parameters", "训练的参数"), values=trained),
            TableRow(name=both("training, seconds", "训练用时（秒）"), values=seconds),
        ],
    )


def _flat(tree: Mapping[str, Any], above: str = "") -> Any:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def title(folders: Sequence[RunFolder]) -> str:
    """Their names, side by side."""
    return " · ".join(Path(name).name for name in _names(folders))
