"""A model's predictions on encoded rows, and its answers to prompts.

predict(loaded, task, examples)  ->  one dict a row, in the rows' order
answer(loaded, prompt_ids)       ->  the words that follow
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Batch, Example, Task
from weitiao.data.pack import in_order
from weitiao.models.precision import autocast

if TYPE_CHECKING:
    from weitiao.models.load import Loaded
    from weitiao.models.precision import Half


def predict(
    loaded: Loaded,
    task: Task,
    examples: Sequence[Example],
    *,
    batch_size: int = 64,
    device: str = "cpu",
    half: Half | None = None,
    progress: Callable[[int, int], None] | None = None,
    ask: Callable[[Batch], list[dict[str, Any]]] | None = None,
    dealt: tuple[int, int] = (0, 1),
) -> list[dict[str, Any]]:
    """Predictions for every example.

    Args:
        loaded: the model, and the processor that stacks rows.
        task: what predicts.
        examples: encoded rows.
        batch_size: rows in a forward pass.
        device: where the model is.
        half: what products are computed in, where it is not float32.
        progress: hears (rows done, rows).
        ask: predicts a batch; default: the task, of the model.
        dealt: which process this is and how many there are; the others' rows stay empty.  Every process asks as
            often as any other.
    """
    import torch

    found: list[dict[str, Any]] = [{}] * len(examples)
    done = 0
    loaded.model.eval()
    with torch.inference_mode(), autocast(device, half):
        for batch in in_order(
            examples,
            loaded.collate(task),
            batch_size=batch_size,
            # A row that is read in windows may be many times as long as the model reads at once.
            max_tokens=batch_size * loaded.limit,
            layout=loaded.layout,
            dealt=dealt,
        ):
            told = ask(batch.to(device)) if ask else task.predict(loaded.model, batch.to(device))
            for row, prediction in zip(batch.rows, told, strict=False):  # a stand-in has no rows
                found[row] = prediction
            done += len(batch.rows)
            if progress:
                progress(done, len(examples))
    return found


def answer(
    loaded: Loaded,
    prompt_ids: Sequence[int],
    *,
    max_new_tokens: int,
    device: str = "cpu",
    half: Half | None = None,
    streamer: Any = None,
    sample: bool = False,
    temperature: float = 0.7,
) -> str:
    """What the model says after a prompt (`Task.opening`); greedy unless `sample`."""
    import torch

    ids_BT = torch.tensor([list(prompt_ids)], device=device)
    choice = (
        {"do_sample": True, "temperature": temperature} if sample else {"do_sample": False, **NO_SAMPLING}
    )
    loaded.model.eval()
    with torch.inference_mode(), autocast(device, half):
        ids = loaded.model.generate(
            input_ids=ids_BT,
            attention_mask=torch.ones_like(ids_BT),
            max_new_tokens=max_new_tokens,
            streamer=streamer,
            **choice,
        )
    return loaded.processor.decode(ids[0, ids_BT.shape[1] :], skip_special_tokens=True).strip()


# Greedy decoding: a model's own generation_config may hold sampling settings, which Transformers would warn about.
NO_SAMPLING = {"temperature": None, "top_p": None, "top_k": None}
