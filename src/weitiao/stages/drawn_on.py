"""Pictures with what was found drawn on them, in a folder of their own.

(row, {"objects": [...]}), ...  ->  drawn_on(...)  ->  (row, {"objects": [...], "drawn": "seen/1.png"}), ... and the pictures
(row, {"mask": ...}), ...       ->  the same, and masks as files of their own: "files": ["seen/1-mask.png"]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Record, Task
from weitiao.core.errors import fault
from weitiao.core.files import disk, refuse_unwritable
from weitiao.core.why import because
from weitiao.data.pictures.opening import Unreadable, opened
from weitiao.stages.asking import Questions

KEPT = (".png", ".jpg", ".jpeg", ".webp")
"""Endings that a drawn picture keeps; others become PNG."""


def refuse_drawing(folder: Path, task: Task) -> None:
    """Can what the task says be drawn there?  To be asked before a picture is looked at.

    Raises:
        WeitiaoError: `wrong_usage`; `drawn_exists`; `no_permission` and what else a disk says.
    """
    if not task.shape.draws:
        raise fault("wrong_usage", **because("nothing_to_draw", task=type(task).__name__))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise fault("drawn_exists", path=folder)
    refuse_unwritable(folder / "1.png")


def drawn_on(
    folder: Path, answers: Iterable[tuple[Record, Mapping[str, Any]]], questions: Questions, task: Task
) -> Iterator[tuple[Record, dict[str, Any]]]:
    """Answers as they come, each with the place of its picture.

    Args:
        folder: where they go; made when the first one is drawn.
        answers: of the questions, as `Run.answers` gives them.
        questions: who knows where pictures lie.
        task: whose shape draws.

    Raises:
        WeitiaoError: what writing raises.
    """
    (column,) = task.shape.pictures
    taken: set[str] = set()
    for row, answer in answers:
        if "unusable" in answer:
            yield row, dict(answer)
            continue
        path = Path(questions.convert(row).values[column])
        try:
            picture = task.shape.drawn(opened(path), found=answer)
        except Unreadable as error:  # it was there when it was looked at
            raise fault("picture_gone", path=path, why=error) from None
        place = folder / _free(path, taken)
        with disk(place):
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(place, quality=90)
            beside = []
            for behind, content in task.shape.files(answer).items():
                beside.append(folder / _free(Path(place.stem + behind), taken))
                beside[-1].write_bytes(content)
        files = {"files": [str(each) for each in beside]} if beside else {}
        yield row, {**answer, "drawn": str(place), **files}


def _free(path: Path, taken: set[str]) -> str:
    """The picture's name, or one like it where another of that name is there, on disks that know no case, too."""
    ending = path.suffix.lower() if path.suffix.lower() in KEPT else ".png"
    names = (
        f"{path.stem}{'' if number == 1 else f'-{number}'}{ending}" for number in range(1, len(taken) + 2)
    )
    name = next(name for name in names if name.casefold() not in taken)
    taken.add(name.casefold())
    return name
