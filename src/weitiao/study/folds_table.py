"""What a cross-validation found: every fold, all folds together, and all rows together, out of the run folders alone.

    entries, run folders  ->  gather(folder, entries, ...)  ->  cv.json
    run folders           ->  out_of_fold(folder, rows)     ->  a line a row: file, line, fold, what every system said

Two answers to two questions.  Over the folds: how well does training by this recipe do, on rows and with training rows
of this kind?  Its interval is the corrected one (`corrected.py`).  Over all rows: what did these very models score, each
on rows that it had not seen?  That goes through the judge's table, as a run's test rows do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weitiao.core import registry
from weitiao.core.contracts import Task
from weitiao.core.errors import language
from weitiao.core.files import read_lines
from weitiao.core.run import RunFolder
from weitiao.evaluate.answered import judge_some
from weitiao.evaluate.chosen import ANSWER, judged
from weitiao.evaluate.paired import holm
from weitiao.evaluate.words import words
from weitiao.study.corrected import over_folds, paired_over_folds
from weitiao.study.schedule import DONE
from weitiao.study.table import refuse_other_ground, row_of

VERSION = 1
"""Of `cv.json`; it changes when a reader of an older one could not read it."""
SIDES = ("train", "validation", "test")
SAME = ("data", "base")
"""What must be the same for all folds: the files' fingerprint, the base model's."""
LINE = ("file", "line", "fold", "group")

SAYS = {
    "en": {
        "none": "No fold has been judged yet.",
        "mean": "{name} {mean} on average over {folds} folds (standard deviation {sd}{interval}), every one of {rows} rows tested once",
        "interval": ", {confidence} interval {low} to {high}",
        "some": "; {left} of {all} folds are missing",
        "better": "; a proven gain over {system} ({value})",
        "level": "; the difference to {system} ({value}) is within chance",
        "worse": "; proven worse than {system} ({value})",
        "end": ".",
    },
    "zh": {
        "none": "还没有任何一折得到评估。",
        "mean": "{folds} 折平均 {name} 为 {mean}（标准差 {sd}{interval}），{rows} 行各测试一次",
        "interval": "，{confidence} 区间 {low} 至 {high}",
        "some": "；{all} 折中缺 {left} 折",
        "better": "；经检验优于{system}（{value}）",
        "level": "；与{system}（{value}）的差异在偶然范围内",
        "worse": "；经检验差于{system}（{value}）",
        "end": "。",
    },
}


def gather(
    folder: Path,
    entries: Sequence[Mapping[str, Any]],
    *,
    recipe: Mapping[str, Any],
    task: Task,
    dealt: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of `cv.json`.

    Args:
        folder: the cross-validation's, with the run folders in it.
        entries: `label`, `folder`, `fold`, `failure`, `goes_on` and `seconds` of every fold, in order.
        recipe: what all folds are asked.
        task: what is learnt; it names the primary metric.
        dealt: how the rows were dealt.
    """
    rows = [_fold(folder, entry) for entry in entries]
    done = [row for row in rows if row["state"] == "judged"]
    if done:
        refuse_other_ground(folder, rows, done[0], SAME)
        done = [row for row in rows if row["state"] == "judged"]
    metrics = judged(_learnt(folder, done[0]) if done else task, recipe["evaluate"]["metrics"])
    confidence = recipe["evaluate"]["confidence"]
    found: dict[str, Any] = {
        "version": VERSION,
        "model": recipe["model"],
        "task": recipe["task"]["name"],
        "method": recipe["method"]["name"],
        "metric": task.primary,
        "higher_is_better": metrics[task.primary].higher_is_better,
        "lower_is_better": [name for name, metric in metrics.items() if not metric.higher_is_better],
        "confidence": confidence,
        "dealt": dict(dealt),
        "ratio": _ratio(done),
        "folds": rows,
        **_over_folds(done, {name: each.bounds for name, each in metrics.items()}, confidence=confidence),
        # Many draws: once, when all folds have come to their end.
        "all_rows": _over_rows(folder, done, metrics, recipe)
        if all(r["state"] in DONE for r in rows)
        else None,
        "facts": RunFolder(folder / done[0]["folder"]).json("facts.json") if done else {},
        "recipe": dict(recipe),
    }
    return {"sentence": sentence(found), **found}


def out_of_fold(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What every system said of every row, by models that had not seen it; in the order of the files.

    Args:
        folder: the cross-validation's.
        rows: `folds` of `cv.json`; those that are judged are read.
    """
    lines, places = [], dict[str, int]()
    for row in rows:
        if row["state"] != "judged":
            continue
        run = RunFolder(folder / row["folder"])
        for file in run.json("data/ledger.json").get("files", ()):
            places.setdefault(file["path"], len(places))
        for line in read_lines(run.path / "predictions.jsonl"):
            rest = {key: value for key, value in line.items() if key not in LINE}
            lines.append(
                {
                    "file": line["file"],
                    "line": line["line"],
                    "fold": row["fold"],
                    "group": line["group"],
                    **rest,
                }
            )
    return sorted(lines, key=lambda line: (places.get(line["file"], len(places)), line["line"]))


def _fold(folder: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A fold's row: what any study says of a run, how many rows it had, and every system's metrics."""
    row = row_of(folder, entry)
    run = RunFolder(folder / entry["folder"])
    split = run.json("data/split.json")
    row["rows"] = {side: len(split[side]) for side in SIDES} if split else None
    scored = run.json("results.json")["metrics"] if row["state"] == "judged" else {}
    row["metrics"] = {
        system: {name: one["value"] for name, one in own.items()} for system, own in scored.items()
    }
    return row


def _learnt(folder: Path, row: Mapping[str, Any]) -> Task:
    """The task with what the rows taught it: the same in all folds, since it learns from the rows of all files."""
    card = RunFolder(folder / row["folder"]).json("model/weitiao.json")
    found: Task = registry.build("task", card["task"])
    return found


def _ratio(done: Sequence[Mapping[str, Any]]) -> float | None:
    """Test rows to training rows, over all folds."""
    trained = sum(row["rows"]["train"] for row in done)
    return sum(row["rows"]["test"] for row in done) / trained if trained else None


def _over_folds(
    done: Sequence[Mapping[str, Any]], bounds: Mapping[str, tuple[float, float]], *, confidence: float
) -> dict[str, Any]:
    """Every metric of `bounds` of every system over the folds, and tuned beside each other system, fold by fold."""
    ratio = _ratio(done) or 0.0
    systems = [
        name for name in (done[0]["metrics"] if done else ()) if all(name in row["metrics"] for row in done)
    ]

    def values(system: str, name: str) -> list[float | None]:
        return [row["metrics"][system].get(name) for row in done]

    metrics = {
        system: {
            name: over_folds(values(system, name), ratio=ratio, confidence=confidence, bounds=ends)
            for name, ends in bounds.items()
        }
        for system in systems
    }
    others = [system for system in systems if system != "tuned"]
    comparisons: dict[str, dict[str, Any]] = {system: {} for system in others}
    for name, ends in bounds.items():
        tuned = values("tuned", name) if others else []
        found = [
            paired_over_folds(tuned, values(system, name), ratio=ratio, confidence=confidence, bounds=ends)
            for system in others
        ]
        tested = [pair for pair in found if pair["p_value"] is not None]
        for pair, p in zip(tested, holm([pair["p_value"] for pair in tested]), strict=True):
            pair["p_holm"] = p
        for system, pair in zip(others, found, strict=True):
            comparisons[system][name] = {"p_holm": None, **pair}
    return {"metrics": metrics, "comparisons": comparisons}


def _over_rows(
    folder: Path, done: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any], recipe: Mapping[str, Any]
) -> dict[str, Any] | None:
    """All rows in the judge's table, each answered by the model that had not seen it."""
    lines = out_of_fold(folder, done)
    if not lines:
        return None
    names = [system for system in done[0]["metrics"] if all(system in row["metrics"] for row in done)]
    systems = {system: [line[system] for line in lines] for system in names}
    labels = RunFolder(folder / done[0]["folder"]).json("results.json")["labels"]
    # A group stays in one fold, and each fold counts its groups from 0.
    units: dict[tuple[int, int], int] = {}
    groups = [units.setdefault((line["fold"], line["group"]), len(units)) for line in lines]
    settings = recipe["evaluate"]
    found = judge_some(
        lines,
        systems,
        metrics,
        rows=[row for row, told in enumerate(systems["tuned"]) if ANSWER in told],
        labels=labels,
        groups=groups,
        confidence=settings["confidence"],
        resamples=settings["resamples"],
        seed=recipe["seed"],
    )
    return {"rows": len(lines), **found}


def sentence(found: Mapping[str, Any]) -> str:
    """What a reader wants to know first, no more than the numbers bear."""
    says, named = SAYS[language()], words(language())
    own = found["metrics"].get("tuned", {}).get(found["metric"])
    if own is None or own["mean"] is None:
        return says["none"]
    interval = ""
    if own["low"] is not None:
        low, high = (f"{own[key]:.3f}" for key in ("low", "high"))
        interval = says["interval"].format(confidence=f"{100 * found['confidence']:g} %", low=low, high=high)
    missing = len(found["folds"]) - own["folds"]
    tested = sum(row["rows"]["test"] for row in found["folds"] if row["state"] == "judged")
    said = says["mean"].format(
        name=named.get(found["metric"], found["metric"]),
        mean=f"{own['mean']:.3f}",
        folds=own["folds"],
        sd="-" if own["sd"] is None else f"{own['sd']:.3f}",
        interval=interval,
        rows=f"{tested:,}",
    )
    said += says["some"].format(left=missing, all=len(found["folds"])) if missing else ""
    for system, pairs in found["comparisons"].items():
        pair, theirs = pairs[found["metric"]], found["metrics"][system][found["metric"]]["mean"]
        if pair["difference"] is not None:
            said += says[verdict(found, pair)].format(system=named.get(system, system), value=f"{theirs:.3f}")
    return said + says["end"]


def verdict(found: Mapping[str, Any], pair: Mapping[str, Any], metric: str = "") -> str:
    """Is tuned `better` than the other system, `worse`, or `level` with it, as far as the folds can tell?"""
    lower = (metric or found["metric"]) in found["lower_is_better"]
    if pair["p_holm"] is None or pair["p_holm"] >= 1 - found["confidence"] or not pair["difference"]:
        return "level"
    return "better" if (pair["difference"] > 0) != lower else "worse"
