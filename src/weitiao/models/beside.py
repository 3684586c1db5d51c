"""What a model does with rows beside each other, of words or of pictures: whichever its task reads.

examine(model, task, processor, ref="mine")   ->  Examined(layout=PADDED, attention="sdpa")
scores(model, task, processor, layout, ...)   ->  what the model says to a few rows that lie so
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from weitiao.core.contracts import Task
from weitiao.data.layout import Layout
from weitiao.models import examine as of_words
from weitiao.models import examine_pictures as of_pictures
from weitiao.models.examine import Examined


def examine(model: Any, task: Task, processor: Any, *, ref: str, longest: int | None = None) -> Examined:
    """As `models.examine.examine`, and as `models.examine_pictures.examine` for a task that reads no words."""
    if task.reads_words:
        return of_words.examine(model, task, processor, ref=ref, longest=longest)
    return of_pictures.examine(model, task, processor, ref=ref)


def scores(model: Any, task: Task, processor: Any, layout: Layout, *, room: int) -> list[Tensor]:
    """What the model says, as it is now, to a few rows of at most `room` tokens that lie in that layout."""
    if task.reads_words:
        return of_words.scores(model, task, processor, layout, room=room)
    return of_pictures.scores(model, processor, layout)
