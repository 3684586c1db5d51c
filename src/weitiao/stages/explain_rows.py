"""Some of a run's test rows explained, kept in its folder and shown on its page.

    explain_rows(run, errors=5, rows=3)  ->  explanations.json, and a section of report.html

The errors are those that the page shows first; the others are drawn by the run's seed.  What was explained by another model
than the one that lies there now is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from weitiao.core.contracts import Record, Task
from weitiao.core.errors import fault
from weitiao.core.files import refuse_unwritable, sha256, write_json
from weitiao.core.why import because
from weitiao.evaluate.explain.explanation import Explanation
from weitiao.stages.explain import explain_records
from weitiao.stages.kept_rows import kept
from weitiao.stages.run import Run
from weitiao.stages.runs import load

FILE = "explanations.json"
VERSION = 1
"""Of the file; it changes when a reader of an older one could not read it."""


def explain_rows(
    run: Run | str | Path,
    *,
    errors: int = 0,
    rows: int = 0,
    asked: Sequence[str] = (),
    similar: int = 0,
    steps: int | None = None,
    attention: bool = False,
    max_new_tokens: int = 200,
) -> list[Explanation]:
    """Explain some locked test rows, keep that in `explanations.json` beside the results, and write the page anew.

    Args:
        run: a judged run, or its folder.
        errors: so many of the rows that its page shows as its worst; fewer where it shows fewer.
        rows: so many others, drawn by the run's seed.
        asked, similar, steps, attention, max_new_tokens: as `Run.explain`.

    Raises:
        WeitiaoError: `not_judged_yet`; `wrong_usage` for numbers below 0, or none above it; `broken_rows`; as `Run.explain`.
    """
    from weitiao.evaluate.report import write_report

    for name, count in (("errors", errors), ("rows", rows)):
        if count < 0:
            raise fault("wrong_usage", **because("odd_number", name=name, value=count, meant=">= 0"))
    if not errors and not rows:
        raise fault("wrong_usage", **because("odd_number", name="rows", value=rows, meant=">= 1"))
    run = (run if isinstance(run, Run) else load(run)).judged("")
    results = run.results
    if not results:
        raise fault("not_judged_yet", run=run.path)
    refuse_unwritable(run.place / FILE)
    records = [record for record, _ in kept(run.folder, "test")]
    chosen = _chosen(records, results["sections"], errors=errors, rows=rows, rng=Random(run.recipe.seed))
    found = explain_records(
        run,
        [_asking(run.task, record) for record in chosen],
        asked=asked,
        similar=similar,
        steps=steps,
        attention=attention,
        max_new_tokens=max_new_tokens,
        strict=False,
    )
    for one, record in zip(found, chosen, strict=True):
        one.expected = _expected(run.task, record)
    card = sha256(run.folder.model / "weitiao.json")
    write_json(run.place / FILE, {"version": VERSION, "card": card, "rows": [one.to_dict() for one in found]})
    write_report(run.path, run.place)
    return found


def _chosen(
    records: Sequence[Record], sections: Mapping[str, Any], *, errors: int, rows: int, rng: Random
) -> list[Record]:
    """The worst ones in the order of the page, then what is drawn of the rest, in the order of the data."""
    by_place: dict[str, int] = {}
    for row, record in enumerate(records):
        by_place.setdefault(f"{record.file}:{record.line}", row)
    shown = (one["rows"] for one in sections.values() if one["kind"] == "rows" and not one["brief"])
    places = [row["place"] for row in next(shown, [])]
    worst = [by_place[place] for place in dict.fromkeys(places) if place in by_place][:errors]
    rest = [row for row in range(len(records)) if row not in {*worst}]
    return [records[row] for row in (*worst, *sorted(rng.sample(rest, min(rows, len(rest)))))]


def _asking(task: Task, record: Record) -> Record:
    """A row as it comes from somebody who does not know its answer."""
    if task.generates:
        values = {"messages": task.reference(record)["prompt"], "tools": record.values.get("tools")}
    else:
        target = task.shape.target
        unknown = {target: task.record("").get(target)} if target else {}
        values = {**unknown, **task.shape.asks(record.values)}
    return Record(record.file, record.line, values, record.nth)


def _expected(task: Task, record: Record) -> str:
    """What the data say, where a line of words says it; empty for tags."""
    told = task.reference(record)
    for name in (*task.predicts, "reference"):
        value = told.get(name)
        if isinstance(value, str | int | float):
            return f"{value:g}" if isinstance(value, float) else str(value)
        if isinstance(value, list) and all(isinstance(part, str) for part in value) and name != "tags":
            return ", ".join(value)
        if isinstance(value, list) and value and all("type" in part for part in value):
            return ", ".join(f"{part['text']} ({part['type']})" for part in value)
    return ""
