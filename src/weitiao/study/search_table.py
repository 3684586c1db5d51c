"""What a search found: a row a trial, the winner, and what it is worth.

trials, run folders  ->  gather(folder, tried, ...)  ->  search.json
search.json          ->  csv(results)                ->  trials.csv
"""

from __future__ import annotations

import csv as tables
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Task
from weitiao.core.errors import language
from weitiao.core.run import RunFolder
from weitiao.evaluate.words import words
from weitiao.study.proposals import importance
from weitiao.study.trials import Trials

VERSION = 1
"""Of `search.json`; it changes when a reader of an older one could not read it."""
FEWEST = 4
"""Finished trials from which on it is said which settings matter."""

SAYS = {
    "en": {
        "none": "No trial has come to its end yet.",
        "own": "No setting is better than the default: of {count} trials, trial 0 (the recipe as it is) has the best {name}, {raw} on the rows that chose",
        "best": "{label} of {count} is best: {name} {raw} on the rows that chose",
        "again": ", {value} on {rows} that did not",
        "level": "; no better than the default ({default} there), as far as these rows can tell: {difference} ({confidence} interval {low} to {high})",
        "same": "; no better than the default: on all of these both are worth the same",
        "open": "; whether that is better than the default ({default} there) cannot be said",
        "without": "; the default itself came to no score to set it beside",
        "better": "; better than the default ({default} there) by {difference} ({confidence} interval {low} to {high})",
        "worse": "; worse than the default ({default} there) by {difference} ({confidence} interval {low} to {high}): keep the default",
        "test": ". On the locked test rows, which judged it alone: {name} {value}",
        "end": ".",
    },
    "zh": {
        "none": "还没有任何试验完成。",
        "own": "没有任何设置优于默认设置：{count} 次试验中，试验 0（配方原样）的{name}最好，在用于选择的行上为 {raw}",
        "best": "{count} 次试验中{label}最好：在用于选择的行上{name}为 {raw}",
        "again": "，在未参与选择的 {rows} 行上为 {value}",
        "level": "；就这些行所能看出的，并不优于默认设置（在那里为 {default}）：差 {difference}（{confidence} 区间 {low} 至 {high}）",
        "same": "；并不优于默认设置：在这些行上两者完全一样",
        "open": "；是否优于默认设置（在那里为 {default}）无法判断",
        "without": "；默认设置本身没有得分可供比较",
        "better": "；优于默认设置（在那里为 {default}），高出 {difference}（{confidence} 区间 {low} 至 {high}）",
        "worse": "；不如默认设置（在那里为 {default}），相差 {difference}（{confidence} 区间 {low} 至 {high}）：请保留默认设置",
        "test": "。在锁定的测试行上（只评估了它）：{name} {value}",
        "end": "。",
    },
}


def gather(
    folder: Path,
    tried: Trials,
    plan: Mapping[str, Any],
    task: Task,
    recipe: Mapping[str, Any],
    winner: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The content of `search.json`.

    Args:
        folder: the search's.
        tried: its trials.
        plan: `how`, `space`, `goals`, `rungs` and `count`.
        task: what is learnt.
        recipe: what is searched around.
        winner: what is said of the best trial, once it is known.
    """
    rows = [_row(tried, entry) for entry in tried.entries]
    done = [row for row in rows if row["goals"] and row["end"] == "complete"]
    found: dict[str, Any] = {
        "version": VERSION,
        "model": recipe["model"],
        "task": recipe["task"]["name"],
        "method": recipe["method"]["name"],
        "metric": tried.metric,
        "higher_is_better": tried.goals[0].higher,
        "confidence": recipe["evaluate"]["confidence"],
        **plan,
        "trials": rows,
        "front": front([row["goals"] for row in done], [goal.higher for goal in tried.goals], done),
        "importance": importance(tried.proposals) if len(done) >= FEWEST and winner else {},
        "winner": dict(winner) if winner else None,
        "facts": RunFolder(folder / done[0]["folder"]).json("facts.json") if done else {},
        "recipe": dict(recipe),
    }
    return {"sentence": sentence(found), **found}


def _row(tried: Trials, entry: Mapping[str, Any]) -> dict[str, Any]:
    run = tried.run(entry)
    state = {"stopped": "pruned", "same": "repeated"}
    open_ = "waiting" if entry["rung"] >= 0 else run.state
    state_now = state.get(entry["end"], entry["end"]) if entry["end"] else open_
    return {**entry, "values": dict(entry["values"]), "state": state_now}


def front(
    goals: Sequence[Sequence[float]], higher: Sequence[bool], rows: Sequence[Mapping[str, Any]]
) -> list[int]:
    """Numbers of the trials that no other is better than by one goal without being worse by another (Pareto)."""
    signed = [[value if more else -value for value, more in zip(each, higher, strict=True)] for each in goals]

    def beaten(one: Sequence[float]) -> bool:
        return any(
            all(b >= a for a, b in zip(one, other, strict=True)) and list(one) != list(other)
            for other in signed
        )

    return [row["number"] for row, one in zip(rows, signed, strict=True) if not beaten(one)]


def sentence(found: Mapping[str, Any]) -> str:
    """What a reader wants to know first, no more than the numbers bear."""
    says, named = SAYS[language()], words(language())
    best = found["winner"]
    if not best:
        return says["none"]
    row = next(row for row in found["trials"] if row["number"] == best["number"])
    name = named.get(found["metric"], found["metric"])
    facts: dict[str, Any] = {
        "name": name,
        "label": row["label"].capitalize() if language() == "en" else f"试验 {row['number']} ",
        "count": len(found["trials"]),
        "raw": f"{row['goals'][0]:.3f}",
    }
    said = says["best" if row["number"] else "own"].format(**facts)
    if (again := best.get("value")) and again["value"] is not None:
        said += says["again"].format(value=f"{again['value']:.3f}", rows=f"{best['rows']:,}")
    gain, default = best.get("gain"), best.get("default")
    if gain and default and default["value"] is not None:
        more = {"default": f"{default['value']:.3f}", "confidence": f"{100 * found['confidence']:g} %"}
        if gain["low"] is not None:
            more |= {key: f"{gain[key]:+.3f}" for key in ("difference", "low", "high")}
        same = gain["low"] is None and gain["difference"] == 0
        said += says[gain["verdict"] or ("same" if same else "open")].format(**more)
    elif row["number"] and best.get("value") and not default:
        said += says["without"]
    if (test := best.get("test")) and test["value"] is not None:
        name = named.get(best["test_metric"], best["test_metric"])
        said += says["test"].format(name=name, value=f"{test['value']:.3f}")
    return said + says["end"]


def csv(results: Mapping[str, Any]) -> str:
    """A line a trial, a column a setting and a goal."""
    keys = list(dict.fromkeys(key for row in results["trials"] for key in row["values"]))
    goals = [goal["name"] for goal in results["goals"]]
    out = io.StringIO()
    table = tables.writer(out, lineterminator="\n")
    table.writerow(["number", "state", *goals, *keys, "seconds_whole", "folder"])
    for row in results["trials"]:
        worth = row["goals"] or [""] * len(goals)
        settings = [row["values"].get(key, "") for key in keys]
        table.writerow([row["number"], row["state"], *worth, *settings, row["seconds"] or "", row["folder"]])
    return out.getvalue()
