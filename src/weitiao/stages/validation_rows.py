"""What the tuned model says of its validation rows, kept beside what it says of the test rows.

keep(run)  ->  predictions-validation.jsonl      kept_beside(run)  ->  its lines

Whatever is chosen for a finished model (a temperature, thresholds) is chosen by these rows, and they are scored once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import fault
from weitiao.core.files import read_lines, write_lines
from weitiao.data.ledger import Ledger
from weitiao.data.rows import Rows
from weitiao.stages.events import Tell
from weitiao.stages.kept_rows import kept
from weitiao.stages.run import Run
from weitiao.stages.to_judge import encoder

FILE = "predictions-validation.jsonl"


def where(run: Run) -> Path:
    """The file of the run, or of its variant: the rows are the same whatever rows it is judged by."""
    return run.path / run.variant / FILE


def keep(run: Run, tell: Tell) -> None:
    """Ask the model, and write what it says; an empty file where no rows were set aside.

    Raises:
        WeitiaoError: what reading and encoding the rows raise.
    """
    rows = Rows()
    for record, _ in kept(run.folder, "validation"):
        rows.append(record)
    lines: list[dict[str, Any]] = []
    if len(rows):
        examples = encoder(run)(rows, Ledger(total=len(rows)), side="validation")
        records = [rows[int(row)] for row in examples.rows]
        told = run._predict(examples, lambda done, all: tell("judged", what="validation", done=done, all=all))
        lines = [
            {
                "file": record.file,
                "line": record.line,
                **({"nth": record.nth} if record.nth else {}),
                **run.task.reference(record),
                "tuned": run.task.shown(record, one),
            }
            for record, one in zip(records, told, strict=True)
        ]
        for line in lines:
            line.pop("prompt", None)  # conversations are long, and nothing is chosen by them
    write_lines(where(run), lines)


def kept_beside(run: Run) -> list[dict[str, Any]]:
    """The lines; none where no rows were set aside, or the run was judged before they were kept.

    Raises:
        WeitiaoError: `other_predictions` where they are of another run's rows.
    """
    path = where(run)
    lines = read_lines(path)
    dealt = {*run.folder.json("data/split.json").get("validation", [])}
    ids = (Record(line["file"], line["line"], {}, line.get("nth", 0)).id for line in lines)
    if not dealt.issuperset(ids):
        raise fault("other_predictions", path=path, run=run.path)
    return lines
