"""What a base sees in rows before it is tuned, and who reads which vector.

seen(loaded, task, examples, ...)  ->  vectors (M, D), and the example that each is of (M,)

A text has the mean of its last hidden states, a picture what the output layer hears, and of tagged words each has the
state of the token that speaks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import Batch, Example, Task
from weitiao.data.layout import Layout
from weitiao.tasks.parts.pieces import NONE

if TYPE_CHECKING:
    from weitiao.models.load import Loaded


def seen(loaded: Loaded, task: Task, examples: Sequence[Example], **words: Any) -> tuple[Any, Any]:
    """Vectors, and the example that each is of.

    Args:
        loaded: the base, with an output layer of the task's.
        task: what stacks rows.
        examples: encoded rows.
        words: those of `evaluate.predict`: `longest`, `device`, `batch_size`, `progress`.
    """
    from weitiao.evaluate.explain.similar import hidden
    from weitiao.evaluate.features import features

    if task.shape.name == "tagged":
        return _of_words(loaded, task, examples, **words)
    if task.reads_words:
        return hidden(loaded, task, examples, **words), np.arange(len(examples))
    return features(loaded, task, examples, **words), np.arange(len(examples))


def places(example: Example) -> Any:
    """Which of a row's words have a token that speaks for them."""
    return np.flatnonzero(np.asarray(example.inputs["first"]) != NONE)


def _of_words(loaded: Loaded, task: Task, examples: Sequence[Example], **words: Any) -> tuple[Any, Any]:
    from weitiao.evaluate.predict import predict
    from weitiao.models.inputs import text_model

    heard: list[Any] = []

    def ask(batch: Batch) -> list[dict[str, Any]]:
        heard.clear()
        task.predict(loaded.model, batch)
        states_ND = heard[0].float().flatten(0, 1)[batch.extra["places"].to(heard[0].device)].cpu().numpy()
        counts = [len(places(examples[row])) for row in batch.rows]
        return [{"heard": own_ND} for own_ND in np.split(states_ND, np.cumsum(counts)[:-1])]

    handle = text_model(loaded.model).register_forward_hook(lambda module, args, out: heard.append(out[0]))
    try:
        told = predict(replace(loaded, layout=Layout.PADDED), task, examples, ask=ask, **words)
    finally:
        handle.remove()
    counts = [len(row["heard"]) for row in told]
    return np.concatenate([row["heard"] for row in told]), np.repeat(np.arange(len(examples)), counts)
