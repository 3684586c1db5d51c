"""What a comparison found: one row a method, out of the run folders alone.

    entries, run folders  ->  gather(folder, entries, ...)  ->  comparison.json

An entry says what no run folder can: how a method is called, how its last attempt ended, how long all of them took.
Methods are paired with the first one that has results, on the same test rows; the p-values are corrected for their
number.  A run on other rows, or on another base, is a failure and takes part in nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weitiao.core import registry
from weitiao.core.contracts import Metric, Task
from weitiao.core.errors import WeitiaoError, fault, language
from weitiao.core.figures import figure
from weitiao.core.files import read_lines
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.evaluate.judge import compare, read
from weitiao.evaluate.paired import holm
from weitiao.evaluate.resample import units
from weitiao.evaluate.words import words

GROUND = ("test", "train", "validation", "data", "base")
"""What must be the same for all: rows of each side, the files' fingerprint, the base model's."""

SAYS = {
    "en": {
        "none": "No method has been judged yet.",
        "best": "{best} scores best: {name} {value} on {rows} unseen rows",
        "gain": ", a proven gain over {reference} ({before}).",
        "level": "; the difference to {reference} ({before}) is within chance.",
        "first": "; {worse} of {others} others are proven worse, the rest is within chance.",
        "equal": "; no other method is proven worse.",
        "alone": ".",
        "below": " {system} does better still, with {score}.",
    },
    "zh": {
        "none": "还没有任何方法得到评估。",
        "best": "{best} 得分最好：在 {rows} 行未见过的数据上 {name} 为 {value}",
        "gain": "，经检验优于 {reference}（{before}）。",
        "level": "；与 {reference}（{before}）的差异在偶然范围内。",
        "first": "；其余 {others} 种中有 {worse} 种经检验更差，其他差异在偶然范围内。",
        "equal": "；没有其他方法经检验更差。",
        "alone": "。",
        "below": "{system} 更好：{score}。",
    },
}


def gather(
    folder: Path, entries: Sequence[Mapping[str, Any]], *, recipe: Mapping[str, Any], task: Task
) -> dict[str, Any]:
    """The content of `comparison.json`.

    Args:
        folder: the comparison's, with the run folders in it.
        entries: `label`, `folder`, `asked`, `method`, `failure`, `goes_on` and `seconds` of every method, in order.
        recipe: what was asked, less the method.
        task: whose judge decides how runs are paired.
    """
    rows = [row_of(folder, entry) for entry in entries]
    first = next((row for row in rows if row["state"] == "judged"), None)
    common: dict[str, Any] = {
        "reference": None,
        "others": {},
        "ground": {"same": False, "rows": {}},
        "facts": {},
    }
    confidence = recipe["evaluate"]["confidence"]
    if first:
        refuse_other_ground(folder, rows, first)
        judged = [row for row in rows if row["state"] == "judged"]
        _pair(folder, judged, task, confidence=confidence, seed=recipe["seed"])
        run = RunFolder(folder / first["folder"])
        metrics = run.json("results.json")["metrics"]
        counts = {side: len(ids) for side, ids in run.json("data/split.json").items()}
        common = {
            "reference": first["label"],
            "others": {name: found[task.primary] for name, found in metrics.items() if name != "tuned"},
            # Who stands on other ground has just been counted among the failures.
            "ground": {"same": True, "rows": counts, **first["ground"]},
            "facts": run.json("facts.json"),
        }
    found = {
        "model": recipe["model"],
        "task": recipe["task"]["name"],
        "metric": task.primary,
        "higher_is_better": _primary(task).higher_is_better,
        "confidence": confidence,
        "methods": rows,
        **common,
        "recipe": dict(recipe),
    }
    return {"sentence": sentence(found), **found}


def row_of(folder: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What one run folder below a study's says; what it does not say yet is None."""
    path = folder / entry["folder"]
    run = RunFolder(path)
    results, card = run.json("results.json"), run.json("model/weitiao.json")
    log = read_lines(path / "log.jsonl")
    end: dict[str, Any] = next((fact for fact in reversed(log) if fact["event"] == "end"), {})
    judged = bool(results) and run.finished
    failed = entry["failure"] is not None
    return {
        **{key: value for key, value in entry.items() if key != "seconds"},
        "state": "failed" if failed else "judged" if judged else "trained" if run.finished else run.state,
        "score": results["metrics"]["tuned"][results["primary"]] if judged else None,
        "beside_first": None,
        "trained": card.get("trained"),
        "total": card.get("total"),
        "learning_rate": _learning_rate(path),
        "steps": end.get("step"),
        "kept_step": end.get("best_step"),
        "stopped": end.get("reason"),
        "seconds": {
            "train": card.get("seconds"),
            "evaluate": results.get("seconds", {}).get("evaluate"),
            "whole": entry["seconds"],
        },
        "peak_memory_mb": end.get("peak_memory_mb"),
        "peak_gpu_memory_mb": end.get("peak_gpu_memory_mb"),
        "size_bytes": _sizes(run.model) if run.finished else None,
        "ground": _ground(run),
    }


def _learning_rate(path: Path) -> float | None:
    try:
        return Recipe.read(path / "recipe.yaml").train.learning_rate
    except WeitiaoError:  # not begun, or of another version
        return None


def _sizes(model: Path) -> dict[str, int]:
    """Bytes of the weights alone, which is what differs between methods, and of all files of the tuned model."""
    sizes = {path: path.stat().st_size for path in model.rglob("*") if path.is_file()}
    weights = sum(size for path, size in sizes.items() if path.suffix == ".safetensors")
    return {"weights": weights, "all": sum(sizes.values())}


def _ground(run: RunFolder) -> dict[str, str]:
    """What a run was trained and judged on, as hashes."""
    prints = run.json("facts.json").get("fingerprints", {})
    split = run.json("data/split.json")
    sides = {side: hashlib.sha256(json.dumps(rows).encode()).hexdigest() for side, rows in split.items()}
    return {what: found for what in GROUND if (found := prints.get(what) or sides.get(what))}


def refuse_other_ground(
    folder: Path, rows: Sequence[dict[str, Any]], first: Mapping[str, Any], same: Sequence[str] = GROUND
) -> None:
    """Make a failure of every judged row whose run stands on something else than the first."""
    for row in rows:
        theirs, ours = first["ground"], row["ground"]
        other = next((what for what in same if ours.get(what) != theirs.get(what)), None)
        if row["state"] == "judged" and other:
            error = fault(
                "other_rows",
                label=row["label"],
                reference=first["label"],
                what=other,
                before=str(theirs.get(other))[:12],
                after=str(ours.get(other))[:12],
                path=folder / row["folder"],
            )
            row |= {"state": "failed", "failure": error.to_dict()}


def _primary(task: Task) -> Metric:
    found: Metric = registry.build("metric", {"name": task.primary})
    return found


def _pair(
    folder: Path, judged: Sequence[dict[str, Any]], task: Task, *, confidence: float, seed: int
) -> None:
    """Every judged method beside the first, on the same rows."""
    if len(judged) < 2:
        return
    first, *rest = (read_lines(folder / row["folder"] / "predictions.jsonl") for row in judged)
    metrics = {task.primary: _primary(task)}
    sign = 1 if metrics[task.primary].higher_is_better else -1
    labels = RunFolder(folder / judged[0]["folder"]).json("results.json").get("labels", ())
    groups = [line.get("group", number) for number, line in enumerate(first)]
    unit_N, count = units(groups, len(first))
    systems = {str(place): [line["tuned"] for line in lines] for place, lines in enumerate([first, *rest])}
    reference, *others = read(first, systems, metrics, labels).values()
    found = [
        compare(metrics, own, reference, unit_N, count, seed=seed)["metrics"][task.primary] for own in others
    ]
    p_values = [1.0 if pair["p_value"] is None else pair["p_value"] for pair in found]
    for row, pair, p in zip(judged[1:], found, holm(p_values), strict=True):
        proven = p < 1 - confidence and pair["difference"]
        verdict = "level" if not proven else "better" if sign * pair["difference"] > 0 else "worse"
        row["beside_first"] = {**pair, "p_holm": p, "verdict": verdict}


def sentence(found: Mapping[str, Any]) -> str:
    """What a reader wants to know first, no more than the numbers bear."""
    says, named = SAYS[language()], words(language())
    sign = 1 if found["higher_is_better"] else -1
    judged = [row for row in found["methods"] if row["state"] == "judged"]
    if not judged:
        return says["none"]

    def rank(score: Mapping[str, float]) -> float:
        return -math.inf if score["value"] is None else sign * score["value"]

    first, best = judged[0], max(judged, key=lambda row: rank(row["score"]))
    worse = sum(row["beside_first"]["verdict"] == "worse" for row in judged[1:])
    if best is first:
        kind = "alone" if len(judged) == 1 else "first" if worse else "equal"
    else:
        kind = "gain" if best["beside_first"]["verdict"] == "better" else "level"
    # Another system that beats them all must not be kept quiet.
    top = max(found["others"].items(), key=lambda pair: rank(pair[1]), default=("", best["score"]))
    beaten = rank(top[1]) > rank(best["score"])
    return (says["best"] + says[kind] + (says["below"] if beaten else "")).format(
        best=best["label"],
        name=named.get(found["metric"], found["metric"]),
        value=figure(best["score"]),
        rows=found["ground"]["rows"]["test"],
        reference=first["label"],
        before=figure(first["score"]),
        worse=worse,
        others=len(judged) - 1,
        system=named.get(top[0], top[0]),
        score=figure(top[1]),
    )
