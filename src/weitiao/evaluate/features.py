"""What a model's output layer hears of a row: the pooled features of its body.

    features(loaded, task, examples)  ->  (N, D) float32

The layer is found by the names of the parameters that are the task's own (`Loaded.head`): what enters the first of their modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Batch, Example, Task
from weitiao.evaluate.predict import predict

if TYPE_CHECKING:
    from weitiao.models.load import Loaded


def features(loaded: Loaded, task: Task, examples: Sequence[Example], **words: Any) -> Any:
    """One vector a row.

    Args:
        loaded: a model with an output layer of the task's.
        task: what stacks rows.
        examples: encoded rows, each of which is read in one pass.
        words: those of `predict`: `longest`, `device`, `half`, `batch_size`, `progress`.
    """
    import numpy as np

    heard: list[Any] = []

    def ask(batch: Batch) -> list[dict[str, Any]]:
        heard.clear()
        task.predict(loaded.model, batch)
        return [{"heard": one_D} for one_D in heard[0].float().flatten(1).cpu().numpy()]

    owners = {name.rpartition(".")[0] for name in loaded.head}
    handles = [
        loaded.model.get_submodule(name).register_forward_pre_hook(lambda module, args: heard.append(args[0]))
        for name in sorted(owners)
    ]
    try:
        told = predict(loaded, task, examples, ask=ask, **words)
    finally:
        for handle in handles:
            handle.remove()
    return np.stack([row["heard"] for row in told])
