"""Some rows and models of a recipe, to be compared with each other in memory.

laboratory(recipe, task, method, folder, ...)  ->  Lab;  lab.gradients(lab.still, lab.batches(each=2))  ->  Found(loss, ...)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Batch, Example, Method, Task
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.data.pack import chunks
from weitiao.stages.assemble import assemble
from weitiao.stages.events import Tell
from weitiao.stages.prepare import Prepared, prepare
from weitiao.train.distributed import World

if TYPE_CHECKING:
    from torch import Tensor

    from weitiao.models.assets.fetch import Progress
    from weitiao.models.load import Loaded
    from weitiao.train.loop import Training

ROWS = 8
"""Rows that are compared."""
SUM = 1e-5
"""Largest difference of losses, as a share, where float32 sums are added up in another order."""
GRADIENT = 1e-3
"""The same for gradients: the norm of the difference over the norm."""

SHORT = {"num_train_epochs": 50.0, "max_steps": 50, "per_device_train_batch_size": 2, "warmup_steps": 0.0}
STILL = {
    "bf16": False,
    "fp16": False,
    "activation_checkpointing": False,
    "torch_compile": False,
    "r_drop_alpha": 0.0,
    "neftune_noise_alpha": 0.0,
    "max_grad_norm": 0.0,
}


def laboratory(
    resolved: Recipe, task: Task, method: Method, folder: Path, *, tell: Tell, progress: Progress | None
) -> Lab:
    """The rows of a resolved recipe and its model, opened."""
    from weitiao.models import dropouts

    train = resolved.train.model_copy(update=STILL)
    recipe = resolved.model_copy(update={"output_dir": str(folder)})
    exact = recipe.model_copy(update={"train": train})
    prepared = prepare(RunFolder(folder), exact, task, method, tell=tell, progress=progress)
    still = copied(prepared.loaded)
    dropouts.silence(still.model)
    return Lab(recipe, exact, method, prepared, _some(prepared.examples["train"]), still, folder)


@dataclass
class Lab:
    """Rows and models to compare on."""

    recipe: Recipe
    """As it was asked, resolved."""
    exact: Recipe
    """The same in float32, without anything that draws by chance."""
    method: Method
    prepared: Prepared
    rows: list[tuple[int, Example]]
    """Index and row."""
    still: Loaded
    """The model without dropout."""
    folder: Path
    """Where to write."""

    @property
    def task(self) -> Task:
        """What is learnt."""
        return self.prepared.task

    def batches(self, *, each: int = ROWS) -> list[Batch]:
        """The rows, so many in a batch, as far as they may be beside each other."""
        sizes = [len(row) for _, row in self.rows]
        return [
            self.collate([self.rows[place] for place in part])
            for places in chunks(list(range(len(sizes))), each)
            for part in self.still.layout.parts(places, [sizes[place] for place in places])
        ]

    def collate(self, part: Sequence[tuple[int, Example]]) -> Batch:
        """One batch."""
        indices = [index for index, _ in part]
        return self.still.collate(self.task)([row for _, row in part], indices)

    def training(self, loaded: Loaded, recipe: Recipe, *, world: World | None = None) -> Training:
        """A training of a copy of that model, on these rows alone."""
        examples: Any = {"train": [row for _, row in self.rows]}
        own = {"loaded": copied(loaded), "examples": examples, "splits": {}, "weights": None}
        prepared = replace(self.prepared, **own)
        train = recipe.train.model_copy(update=SHORT)
        settled = recipe.model_copy(update={"train": train})
        return assemble(settled, prepared, self.method, world=world or World(), processes=1, fresh=False)

    def gradients(self, loaded: Loaded, batches: Sequence[Batch], *, recipe: Recipe | None = None) -> Found:
        """Loss and gradients of one step over these batches."""
        from weitiao.train import loop

        training = self.training(loaded, recipe or self.exact)
        training.model.train()
        loss = loop.accumulate(training, batches)
        return Found(loss, {name: w.grad for name, w in training.weights.items() if w.grad is not None})

    def loss(self, loaded: Loaded, batches: Sequence[Batch]) -> float:
        """Of a model in use."""
        import torch

        loaded.model.eval()
        with torch.no_grad():
            summed = sum(
                self.task.loss(loaded.model, batch.to(self.prepared.device)).item() for batch in batches
            )
        return summed / sum(batch.trained for batch in batches)

    def steps(self, training: Training, count: int) -> list[float]:
        """Losses of so many steps."""
        from weitiao.train import loop

        found = []
        training.model.train()
        for _ in range(count):
            loop.step(training)
            found.append(training.facts["loss"])
        return found


@dataclass(frozen=True)
class Found:
    """What a step gave."""

    loss: float
    gradients: dict[str, Tensor]

    def apart(self, other: Found) -> float:
        """The larger of both differences, the gradients' measured by what they may differ more."""
        loss = abs(self.loss - other.loss) / max(abs(self.loss), 1e-12)
        if set(self.gradients) != set(other.gradients):
            return float("inf")
        norm = sum(g.double().square().sum().item() for g in self.gradients.values()) ** 0.5
        between = (
            sum(
                (g.double() - other.gradients[name].double()).square().sum().item()
                for name, g in self.gradients.items()
            )
            ** 0.5
        )
        return max(loss, between / max(norm, 1e-12) * SUM / GRADIENT)


def _some(examples: Sequence[Example]) -> list[tuple[int, Example]]:
    """Short and long rows, by index."""
    import numpy as np

    from weitiao.data.pack import lengths

    order = np.argsort(lengths(examples), kind="stable")
    picked = order[np.unique(np.linspace(0, len(order) - 1, ROWS).astype(int))]
    # Copies: what lies on disk does not go to another process.
    return [(int(i), _in_memory(examples[int(i)])) for i in picked]


def _in_memory(example: Example) -> Example:
    import numpy as np

    target = np.array(example.target) if isinstance(example.target, np.ndarray) else example.target
    inputs = {name: np.array(value) for name, value in example.inputs.items()}
    return replace(example, inputs=inputs, target=target)


def copied(loaded: Loaded) -> Loaded:
    """A model of its own with the same weights."""
    from weitiao.models import store

    model = copy.deepcopy(loaded.model)
    return replace(loaded, model=model, trained=store.trained(model))
