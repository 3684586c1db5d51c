"""What a run will need of memory and disk, told without loading its model.

plan("recipe.yaml")  ->  Plan(stages={"load": Footprint(...), "train": ..., "evaluate": ..., "save": ...}, ...)
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core import registry
from weitiao.core.contracts import Batch, Shape, Task
from weitiao.core.display import Sheet, Shown, either, megabytes
from weitiao.core.errors import fault
from weitiao.core.files import free_bytes
from weitiao.core.recipe import Recipe
from weitiao.core.run import placed
from weitiao.core.why import reason
from weitiao.data import chat
from weitiao.data import check as checking
from weitiao.data import split as splitting
from weitiao.data.encode import Encoder
from weitiao.data.labels import label_table
from weitiao.data.ledger import Ledger
from weitiao.data.overlong import uncut
from weitiao.data.read import parted
from weitiao.data.read_as import read_as
from weitiao.data.rows import Rows
from weitiao.data.tokens import Tokens
from weitiao.forecast.memory import KERNELS, Forecast, checkpoints, counted, longest, resident
from weitiao.stages.beginning import refuse_start
from weitiao.stages.data import located
from weitiao.stages.dealt import learnt
from weitiao.stages.in_memory import lent
from weitiao.stages.preflight import tried
from weitiao.stages.prepare import (
    micro_batches,
    refuse_strange_tokens,
    row_limit,
    row_weights,
)
from weitiao.stages.warn import cut_much, unknown_words, warnings, written_cut, written_otherwise

if TYPE_CHECKING:
    from weitiao.data.encoded import Encoded
    from weitiao.data.pack import Batches
    from weitiao.forecast.step_memory import Footprint
    from weitiao.models.assets.fetch import Progress
    from weitiao.train.pace import Work

ROWS, JUDGED = 2000, 600
"""So many of the training rows of each name of `data.train` are encoded, and of those that judge, to know how long rows
are."""
JUDGES = 110_000_000
"""Bytes of what is imported when a model is judged (measured: scikit-learn and scipy.stats take 109 MB); to import it for
a plan takes most of a second.  The report's pictures come when the model is gone."""
CHARACTERS = 8
"""No more for each token that a row may have are encoded for a plan; hardly any text has longer tokens on average."""
ASKED, SPARE = 32, 1.25
"""So many texts tell how many characters their tokens have; others may have so much longer ones."""
PASSES = 12
"""Of AdamW over what trains, in a step."""
BATCHES = 4
"""Or so many batches of the largest size, if that is more."""


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
    from weitiao.train import memory

    overrides = list(overrides)
    with lent(recipe, overrides) as (recipe, keep):
        asked = tried(recipe, overrides=overrides, progress=progress)
        found = _looked(asked, processes=nproc, progress=progress)
        task, forecast, batches, examples = found.task, found.forecast, found.batches, found.examples
        loaded = forecast.fake.loaded
        heaviest = batches.heaviest()
        computed = heaviest.tokens - heaviest.shared
        batch = {"rows": len(heaviest.rows), "tokens": computed, "padding": heaviest.padding}
        stages = forecast.stages(train=heaviest, evaluate=longest(asked, task, loaded, examples["judging"]))
        steps, seconds = _time(
            asked,
            batches,
            heaviest,
            forecast,
            stages["train"].work,
            share=found.share,
            processes=nproc,
        )
        planned = Plan(
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
        keep(planned)
        return planned


def _time(
    recipe: Recipe,
    batches: Batches,
    heaviest: Batch,
    forecast: Forecast,
    work: Work,
    *,
    share: float,
    processes: int,
) -> tuple[int, float]:
    """Steps and seconds of training, from the work of the heaviest micro-batch and the positions of all."""
    import torch

    from weitiao.train.pace import Work, pace

    settings = recipe.train
    micro, an_epoch, steps = counted(settings, batches, share=share, processes=processes)
    size = batches.positions() * share / processes / max(1, heaviest.tokens + heaviest.padding)
    # Every optimiser reads and writes what trains, its gradients and its moments some times.
    updates = Work(moved=PASSES * forecast.trained_bytes * an_epoch)
    speed = pace(forecast.device, getattr(torch, settings.half or "float32"))
    return steps, speed.seconds(work.times(size, calls=micro) + updates) * steps / an_epoch


def _shortened(rows: Rows, shape: Shape, processor: Any, *, tokens: int) -> tuple[Rows, np.ndarray]:
    """The rows without what would be cut off anyway (one long mail takes longer to encode than all others), and how
    many times as long each was (N,).

    Args:
        rows: as they are.
        shape: theirs.
        processor: the tokenizer.
        tokens: of a text that are read.
    """
    asked = rows.take(range(0, len(rows), max(1, len(rows) // ASKED)))
    begun = [text[: tokens * CHARACTERS] for record in asked for text in shape.texts(record.values).values()]
    begun = [text for text in begun if len(text) > tokens]
    read = Tokens(processor)(begun) if begun else []
    widths = [len(text) / max(1, len(ids)) for text, ids in zip(begun, read, strict=True)]
    most = math.ceil(tokens * min(CHARACTERS, SPARE * max(widths, default=CHARACTERS)))
    found, times_N = Rows(), np.ones(len(rows))
    for place, record in enumerate(rows):
        texts = shape.texts(record.values)
        short = {address: text[:most] for address, text in texts.items() if len(text) > most}
        if short:
            kept = sum(map(len, {**texts, **short}.values()))
            times_N[place] = sum(map(len, texts.values())) / kept
            record = replace(record, values=shape.with_texts(record.values, short))
        found.append(record)
    return found, times_N


def fitting(
    recipe: str | Path | Mapping[str, Any], *, overrides: Iterable[str] = (), progress: Progress | None = None
) -> tuple[Recipe, int, list[str]]:
    """`weitiao check`: the recipe as it would be trained, how many of its rows were looked at, and what could go wrong.

    Raises:
        WeitiaoError: what `train` would raise over the recipe and these rows.
    """
    asked = tried(recipe, overrides=overrides, progress=progress)
    found = _looked(asked, processes=1, progress=progress)
    return asked, found.rows, found.notices


@dataclass
class _Looked:
    """Some rows of each file, made ready as a run would."""

    task: Task
    """With what the rows have taught it."""
    forecast: Forecast
    program: int
    """What the program took before any weight had a shape."""
    rows: int
    examples: dict[str, Encoded]
    """Those that train, and those that judge."""
    batches: Batches
    share: float
    """How many rows come in an epoch for each that was looked at."""
    notices: list[str]


def _looked(asked: Recipe, *, processes: int, progress: Progress | None) -> _Looked:
    """Some rows of each file, read, checked, split and encoded as a run would."""
    from weitiao.models import load

    task, method = registry.build("task", asked.task), registry.build("method", asked.method)
    checked = compared(asked, task, progress=progress)
    data, marks = asked.data, checked.marks
    task = learnt(asked, task, checked.rows, progress=progress)
    refuse_start(asked, task, method)
    dealt = splitting.split(checked, data, seed=asked.seed)
    forecast = Forecast(
        asked, task, method, device=load.pick_device(), processes=processes, progress=progress
    )
    # Before any weight has a shape: what the program takes without them.
    program = resident()
    loaded = forecast.fake.loaded
    limit = row_limit(asked, loaded, method)
    encode = Encoder(task, loaded.processor, data, limit)
    judging = np.concatenate([dealt["validation"], dealt["test"]])
    some = {"train": _some(dealt["train"], marks, asked, ROWS)}
    some["judging"] = _some(judging, marks, asked, JUDGED) if len(judging) else some["train"]
    looked_at = np.unique(np.concatenate([*some.values()]))
    ledger = Ledger(total=len(looked_at))
    examples, times = {}, {}
    for name, own in some.items():
        side, times[name] = checked.rows.take(own), np.ones(len(own))
        if data.overlong != "split":  # what goes on in further rows must be there whole
            read = limit * (data.max_windows if data.overlong == "windows" else 1)
            side, times[name] = _shortened(side, task.shape, loaded.processor, tokens=read)
        examples[name] = encode(side, ledger, side=name)
        refuse_strange_tokens(examples[name], side, loaded)
    ledger.refuse_losses(data.max_dropped_fraction, read_as=read_as(data))
    if not len(examples["train"]):
        raise fault(
            "empty_file",
            path=", ".join(parted(name)[0] for name in data.train),
            why=reason("none_encoded", rows=len(some["train"])),
        )
    weights = row_weights(data, marks.source[some["train"]], examples["train"])
    task = task.learn_training(examples["train"], weights)
    batches = micro_batches(asked, task, loaded, examples["train"], weights)
    often = np.array(data.weights or [1.0] * len(data.train))[marks.source]
    share = float(often[dealt["train"]].sum() / often[some["train"]].sum())
    *_, steps = counted(asked.train, batches, share=share, processes=processes)
    # That all rows of a side have one label can be said of all of them alone.
    whole = len(looked_at) == sum(map(len, dealt.values()))
    sides = {name: checked.rows.take(own) for name, own in dealt.items()} if whole else {}
    told = label_table(sides, task.shape)
    said = list(warnings(asked, method, told, validation=len(dealt["validation"]), total=steps))
    train = examples["train"]
    # A text that was shortened is taken to go on as it began.
    lengths = uncut(train) * times["train"][train.rows]
    cut = cut_much(asked, task, lengths.astype(int), most=loaded.limit - method.positions)
    words = asked, task, loaded.processor
    strange = [*unknown_words(*words, train)]
    strange += written_otherwise(*words, checked.rows.take(some["train"]), train)
    strange += chat.notices(loaded.processor) if task.shape.turns else []
    said = [*placed(Path(asked.output_dir)), *forecast.notices, *said, *cut, *written_cut(train), *strange]
    return _Looked(task, forecast, program, len(looked_at), examples, batches, share, said)


def compared(asked: Recipe, task: Task, *, progress: Progress | None) -> checking.Checked:
    """All rows of a recipe, read and checked as a run would, but for what is nearly alike: that takes longest.

    Raises:
        WeitiaoError: what reading and checking raise, of all rows and not of some: what is lost, and the share that the
            recipe must accept, are what `train` will say.
    """
    if not asked.data.train:
        raise fault("missing_key", key="data.train")
    data = located(asked.data, progress=progress).model_copy(update={"near_duplicates": "keep"})
    return checking.check(data, task.shape, seed=asked.seed)


def _some(own: np.ndarray, marks: checking.Marks, recipe: Recipe, count: int) -> np.ndarray:
    """So many of a side's rows by each name of `data.train`, or some whole batches, drawn by their own hashes."""
    settings = recipe.train
    most = max(settings.per_device_train_batch_size, settings.per_device_eval_batch_size)
    order = own[np.argsort(marks.key[own], kind="stable")]
    source = marks.source[order]
    kept = [order[source == name][: max(count, BATCHES * most)] for name in np.unique(source)]
    return np.sort(np.concatenate(kept)) if kept else own


def _program(stages: Iterable[str], loaded: int) -> dict[str, int]:
    """The program at every stage, from what it takes when a model is loaded."""
    if not loaded:
        return dict.fromkeys(stages, 0)
    found = dict.fromkeys(stages, loaded + KERNELS)
    judges = 0 if "sklearn.linear_model" in sys.modules else JUDGES  # then it is in `loaded`
    return found | {"load": loaded, "evaluate": loaded + KERNELS + judges}
