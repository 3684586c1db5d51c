"""How a comparison goes, in lines and bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from weitiao.core.errors import language
from weitiao.core.figures import figure
from weitiao.core.why import reason
from weitiao.evaluate.words import named, words
from weitiao.terminal.screen import Screen

LONGEST = 160
"""Characters of a failure in the terminal."""


def tell(screen: Screen, event: str, **facts: Any) -> None:
    """What happens to a method."""
    if event == "comparing":
        rows = ", ".join(f"{named(side)} {count:,}" for side, count in facts["splits"].items())
        screen.line(reason("told_compare", methods=escape(", ".join(facts["methods"])), rows=rows))
    elif event == "cross_validating":
        dealt = facts["dealt"]
        said = reason(
            "told_cv",
            folds=facts["folds"],
            by=words(language())[f"dealt_by_{dealt['by']}"],
            rows=f"{dealt['tested']:,}",
        )
        screen.line(said)
        screen.line("      " + reason("nothing_locked"))
        if dealt["never_tested"]:
            screen.line("      " + reason("never_tested", rows=f"{dealt['never_tested']:,}"))
        if dealt["validation_given"]:
            screen.line("      " + reason("validation_given", rows=f"{dealt['validation_given']:,}"))
    elif event == "searching":
        keys = ", ".join(dict.fromkeys(one.key for one in facts["dimensions"]))
        screen.line(reason("told_search", trials=facts["trials"], how=facts["how"], keys=escape(keys)))
        counts = {name: f"{count:,}" for name, count in facts["rows"].items()}
        screen.line(reason("told_search_rows", **counts))
    elif event == "trial_ended":
        screen.line(f"        {_tried(facts['entry'], facts['goals'])}")
    elif event == "curving":
        screen.line(reason("told_curve", rows=", ".join(f"{count:,}" for count in facts["rows"])))
    elif event == "entrant":
        said = reason("told_entrant", place=facts["place"], all=facts["all"], label=escape(facts["label"]))
        screen.line(said)
    elif event == "step":
        screen.bar(
            escape(facts["label"]), facts["done"], 1.0, note=reason("loss_is", loss=f"{facts['loss']:.3f}")
        )
    elif event == "compared":
        row = facts["row"]
        if row["state"] == "judged" and not facts["kept"]:  # its last steps may not have been seen
            screen.bar(escape(row["label"]), 1.0, 1.0)
        before = reason("judged_before") if facts["kept"] else ""
        screen.line(f"        {_ending(row, facts['metric'])}{before}")


def _ending(row: Mapping[str, Any], metric: str) -> str:
    """How it went, in a line."""
    if row["state"] == "failed":
        return f"[red]{named('failed')}[/red]  {escape(one_line(row['failure']))}"
    if row["state"] != "judged":
        return named(row["state"])
    seconds, score = f"{row['seconds']['train']:.1f}", figure(row["score"])
    label = escape(row["label"])
    return reason("trained_in", label=label, metric=named(metric), score=score, seconds=seconds)


def _tried(entry: Mapping[str, Any], goals: Any) -> str:
    """How far a trial has come, in a line."""
    if entry["end"] == "failed":
        return f"[red]{named('failed')}[/red]  {escape(one_line(entry['failure']))}"
    score = entry["goals"][0] if entry["goals"] else next(reversed(entry["at"].values()), None)
    if score is None:
        return named("unfinished")
    words = {"number": entry["number"], "metric": named(goals[0].name), "score": f"{score:.4g}"}
    state = "" if entry["end"] else f"  ({named('waiting')})"
    return reason("told_trial", **words) + state


def one_line(failure: Mapping[str, Any]) -> str:
    """The beginning of a failure: its code, and what is wrong.  Page and JSON have all of it."""
    line = str(failure["message"]).partition("\n")[0]
    return line if len(line) <= LONGEST else line[:LONGEST].rstrip() + " …"
