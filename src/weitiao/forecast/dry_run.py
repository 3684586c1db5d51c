"""A small-sample rehearsal: everything that a run does, on one row of a hundred and for two steps.

    dry_run("recipe.yaml")  ->  DryRun(stages=[Stage("train", 1.8, "..."), ...], steps=1320, hours=2.4, ...)

Train, evaluate, save, stop, resume, judge, read back, merge: each stage is the one that the full run will go through,
in a temporary folder.  What the full run will need is measured on these rows and counted up.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Sampling, Task
from weitiao.core.files import free_bytes, read_lines
from weitiao.core.recipe import Data, Recipe
from weitiao.core.run import placed
from weitiao.data import check as checking
from weitiao.data.overlong import uncut
from weitiao.data.read import parted
from weitiao.forecast.looked import compared
from weitiao.forecast.refuse import MemoryCheck
from weitiao.forecast.sample import counted, share_of
from weitiao.stages.data import located, readable
from weitiao.stages.events import Tell, silent
from weitiao.stages.kept_rows import kept
from weitiao.stages.preflight import tried
from weitiao.stages.resume import Resume
from weitiao.stages.train import train
from weitiao.stages.warn import cut_much, unknown_words, warnings, written_cut, written_otherwise

if TYPE_CHECKING:
    from weitiao.data.pack import Batches
    from weitiao.models.assets.fetch import Progress
    from weitiao.stages.run import Run

SHARE = 0.01
FEWEST = 100
"""Rows of each file at least: fewer would leave no rows that judge, or one label alone."""
STEPS = 2


@dataclass
class Stage:
    """One thing that was tried."""

    name: str
    seconds: float
    what: str


@dataclass
class DryRun:
    """What was tried, and what the full run will need."""

    recipe: Recipe
    stages: list[Stage] = field(default_factory=list)
    rows: int = 0
    """Rows in the files of `data.train`."""
    tried: int = 0
    """How many of them were looked at."""
    steps: int = 0
    """Optimiser steps of the full run, about."""
    seconds: float = 0.0
    """What its training, and its repetitions (`evaluate.noise_runs`), will take at the speed of the second step,
    validation not counted."""
    memory_mb: float = 0.0
    """The most that this process has held."""
    disk_mb: float = 0.0
    """Checkpoints that will be kept, and the tuned model."""
    free_mb: float = 0.0
    """Free space where the run will lie."""
    notices: list[str] = field(default_factory=list)
    """What could go wrong in the full run and is not refused, as `train` says it."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "recipe": self.recipe.model_dump()}


class Halt(BaseException):
    """Ends the rehearsal's training as a lost process would."""

    def __init__(self, batches: Batches):
        super().__init__()
        self.batches = batches


def dry_run(
    recipe: str | Path | Mapping[str, Any],
    *,
    overrides: Iterable[str] = (),
    tell: Tell = silent,
    progress: Progress | None = None,
) -> DryRun:
    """Go the whole way on a small sample, in a temporary folder that vanishes.

    Raises:
        WeitiaoError: whatever the full run would raise on these rows.
    """
    asked = tried(recipe, overrides=overrides, progress=progress)
    found = DryRun(asked, free_mb=free_bytes(Path(asked.output_dir)) / 1e6)
    task = registry.build("task", asked.task)
    compared(asked, task, progress=progress)  # what all rows would lose, no sample of them can say
    data, there, drawn = _sample(asked, task, progress=progress)
    found.rows, found.tried = sum(there), sum(drawn)
    share = share_of(there, drawn, asked.data.weights or [1.0] * len(there))
    with tempfile.TemporaryDirectory(prefix="weitiao-dry-run-") as folder:
        small = _small(asked, data, Path(folder) / "run")
        batches = _stage(found, tell, "train", lambda: _begin(small, progress))
        run = _stage(found, tell, "resume, evaluate, save, judge", lambda: _finish(small, progress))
        if run.method.foldable:
            _stage(found, tell, "merge", lambda: run.merge(Path(folder) / "merged"))
        _needs(found, run, batches, share=share)
        # That all rows of a side have one label can be said of all of them alone.
        told = run.folder.json("data/ledger.json").get("labels", {}) if drawn == there else {}
        validation = len(run.folder.json("data/split.json")["validation"])
        found.notices += placed(Path(asked.output_dir))
        found.notices += warnings(asked, run.method, told, validation=validation, total=found.steps)
        found.notices += cut_much(asked, run.task, uncut(batches.examples), most=run.most)
        found.notices += written_cut(batches.examples)
        words = asked, run.task, run.tuned.processor
        found.notices += unknown_words(*words, batches.examples)
        rows = [record for record, _ in kept(run.folder, "train")]
        found.notices += written_otherwise(*words, rows, batches.examples)
    return found


def _stage(found: DryRun, tell: Tell, name: str, make: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    made = make()
    found.stages.append(Stage(name, time.perf_counter() - started, "passed"))
    tell("tried", stage=found.stages[-1])
    return made


def _sample(asked: Recipe, task: Task, *, progress: Progress | None) -> tuple[Data, list[int], list[int]]:
    """One row of a hundred of every file, drawn by the rows' own hashes; how many rows each file of `data.train` has,
    and how many of them are drawn."""
    data = asked.data
    there = readable(located(data, progress=progress))
    drawn = {
        side: [min(rows, max(FEWEST, math.ceil(SHARE * rows))) for rows in there[side]] for side in there
    }
    sampled = {
        side: [
            f"{parted(name)[0]}#{count}" for name, count in zip(getattr(data, side), drawn[side], strict=True)
        ]
        for side in drawn
    }
    few = data.model_copy(update=sampled)
    # Of a hundred rows a larger share may be unusable than of all, which are within what the recipe accepts.
    seen = checking.inspect(located(few, progress=progress), task.shape, seed=asked.seed)
    accepts = min(1.0, data.max_dropped_fraction + len(seen.bad) / seen.ledger.total)
    return few.model_copy(update={"max_dropped_fraction": accepts}), there["train"], drawn["train"]


def _small(asked: Recipe, data: Data, folder: Path) -> Recipe:
    few: dict[str, Any] = {"max_steps": STEPS, "save_strategy": "steps", "save_steps": 1, "warmup_steps": 0.0}
    if asked.train.eval_strategy != "no":
        few |= {"eval_strategy": "steps", "eval_steps": 1}
    judge = {
        "resamples": 100,
        "samples": min(1, asked.evaluate.samples),
        "max_new_tokens": 8,
        "noise_runs": 0,
    }
    return asked.model_copy(
        update={
            "data": data,
            "train": asked.train.model_copy(update=few),
            "evaluate": asked.evaluate.model_copy(update=judge),
            "output_dir": str(folder),
        }
    )


def _begin(recipe: Recipe, progress: Progress | None) -> Batches:
    """One step, evaluated and saved, and then the process is gone; what it would have trained on."""
    from weitiao.train.loop import Training, Watcher

    class Gone(Watcher):
        def on_step(self, training: Training) -> None:
            raise Halt(training.batches.outlook)

    try:
        train(recipe, refusal=MemoryCheck(), watchers=[Gone()], progress=progress)
    except Halt as halt:
        return halt.batches
    raise AssertionError("a training has a step")


def _finish(recipe: Recipe, progress: Progress | None) -> Run:
    return train(recipe, refusal=MemoryCheck(), resume=Resume(wanted=True), progress=progress)


def _needs(found: DryRun, run: Run, batches: Batches, *, share: float) -> None:
    """Counted up from the rehearsal: steps, time, disk."""
    log = read_lines(run.path / "log.jsonl")
    first, last = [line for line in log if line["event"] == "step"][-STEPS:]
    settings = found.recipe.train
    _, an_epoch, found.steps = counted(settings, batches, share=share)
    rows = batches.rows_per_epoch * share * found.steps / an_epoch
    a_step = last["seconds"]
    if isinstance(run.task, Sampling) and run.task.passes > 1:
        # The second step was taken on what the first one drew.
        a_step += first["rollout_seconds"] / run.task.passes
    found.seconds = rows * a_step / last["rows"] * (1 + found.recipe.evaluate.noise_runs)
    found.memory_mb = next(line for line in log if line["event"] == "end").get("peak_memory_mb", 0.0)
    checkpoint, model = _size(run.folder.checkpoints()[0]), _size(run.folder.model)
    kept = settings.save_total_limit + settings.load_best_model_at_end
    found.disk_mb = (kept * checkpoint + model) / 1e6


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
