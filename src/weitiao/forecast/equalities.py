"""The promises of the engine, computed on a user's own model, method and rows (`weitiao check RECIPE --numerics`).

    numerics("recipe.yaml")  ->  [Equality("micro-batches = one batch", found=2e-8, bound=1e-5), ...]

A handful of training rows goes through the model in two ways that must give the same, in float32 and without dropout
unless the equality is about bits.  Nothing of it touches the run folder of the recipe.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Batch, Example, Sampling
from weitiao.core.errors import fault
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.core.why import because, reason
from weitiao.forecast.lab import SUM, Found, Lab, laboratory
from weitiao.stages.events import Tell, silent
from weitiao.stages.preflight import preflight, resolve
from weitiao.stages.prepare import follow
from weitiao.train.distributed import World, joined

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress
    from weitiao.train.loop import Training

STEPS = 4
HALF = 0.05
"""The same for a loss in half precision beside float32, which is a rounding and no promise of equality."""


@dataclass(frozen=True)
class Equality:
    """Two ways that must give the same."""

    name: str
    found: float
    """The difference, as a share; of bits 0 or 1."""
    bound: float
    """What it may be."""
    note: str = ""
    """Why it was not looked at, if it was not."""

    @property
    def holds(self) -> bool:
        """Is the difference within its bound?"""
        return self.found <= self.bound

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "holds": self.holds}


def numerics(
    recipe: str | Path | Mapping[str, Any],
    *,
    overrides: Iterable[str] = (),
    tell: Tell = silent,
    progress: Progress | None = None,
) -> list[Equality]:
    """Every equality, on some rows of the recipe's own training split.

    Raises:
        WeitiaoError: what reading the recipe, the rows and the model raises; `wrong_usage` for a task whose rows are drawn on
            the way.
    """
    asked = Recipe.read(recipe, overrides)
    task, method = registry.build("task", asked.task), registry.build("method", asked.method)
    preflight(asked, task, method, progress=progress)
    if isinstance(task, Sampling):
        raise fault("wrong_usage", **because("no_numerics_of_drawn"))
    found = []
    with tempfile.TemporaryDirectory(prefix="weitiao-numerics-") as folder:
        lab = laboratory(
            resolve(asked, task, method), task, method, Path(folder), tell=tell, progress=progress
        )
        for check in CHECKS:
            equality = check(lab)
            tell("equality", equality=equality)
            found.append(equality)
    return found


def one_seed(lab: Lab) -> Equality:
    """Two trainings from one seed."""
    one, two = (lab.training(lab.prepared.loaded, lab.recipe) for _ in range(2))
    same = lab.steps(one, STEPS) == lab.steps(two, STEPS) and _equal(one, two)
    return Equality(reason("equal_two_runs"), float(not same), 0)


def micro_batches(lab: Lab) -> Equality:
    """Accumulation."""
    one, many = lab.batches(), lab.batches(each=3)
    apart = lab.gradients(lab.still, one).apart(lab.gradients(lab.still, many))
    return Equality(reason("equal_micro_batches"), apart, SUM)


def alone(lab: Lab) -> Equality:
    """Packing and padding."""
    name = reason("equal_alone", beside=reason(f"laid_{lab.still.layout}"))
    one, many = lab.batches(), lab.batches(each=1)
    return Equality(name, lab.gradients(lab.still, one).apart(lab.gradients(lab.still, many)), SUM)


def recomputed(lab: Lab) -> Equality:
    """Activation checkpointing."""
    name = reason("equal_recomputed")
    if not lab.still.model.supports_gradient_checkpointing:
        return Equality(name, 0, SUM, note=reason("cannot_recompute"))
    again = lab.exact.train.model_copy(update={"activation_checkpointing": True})
    recipe = lab.exact.model_copy(update={"train": again})
    kept = lab.gradients(lab.still, lab.batches())
    return Equality(name, kept.apart(lab.gradients(lab.still, lab.batches(), recipe=recipe)), SUM)


def resumed(lab: Lab) -> Equality:
    """A checkpoint between two halves, the recipe's own precision and dropout."""
    from weitiao.train import checkpoint

    whole = lab.training(lab.prepared.loaded, lab.recipe)
    losses = lab.steps(whole, STEPS)
    half = lab.training(lab.prepared.loaded, lab.recipe)
    first = lab.steps(half, STEPS // 2)
    folder = checkpoint.save(RunFolder(lab.folder), half)
    anew = lab.training(lab.prepared.loaded, lab.recipe)
    checkpoint.load(folder, anew)
    same = first + lab.steps(anew, STEPS - STEPS // 2) == losses and _equal(whole, anew)
    return Equality(reason("equal_resumed", steps=STEPS, half=STEPS // 2), float(not same), 0)


def processes(lab: Lab) -> Equality:
    """Two processes on this machine, over gloo."""
    import torch
    from safetensors.torch import load_file

    name = reason("equal_processes")
    if lab.prepared.device != "cpu":
        return Equality(name, 0, SUM, note=reason("cpus_alone"))
    facts = (lab.exact.to_yaml(), lab.prepared.shared(), lab.rows, lab.folder)
    torch.multiprocessing.spawn(_second, args=(_free_port(), *facts), nprocs=2)
    told = load_file(lab.folder / "two.safetensors")
    loss = told.pop("=loss").item()
    one = lab.gradients(lab.still, lab.batches(each=3))
    return Equality(name, one.apart(Found(loss, told)), SUM)


def _second(
    rank: int,
    port: int,
    recipe: str,
    shared: dict[str, Any],
    rows: list[tuple[int, Example]],
    folder: Path,
) -> None:
    """One of the two: its share of the micro-batches, the gradients summed."""
    import os

    import yaml
    from safetensors.torch import save_file

    from weitiao.models import dropouts
    from weitiao.train import loop

    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    asked = Recipe.read(yaml.safe_load(recipe))
    method = registry.build("method", asked.method)
    with joined() as world:
        prepared = follow(shared, asked, method)
        dropouts.silence(prepared.loaded.model)
        lab = Lab(asked, asked, method, prepared, rows, prepared.loaded, folder)
        training = lab.training(prepared.loaded, asked, world=world)
        training.model.train()
        dealt = _dealt(lab, world)
        loss = loop.accumulate(training, dealt)
        if world.first:
            import torch

            found = {n: w.grad.contiguous() for n, w in training.weights.items() if w.grad is not None}
            save_file({**found, "=loss": torch.tensor(loss, dtype=torch.float64)}, folder / "two.safetensors")


def _dealt(lab: Lab, world: World) -> list[Batch]:
    batches = lab.batches(each=3)
    idle = replace(lab.batches(each=3)[0], rows=[], trained=0, tokens=0, padding=0, shared=0)
    batches += [idle] * (-len(batches) % world.size)
    return batches[world.rank :: world.size]


def off(lab: Lab) -> Equality:
    """The method turned off after some steps."""
    training = lab.training(lab.still, lab.exact)
    tuned = replace(lab.still, model=training.model)
    before = lab.method.snapshot(training.model)
    with lab.method.off(training.model, before):
        base = lab.loss(tuned, lab.batches())
    lab.steps(training, STEPS)
    with lab.method.off(training.model, before):
        found = lab.loss(tuned, lab.batches())
    return Equality(reason("equal_off"), abs(found - base) / abs(base), SUM)


def folded(lab: Lab) -> Equality:
    """The change in the weights."""
    name = reason("equal_folded")
    if not lab.method.foldable:
        return Equality(name, 0, SUM, note=reason("does_not_fold"))
    training = lab.training(lab.still, lab.exact)
    lab.steps(training, STEPS)
    tuned = replace(lab.still, model=training.model)
    beside = lab.loss(tuned, lab.batches())
    tuned.model = lab.method.fold(training.model)
    return Equality(name, abs(lab.loss(tuned, lab.batches()) - beside) / abs(beside), 10 * SUM)


def saved(lab: Lab) -> Equality:
    """Written and read."""
    from weitiao.models import store

    training = lab.training(lab.still, lab.exact)
    lab.steps(training, STEPS)
    tuned = replace(lab.still, model=training.model, trained=dict(training.weights))
    folder = lab.folder / "saved" / "model"
    store.save_tuned(folder, tuned, task=lab.task, method=lab.method, card={})
    here = lab.loss(tuned, lab.batches())  # a whole model is rounded to what its base is stored in
    read = store.load_tuned(
        folder, ref=lab.recipe.model, task=lab.task, method=lab.method, device=lab.prepared.device
    )
    return Equality(reason("equal_saved"), abs(lab.loss(read, lab.batches()) - here) / abs(here), SUM)


def rounded(lab: Lab) -> Equality:
    """The recipe's half precision beside float32."""
    name = reason("equal_half")
    if not lab.recipe.train.half:
        return Equality(name, 0, HALF, note=reason("in_float32"))
    exact = lab.exact.train.model_copy(update={"bf16": lab.recipe.train.bf16, "fp16": lab.recipe.train.fp16})
    half = lab.gradients(lab.still, lab.batches(), recipe=lab.exact.model_copy(update={"train": exact}))
    whole = lab.gradients(lab.still, lab.batches())
    return Equality(name, abs(half.loss - whole.loss) / abs(whole.loss), HALF)


CHECKS: tuple[Callable[[Lab], Equality], ...] = (
    one_seed,
    resumed,
    micro_batches,
    alone,
    recomputed,
    processes,
    off,
    folded,
    saved,
    rounded,
)


def _equal(one: Training, two: Training) -> bool:
    import torch

    return all(torch.equal(weight, two.weights[name]) for name, weight in one.weights.items())


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])
