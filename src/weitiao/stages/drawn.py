"""Pictures that a run draws, as files: one PNG a row, numbered as the rows come, and a line of each in drawn.jsonl.

write_drawn(Path("drawn"), run, run.asked(["a red toy"]))  ->  drawn/00001.png, drawn/drawn.jsonl {"text": "a red toy", "picture": "00001.png"}
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from weitiao.core.contracts import Record
from weitiao.core.errors import fault
from weitiao.core.files import disk, refuse_unwritable, whole_file

if TYPE_CHECKING:
    from weitiao.stages.asking import Questions
    from weitiao.stages.run import Run

LINES = "drawn.jsonl"


def refuse_drawn(folder: Path) -> None:
    """Can pictures be written there?  To be asked before a model is opened.

    Raises:
        WeitiaoError: `output_exists`; `no_permission` and what else a disk says.
    """
    if folder.exists():
        raise fault("output_exists", path=folder)
    refuse_unwritable(folder)


def write_drawn(
    folder: Path, run: Run, questions: Questions, *, progress: Callable[[int, int], None] | None = None
) -> tuple[int, list[tuple[Record, str]]]:
    """Draw a picture for each row; its words stand beside its name.  Of one that cannot be asked the line says why.

    Returns:
        The number of pictures, and the rows that were not asked, with the reason.

    Raises:
        WeitiaoError: as `refuse_drawn`, and what `Run.answers` raises.
    """
    from weitiao.data.pictures import uri

    refuse_drawn(folder)
    count, unusable = 0, []
    answers = run.answers(replace(questions, skips=True), progress=progress)
    with disk(folder):
        folder.mkdir(parents=True)
        with whole_file(folder / LINES) as lines:
            for number, (row, answer) in enumerate(answers, start=1):
                said = {ours: row.values.get(theirs) for ours, theirs in questions.read.items()}
                if why := answer.get("unusable"):
                    unusable.append((row, why))
                    said["unusable"] = why
                else:
                    name = said["picture"] = f"{number:05}.png"
                    uri.read(answer["drawn"]).save(folder / name)
                    count += 1
                lines.write(json.dumps(said, ensure_ascii=False) + "\n")
    return count, unusable
