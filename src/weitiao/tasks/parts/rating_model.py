"""A model that rates answers: opened when it is first asked, and then asked many answers at a time.

RatingModel(known, open, worth).rate([Answered(...), ...])  ->  [0.7, ...]
tuned(run, task, read)                                      ->  AskedModel, and how the model of a finished run is opened
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from weitiao.core.contracts import Answered, AskedModel, Example, Record, Task
from weitiao.core.contracts.reward import Read
from weitiao.core.run import RunFolder
from weitiao.data.formats import Unusable
from weitiao.data.pack import in_order

if TYPE_CHECKING:
    from weitiao.models.load import Loaded

ROWS = 32
"""Answers that share a pass, at most."""
Open: TypeAlias = Callable[[], "Loaded"]


def tuned(folder: RunFolder, task: Task, read: Read) -> tuple[AskedModel, Open]:
    """The model of a finished run, as a forecast knows it, and what opens it.

    Args:
        folder: of the run.
        task: what it has learnt.
        read: what it reads of answers.

    Raises:
        WeitiaoError: `base_gone`, `wrong_base`, `unfinished_run`, `broken_model`.
    """
    from weitiao.models.finished import finished

    found = finished(folder)
    method = None if found.method.layout == "pretrained" else found.method
    known = AskedModel(found.ref, task, method, found.half, ROWS, found.longest, read)
    return known, lambda: found.opened(task)


def texts(task: Task, *, pair: bool) -> Read:
    """Reads the answer as a text, or behind the prompt as the second of two; the end of a long one is cut, and an empty one is
    read like any other.

    Args:
        task: reads texts.
        pair: are two of them read?
    """

    def read(answers: Sequence[Answered], processor: Any, limit: int) -> list[Example]:
        values = (
            {"text": asked(one), "text_pair": one.answer} if pair else {"text": one.answer} for one in answers
        )
        rows = (Record("", nth, each) for nth, each in enumerate(values, start=1))
        examples = list(task.encode(rows, processor, limit=limit))
        for example in examples:
            if example.refused:
                raise Unusable(example.refused)
        return examples

    return read


def asked(one: Answered) -> str:
    """The prompt as one text; several turns as lines that say whose each is."""
    said = [(turn["role"], turn.get("content") or "") for turn in one.prompt]
    return "\n".join(text if len(said) == 1 else f"{role}: {text}" for role, text in said)


@dataclass
class RatingModel:
    """A model, opened when it is first asked."""

    known: AskedModel
    open: Open
    worth: Callable[[Mapping[str, Any]], float]
    """What it says of a row -> what that is worth."""

    def rate(self, answers: Sequence[Answered]) -> list[float]:
        """What each is worth.

        Raises:
            Unusable: what reading one raises.
        """
        import torch

        from weitiao.models.precision import autocast

        loaded, known = self._loaded, self.known
        method, most = known.method, loaded.limit
        limit = min(most, known.longest or most) - (method.positions if method else 0)
        examples = known.read(answers, loaded.processor, limit)
        found: dict[int, float] = {}
        device, collate = loaded.model.device.type, loaded.collate(known.task)
        words: dict[str, Any] = {"batch_size": known.rows, "max_tokens": known.rows * limit}
        with torch.inference_mode(), autocast(device, known.half):
            for batch in in_order(examples, collate, layout=loaded.layout, **words):
                told = known.task.predict(loaded.model, batch.to(device))
                found |= {row: self.worth(one) for row, one in zip(batch.rows, told, strict=True)}
        return [found[place] for place in range(len(answers))]

    @cached_property
    def _loaded(self) -> Loaded:
        from weitiao.models.anatomy import cast_frozen

        loaded = self.open()
        loaded.model.requires_grad_(False).eval()
        if self.known.half:
            cast_frozen(loaded.model, self.known.half)
        return loaded
