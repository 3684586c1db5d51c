"""A model's predictions on encoded rows, and its answers to prompts.

predict(loaded, task, examples)  ->  one dict a row, in the rows' order: scored in one pass
answers(loaded, task, prompts)   ->  one dict a prompt: the words that follow, generated
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Batch, Example, Task
from weitiao.data.pack import beside, in_order
from weitiao.models.memory_ran_out import give_back, ran_out
from weitiao.models.precision import autocast

if TYPE_CHECKING:
    import numpy as np

    from weitiao.models.load import Loaded
    from weitiao.models.precision import Half


def predict(
    loaded: Loaded,
    task: Task,
    examples: Sequence[Example],
    *,
    batch_size: int = 64,
    longest: int | None = None,
    device: str = "cpu",
    half: Half | None = None,
    progress: Callable[[int, int], None] | None = None,
    ask: Callable[[Batch], list[dict[str, Any]]] | None = None,
    dealt: tuple[int, int] = (0, 1),
    reference: np.ndarray | None = None,
    teacher: Loaded | None = None,
) -> list[dict[str, Any]]:
    """Predictions for every example; where memory runs out, a pass is cut in halves.

    Args:
        loaded: the model, and the processor that stacks rows.
        task: what predicts.
        examples: encoded rows.
        batch_size: rows in a forward pass.
        longest: tokens of a row that are read at once; default: as many as the model has positions for.
        device: where the model is.
        half: what products are computed in, where it is not float32.
        progress: hears (rows done, rows).
        ask: predicts a batch; default: the task, of the model.
        dealt: which process this is and how many there are; the others' rows stay empty.  Every process asks as
            often as any other.
        reference: what a reference said of every example (`Task.hears`), (N, K).
        teacher: who is asked for every word (`Task.taught`).
    """
    import torch

    def said(batch: Batch) -> list[dict[str, Any]]:
        rows = batch.rows
        if teacher is not None:
            batch.extra["teacher"] = teacher
        try:
            return ask(batch.to(device)) if ask else task.predict(loaded.model, batch.to(device))
        except (RuntimeError, MemoryError) as error:
            # Other processes ask as often as this one.
            if not ran_out(error) or len(rows) < 2 or dealt[1] > 1:
                raise
        give_back(device)
        halves = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        return [one for half in halves for one in said(collate([examples[row] for row in half], half))]

    found: list[dict[str, Any]] = [{}] * len(examples)
    done, collate = 0, beside(loaded.collate(task), reference)
    loaded.model.eval()
    with torch.inference_mode(), autocast(device, half):
        for batch in in_order(
            examples,
            collate,
            batch_size=batch_size,
            # A row that is read in windows may be many times as long as what is read at once.
            max_tokens=batch_size * (longest or loaded.limit),
            layout=loaded.layout,
            dealt=dealt,
        ):
            told = said(batch)
            for row, prediction in zip(batch.rows, told, strict=False):  # a stand-in has no rows
                found[row] = prediction
            done += len(batch.rows)
            if progress:
                progress(done, len(examples))
    return found


def numberless(told: Any) -> bool:
    """Is something in a prediction no number, as the scores of a model whose weights are spoilt?"""
    if isinstance(told, float):
        return math.isnan(told)
    if isinstance(told, dict):
        return any(map(numberless, told.values()))
    if isinstance(told, list) and told:
        # A vector's sum is a number if all of it is.
        return math.isnan(sum(told)) if isinstance(told[0], float) else any(map(numberless, told))
    return False


def answers(
    loaded: Loaded,
    task: Task,
    prompts: Sequence[Sequence[int]],
    *,
    device: str = "cpu",
    half: Half | None = None,
    progress: Callable[[int, int], None] | None = None,
    **asked: Any,
) -> list[dict[str, Any]]:
    """What the model says after each prompt, in their order: its `answer`, and why it ends there (`ending`).

    Args:
        loaded: the model and its tokenizer.
        task: what generates.
        prompts: token ids of `Task.opening`.
        device: where the model is.
        half: what products are computed in, where it is not float32.
        progress: hears (answers done, answers).
        asked: as `Task.answer`: `max_new_tokens`, `limit` ...
    """
    import torch

    found: list[dict[str, Any]] = [{}] * len(prompts)
    loaded.model.eval()
    with torch.inference_mode(), autocast(device, half):
        for done, (place, said) in enumerate(task.answer(loaded, prompts, **asked), start=1):
            found[place] = said
            if progress:
                progress(done, len(prompts))
    return found
