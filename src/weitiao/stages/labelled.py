"""Rows with what was predicted of them, in a file of their own: every column stays, new ones come behind.

write_labelled(Path("out.csv"), run, run.asked(Path("new.csv")))
text,stars  ->  text,stars,predicted_label,predicted_score
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Record
from weitiao.core.errors import fault
from weitiao.core.files import refuse_unwritable, whole_file
from weitiao.stages.drawn_on import drawn_on

if TYPE_CHECKING:
    from weitiao.stages.asking import Questions
    from weitiao.stages.run import Run

BEFORE = "predicted_"
DELIMITERS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")


def refuse_labelled(path: Path) -> None:
    """Can rows be written there?  To be asked before a model is opened.

    Raises:
        WeitiaoError: `output_exists`, `output_ending`; `no_permission` and what else a disk says.
    """
    if path.exists():
        raise fault("output_exists", path=path)
    if path.suffix.lower() not in (*DELIMITERS, *LINES):
        raise fault("output_ending", path=path, known=", ".join((*DELIMITERS, *LINES)))
    refuse_unwritable(path)


def write_labelled(
    path: Path,
    run: Run,
    questions: Questions,
    *,
    progress: Callable[[int, int], None] | None = None,
    max_new_tokens: int = 200,
    drawn: Path | None = None,
) -> tuple[int, list[tuple[Record, str]]]:
    """Write the rows as they came with their predictions, whole or not at all.

    A table holds what is one value, a JSONL file all of a prediction.  Rows are written as they are labelled.  One that
    cannot be asked has empty cells in a table, and says why in a JSONL file (`predicted_unusable`).

    Args:
        path: of the table or JSONL file.
        run: who answers.
        questions: the rows.
        progress: hears (rows done, all rows).
        max_new_tokens: longest answer, where the model answers.
        drawn: a folder for pictures with what was found drawn on them (`drawn_on`).

    Returns:
        The number of rows, and those that were not asked, with the reason.

    Raises:
        WeitiaoError: `wrong_usage` when the file is there already, is neither a table nor JSONL, or would lose a
            column; what `Run.answers` raises.
    """
    refuse_labelled(path)
    ending = path.suffix.lower()
    if taken := [name for name in questions.columns if name.startswith(BEFORE)]:
        raise fault("output_column", column=taken[0])
    asked = replace(questions, skips=True)
    answers = run.answers(asked, progress=progress, max_new_tokens=max_new_tokens)
    if drawn:
        answers = drawn_on(drawn, answers, asked, run.task)
    count, unusable = 0, []
    # The csv module ends lines itself, and line ends within a cell are the cell's.
    with whole_file(path, newline="" if ending in DELIMITERS else None) as file:
        table = csv.writer(file, delimiter=DELIMITERS[ending]) if ending in DELIMITERS else None
        new: list[str] | None = None
        waiting: list[Record] = []  # the first row that is answered says which columns there are
        for row, answer in answers:
            if why := answer.get("unusable"):
                unusable.append((row, why))
            if table:
                if new is None and why:
                    waiting.append(row)
                    continue
                if new is None:
                    new = [name for name, value in answer.items() if not isinstance(value, dict)]
                    table.writerow([*questions.columns, *(BEFORE + name for name in new)])
                for each, said in [*((early, {}) for early in waiting), (row, answer)]:
                    own = (_cell(each.values.get(name)) for name in questions.columns)
                    table.writerow([*own, *(_cell(said.get(name)) for name in new)])
                    count += 1
                waiting = []
            else:
                line = {**row.values, **{BEFORE + name: value for name, value in answer.items()}}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                count += 1
    return count, unusable


def _cell(value: Any) -> Any:
    """A missing value is an empty cell; a list or a mapping is its JSON."""
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict | bool) else value
