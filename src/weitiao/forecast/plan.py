"""What a run will need of memory and disk, told without loading its model.

plan("recipe.yaml")  ->  Plan(stages={"load": Footprint(...), "train": ..., "evaluate": ..., "save": ...}, ...)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.display import Sheet, Shown, either, megabytes
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import free_bytes
from weitiao.core.recipe import Recipe
from weitiao.forecast.looked import Looked, looked
from weitiao.forecast.memory import Forecast
from weitiao.forecast.sample import KERNELS, checkpoints, longest
from weitiao.forecast.seconds import lasting
from weitiao.stages.in_memory import lent
from weitiao.stages.preflight import refuse_pair, resolve, tried

if TYPE_CHECKING:
    from weitiao.forecast.step_memory import Footprint
    from weitiao.models.assets.fetch import Progress

JUDGES = 110_000_000
"""Bytes of what is imported when a model is judged (measured: scikit-learn and scipy.stats take 109 MB); to import it for
a plan takes most of a second.  The report's pictures come when the model is gone."""


@dataclass(repr=False)
class Plan(Shown):
    """What a run will need; bytes."""

    recipe: Recipe
    """Every default written out."""
    stages: dict[str, Footprint]
    """Stage -> what one process holds at its highest point, beside the program itself."""
    program: dict[str, int]
    """Stage -> the program without any weight or activation: Python, torch, Transformers, what judges; 0 on a GPU, whose
    memory it does not take."""
    processes: int
    device: str
    free: int | None
    """What could be taken there now; None where the system does not tell."""
    rows: int
    """Rows that were looked at."""
    batch: dict[str, int]
    """Rows, real tokens and padding of the heaviest micro-batch among them."""
    checkpoint: int
    """One checkpoint on disk."""
    checkpoints: int
    """How many lie there at once, at most: those that are kept, and the one that is being written."""
    model: int
    """The tuned model on disk."""
    free_disk: int
    steps: int
    """Of the optimiser, in the whole run."""
    notices: list[str]
    """What could go wrong and is not refused, as `train` says it."""
    seconds: float
    """What training takes, repetitions (`evaluate.noise_runs`) with it, at the speed that this machine had while planning;
    validation and judging come on top."""

    @property
    def peak(self) -> int:
        """The most that one process holds, the program included."""
        return max(self.program[stage] + held.total for stage, held in self.stages.items())

    @property
    def memory(self) -> int:
        """The most that all processes of one machine's main memory, or of one GPU, hold together."""
        return self.peak if self.device.startswith("cuda") else self.peak * self.processes

    @property
    def disk(self) -> int:
        """Checkpoints and model."""
        return self.checkpoint * self.checkpoints + self.model

    @property
    def fits(self) -> bool:
        """Is there room for it now?"""
        return (self.free is None or self.memory <= self.free) and self.disk <= self.free_disk

    def sheet(self) -> Sheet:
        """What each stage holds, and whether it fits."""
        fits = either("it fits", "放得下") if self.fits else either("it does not fit", "放不下")
        memory, disk = either("memory", "内存"), either("disk", "磁盘")
        title = f"Plan: {memory} {megabytes(self.memory)}, {disk} {megabytes(self.disk)}; {fits}"
        rows = [[name, megabytes(self.program[name] + held.total)] for name, held in self.stages.items()]
        return Sheet(title, [either("stage", "阶段"), memory], rows)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        whole = {"peak": self.peak, "memory": self.memory, "disk": self.disk, "fits": self.fits}
        stages = {name: {**asdict(held), "total": held.total} for name, held in self.stages.items()}
        return {**asdict(self), "recipe": self.recipe.model_dump(), "stages": stages, **whole}


def plan(
    recipe: str | Path | Mapping[str, Any],
    *,
    overrides: Iterable[str] = (),
    nproc: int = 1,
    progress: Progress | None = None,
) -> Plan:
    """Forecast peak memory and disk of a run, by weights, master copy, gradients, optimiser state and activations.

    The operations of a step are gone through on tensors that have shapes and no numbers, with the heaviest
    micro-batch of the rows that are looked at (2,000 training rows of each file, or four batches).  All rows are read, checked
    and dealt as a run would, but not compared for near likeness.  Not counted: the file of a frozen trunk (docs/frozen-trunk.md), encoded rows in the cache.

    Args:
        recipe: a YAML file or a mapping, whose rows may be tables in memory, as for `train`.
        overrides: `key=value` words on top.
        nproc: processes on this machine that share the work.
        progress: hears bytes that are fetched.

    Raises:
        WeitiaoError: what `train` would raise over the recipe and these rows.
    """
    overrides = list(overrides)
    with lent(recipe, overrides) as (recipe, keep):
        asked = tried(recipe, overrides=overrides, progress=progress)
        planned = _planned(asked, looked(asked, processes=nproc, progress=progress), nproc)
        keep(planned)
        return planned


def plans(
    recipe: Recipe, methods: Sequence[str], *, progress: Progress | None = None
) -> dict[str, Plan | WeitiaoError]:
    """The plan of one recipe with each of several methods, or what stands against it; its rows are looked at once.

    Args:
        recipe: its own method is not looked at.
        methods: names.
        progress: hears bytes that are fetched.
    """
    found: dict[str, Plan | WeitiaoError] = {}
    first: Looked | None = None
    for name in methods:
        asked = recipe.model_copy(update={"method": {"name": name}})
        try:
            if first is None:
                asked = tried(asked.model_dump(), progress=progress)
                first = own = looked(asked, processes=1, progress=progress)
            else:
                asked, own = _beside(asked, first, progress=progress)
            found[name] = _planned(asked, own, 1)
        except WeitiaoError as error:
            found[name] = error
    return found


def _beside(asked: Recipe, first: Looked, *, progress: Progress | None) -> tuple[Recipe, Looked]:
    """The same rows for another method; one that takes positions of its own has others."""
    task, method = registry.build("task", asked.task), registry.build("method", asked.method)
    refuse_pair(asked, task, method)
    asked = resolve(asked, task, method)
    if method.positions != first.forecast.method.positions:
        return asked, looked(asked, processes=1, progress=progress)
    forecast = Forecast(asked, first.task, method, device=first.forecast.device, progress=progress)
    return asked, replace(first, forecast=forecast)


def _planned(asked: Recipe, found: Looked, nproc: int) -> Plan:
    from weitiao.train import memory

    task, forecast, batches, examples = found.task, found.forecast, found.batches, found.examples
    loaded = forecast.fake.loaded
    heaviest = batches.heaviest()
    computed = heaviest.tokens - heaviest.shared
    batch = {"rows": len(heaviest.rows), "tokens": computed, "padding": heaviest.padding}
    judged = longest(asked, task, loaded, examples["judging"])
    stages = forecast.stages(train=heaviest, evaluate=judged, rows=examples["train"])
    steps, seconds = lasting(found, heaviest, stages["train"].work, processes=nproc)
    return Plan(
        recipe=asked,
        stages=stages,
        steps=steps,
        seconds=seconds * (1 + asked.evaluate.noise_runs),
        program=_program(stages, found.program),
        processes=nproc,
        device=forecast.device,
        free=memory.free(forecast.device),
        rows=found.rows,
        notices=found.notices,
        batch=batch,
        checkpoint=forecast.kept_bytes,
        checkpoints=checkpoints(asked.train),
        model=forecast.saved_bytes,
        free_disk=free_bytes(Path(asked.output_dir)),
    )


def _program(stages: Iterable[str], loaded: int) -> dict[str, int]:
    """The program at every stage, from what it takes when a model is loaded."""
    if not loaded:
        return dict.fromkeys(stages, 0)
    found = dict.fromkeys(stages, loaded + KERNELS)
    judges = 0 if "sklearn.linear_model" in sys.modules else JUDGES  # then it is in `loaded`
    return found | {"load": loaded, "evaluate": loaded + KERNELS + judges}
