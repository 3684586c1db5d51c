"""What a learning curve found: every point on the validation and on the test rows, and what the last doubling brought.

    entries, run folders  ->  gather(folder, entries, recipe=...)  ->  learning-curve.json

The models of all points are asked the same validation rows; what the last doubling brought is the difference of the two
largest, with an interval from drawing the rows anew, the same ones for both (`evaluate/resample.py`).  No curve is fitted:
four points bear no more than that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weitiao.core.errors import language
from weitiao.evaluate.chosen import judged
from weitiao.evaluate.judge import judge
from weitiao.evaluate.words import words
from weitiao.stages.kept_rows import kept
from weitiao.stages.run import Run
from weitiao.stages.runs import load
from weitiao.study.difference import difference
from weitiao.study.schedule import DONE
from weitiao.study.table import refuse_other_ground, row_of

VERSION = 1
"""Of `learning-curve.json`; it changes when a reader of an older one could not read it."""
SAME = ("validation", "test", "data", "base")
"""What must be the same for all points."""

SAYS = {
    "en": {
        "none": "Too few points are judged yet to say anything.",
        "curve": "{name} {after} with {many} training rows and {before} with {few}, on {rows} validation rows: the last doubling "
        "changed it by {difference} ({confidence} interval {low} to {high}). ",
        "open": "{name} {after} with {many} training rows and {before} with {few}, on {rows} validation rows; how sure that is cannot be said. ",
        "better": "More rows of this kind are likely worth it.",
        "level": "That is within chance: these validation rows do not show that more rows help; from the last doubling a gain of "
        "more than {most} is unlikely.",
        "worse": "More rows of this kind made it worse: look at how they were labelled, or train longer.",
    },
    "zh": {
        "none": "已评估的点太少，还不能下结论。",
        "curve": "在 {rows} 行验证数据上，{many} 行训练数据的 {name} 为 {after}，{few} 行为 {before}：最后一次翻倍的变化为 {difference}"
        "（{confidence} 区间 {low} 至 {high}）。",
        "open": "在 {rows} 行验证数据上，{many} 行训练数据的 {name} 为 {after}，{few} 行为 {before}；无法说明其把握有多大。",
        "better": "再增加同类数据很可能值得。",
        "level": "这在偶然范围内：这些验证数据没有显示增加数据有帮助；最后一次翻倍的提升不大可能超过 {most}。",
        "worse": "增加同类数据反而变差：请检查标注，或延长训练。",
    },
}


def gather(
    folder: Path, entries: Sequence[Mapping[str, Any]], *, recipe: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of `learning-curve.json`.

    Args:
        folder: the curve's, inside the run's.
        entries: `label`, `folder`, `share`, `rows`, `failure`, `goes_on` and `seconds` of every point, smallest first;
            the last is the run itself.
        recipe: of the run.
    """
    points = [row_of(folder, entry) for entry in entries]
    refuse_other_ground(folder, points, points[-1], SAME)
    run = load(folder / entries[-1]["folder"])
    done = [point for point in points if point["state"] == "judged"]
    # Models are loaded for it: once, when all points have come to their end.
    ended = len(done) > 1 and all(point["state"] in DONE for point in points)
    scored = (
        _validated(folder, done, run, recipe) if ended else {"validation": {}, "doubling": None, "rows": 0}
    )
    results = run.results
    found = {
        "version": VERSION,
        "model": recipe["model"],
        "task": recipe["task"]["name"],
        "method": recipe["method"]["name"],
        "metric": scored.get("metric", run.task.primary),
        "higher_is_better": scored.get("higher_is_better", results["higher_is_better"]),
        "confidence": recipe["evaluate"]["confidence"],
        "validation_rows": scored["rows"],
        "points": [
            {**point, "test": point.pop("score"), "validation": scored["validation"].get(point["label"])}
            for point in points
        ],
        "last_doubling": scored["doubling"],
        "facts": run.folder.json("facts.json"),
        "recipe": dict(recipe),
    }
    return {"sentence": sentence(found), **found}


def _validated(
    folder: Path, done: Sequence[Mapping[str, Any]], run: Run, recipe: Mapping[str, Any]
) -> dict[str, Any]:
    """Every point on the validation rows, by the first metric that needs no words; and the last doubling."""
    task, settings = run.task, recipe["evaluate"]
    own = {
        name: one for name, one in judged(task, settings["metrics"]).items() if not one.lacks(task.predicts)
    }
    name = next(iter(own), "")
    records = [record for record, _ in kept(run.folder, "validation")]
    references = [task.reference(record) for record in records]
    systems = {}
    for point in done:
        model = load(folder / point["folder"])
        told = model._predict([example for _, example in model.read(records)], None)
        systems[point["label"]] = [task.shown(*each) for each in zip(records, told, strict=True)]
    metrics, labels, few, many = {name: own[name]}, task.classes(), *list(systems)[-2:]
    options: dict[str, Any] = {"labels": labels, "confidence": settings["confidence"], "seed": recipe["seed"]}
    options["resamples"] = settings["resamples"]
    # The judge sets every system beside `tuned`: here all are, and only their own numbers are taken.
    found = judge(references, {**systems, "tuned": systems[many]}, metrics, **options)["metrics"]
    return {
        "metric": name,
        "higher_is_better": own[name].higher_is_better,
        "rows": len(records),
        "validation": {label: found[label][name] for label in systems},
        "doubling": difference(references, systems, metrics, before=few, after=many, **options)
        if _doubles(done)
        else None,
    }


def _doubles(done: Sequence[Mapping[str, Any]]) -> bool:
    """Are the two largest shares there?"""
    return [point["share"] for point in done[-2:]] == [0.5, 1.0]


def sentence(found: Mapping[str, Any]) -> str:
    """Is more data worth it?  No more than the numbers bear."""
    says, named = SAYS[language()], words(language())
    last = found["last_doubling"]
    if last is None or last["difference"] is None:
        return says["none"]
    few, many = found["points"][-2:]
    facts: dict[str, Any] = {
        "name": named.get(found["metric"], found["metric"]),
        "after": f"{many['validation']['value']:.3f}",
        "before": f"{few['validation']['value']:.3f}",
        "many": f"{many['rows']:,}",
        "few": f"{few['rows']:,}",
        "rows": f"{found['validation_rows']:,}",
        "difference": f"{last['difference']:+.3f}",
        "confidence": f"{100 * found['confidence']:g} %",
    }
    if last["low"] is None:
        return says["open"].format(**facts).rstrip()
    most = last["high"] if found["higher_is_better"] else -last["low"]
    facts |= {"low": f"{last['low']:+.3f}", "high": f"{last['high']:+.3f}", "most": f"{most:.3f}"}
    return (says["curve"] + says[last["verdict"]]).format(**facts)
