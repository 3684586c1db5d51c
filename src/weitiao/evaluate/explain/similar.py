"""Which rows a model sees as alike: the cosine of its hidden states, their mean over a row's tokens.

    vectors = hidden(loaded, task, examples)      (N, D), each of length 1
    nearest(vectors, one, count=3)                ->  [(17, 0.98), (4, 0.95), (90, 0.91)]

A row in windows has the mean of its windows, and one of several texts (two answers, passages) that of its texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import Batch, Example, Task
from weitiao.data.layout import Layout

if TYPE_CHECKING:
    from weitiao.models.load import Loaded


def hidden(
    loaded: Loaded,
    task: Task,
    examples: Sequence[Example],
    *,
    progress: Callable[[int, int], None] | None = None,
    **words: Any,
) -> Any:
    """The last hidden states of rows, their mean over the tokens, of length 1 (N, D) float32.

    Args:
        loaded: the model.
        task: what stacks rows.
        examples: encoded rows.
        progress: hears (rows done, rows).
        words: those of `evaluate.predict`: `longest`, `device`, `half`, `batch_size`.
    """
    from weitiao.evaluate.predict import predict
    from weitiao.models.inputs import text_model

    seen: list[Any] = []
    reader = text_model(loaded.model)

    def ask(batch: Batch) -> list[dict[str, Any]]:
        seen.clear()
        task.predict(loaded.model, batch)
        mean_PD = _means(seen, batch)
        for name in ("windows", "texts"):
            counts = [len(examples[row].inputs.get(name, [0])) for row in batch.rows]
            if sum(counts) == len(mean_PD):
                break
        parts = np.split(mean_PD, np.cumsum(counts)[:-1])
        return [{"vector": part.mean(0)} for part in parts]

    handle = reader.register_forward_hook(lambda module, args, output: seen.append(output[0]))
    try:
        padded = replace(loaded, layout=Layout.PADDED)
        told = predict(padded, task, examples, ask=ask, progress=progress, **words)
    finally:
        handle.remove()
    found_ND = np.stack([row["vector"] for row in told])
    return found_ND / np.maximum(np.linalg.norm(found_ND, axis=1, keepdims=True), 1e-12)


def _means(seen: Sequence[Any], batch: Batch) -> Any:
    """Of everything that is read of the rows, in their order, the mean of its states (P, D).

    Args:
        seen: the states of each pass; what is asked besides comes behind.
        batch: padded, in one pass or in several (`tasks.parts.apart`).
    """
    import torch

    found, start = [], 0
    for states, (count, width) in zip(
        seen, batch.extra.get("parts") or [batch.inputs["input_ids"].shape], strict=False
    ):
        # Virtual tokens of prompt methods stand before a row's own.
        states_PTD = states[:, -width:].float()
        mask_PT1 = batch.inputs["attention_mask"][start : start + count, :width, None].to(states_PTD.dtype)
        found.append((states_PTD * mask_PT1).sum(1) / mask_PT1.sum(1))
        start += count
    mean_PD = torch.cat(found).cpu()
    place = batch.extra.get("place")
    return (mean_PD if place is None else mean_PD[place]).numpy()


def nearest(vectors_ND: Any, one_D: Any, *, count: int) -> list[tuple[int, float]]:
    """The rows that are most like one, and how much: 1 is the same direction."""
    cosines_N = vectors_ND.astype(np.float32) @ one_D.astype(np.float32)
    order = np.argsort(-cosines_N, kind="stable")[:count]
    return [(int(place), float(cosines_N[place])) for place in order]
