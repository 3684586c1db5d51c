"""The page of a search: who wins and what that is worth, how it went, which settings matter, every trial.

search.json  ->  search_page(results)  ->  the HTML
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.evaluate.report.svg import Mark, svg
from weitiao.evaluate.words import named_goal
from weitiao.study.page import row_shown, study_page
from weitiao.study.parallel import parallel
from weitiao.study.trials import standing

SIZE = (520, 240)
SHOWN = 12
"""Trials that the page shows at once; the others unfold."""


def search_page(results: Mapping[str, Any]) -> str:
    """The page, in the reader's language."""
    rows = [
        row_shown(row) | {"at_end": row["end"] == "complete" and bool(row["goals"])}
        for row in results["trials"]
    ]
    done = [row for row in rows if row["at_end"]]
    higher = results["goals"][0]["higher_is_better"]
    ranked = sorted(done, key=lambda row: standing(row, higher=higher))
    others = [row for row in rows if not row["at_end"]]
    best = (results["winner"] or {}).get("number")
    return study_page(
        "search.html.j2",
        results,
        rows=[*ranked, *others],
        shown=SHOWN,
        done=done,
        best=best,
        goals=[named_goal(goal["name"]) for goal in results["goals"]],
        history=history(rows, done, higher=higher),
        lines=parallel(done, results["space"], goal=results["goals"][0], best=best),
        fronts=fronts(done, results),
        importance=sorted(results["importance"].items(), key=lambda one: -one[1]),
        failed=[row for row in rows if row["state"] == "failed"],
    )


def history(rows: Sequence[Mapping[str, Any]], done: Sequence[Mapping[str, Any]], *, higher: bool) -> str:
    """Every trial's score in the order of trials, and the best so far; empty where there are no two."""
    if len(done) < 2:
        return ""
    numbers, scores = [row["number"] for row in done], [row["goals"][0] for row in done]
    best, so_far = scores[0], []
    for score in scores:
        best = max(best, score) if higher else min(best, score)
        so_far.append(best)
    stopped = [(row["number"], [*row["at"].values()][-1]) for row in rows if not row["at_end"] and row["at"]]
    marks = [Mark(numbers, so_far, "tuned", width=2), Mark(numbers, scores, "tuned", width=0, dot=7)]
    if stopped:
        at, value = map(list, zip(*stopped, strict=True))
        marks.append(Mark(at, value, "soft", width=0, dot=5))
    last = max(row["number"] for row in rows)
    return svg(marks, size=SIZE, at=list(range(0, last + 1, math.ceil((last + 1) / 10))))


def fronts(done: Sequence[Mapping[str, Any]], results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The first goal against each other one: all trials, and those that nobody beats; name and drawing."""
    found = []
    for place, goal in enumerate(results["goals"][1:], start=1):
        if len(done) < 2:
            continue
        ahead = sorted(
            (row["goals"][place], row["goals"][0]) for row in done if row["number"] in results["front"]
        )
        x, y = [row["goals"][place] for row in done], [row["goals"][0] for row in done]
        marks = [Mark(x, y, "soft", width=0, dot=6)]
        marks += [Mark([one for one, _ in ahead], [two for _, two in ahead], "tuned", width=1.5, dot=8)]
        found.append((named_goal(goal["name"]), svg(marks, size=SIZE)))
    return found
