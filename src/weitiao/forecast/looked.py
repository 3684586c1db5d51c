"""Some rows of a recipe, made ready as a run would, to know how long rows are and what is wrong with them.

looked(recipe, processes=1)      ->  Looked(task, forecast, examples, batches, notices, ...)
fitting("recipe.yaml")           ->  the recipe, how many rows were looked at, what could go wrong: `weitiao check`
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core import registry
from weitiao.core.contracts import Shape, Task
from weitiao.core.errors import fault
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
from weitiao.forecast.memory import Forecast
from weitiao.forecast.sample import counted, resident
from weitiao.stages.beginning import refuse_start
from weitiao.stages.data import located
from weitiao.stages.dealt import learnt
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
    from weitiao.models.assets.fetch import Progress

ROWS, JUDGED = 2000, 600
"""So many of the training rows of each name of `data.train` are encoded, and of those that judge, to know how long rows
are."""
CHARACTERS = 8
"""No more for each token that a row may have are encoded for a plan; hardly any text has longer tokens on average."""
ASKED, SPARE = 32, 1.25
"""So many texts tell how many characters their tokens have; others may have so much longer ones."""
BATCHES = 4
"""Or so many batches of the largest size, if that is more."""


def fitting(
    recipe: str | Path | Mapping[str, Any], *, overrides: Iterable[str] = (), progress: Progress | None = None
) -> tuple[Recipe, int, list[str]]:
    """`weitiao check`: the recipe as it would be trained, how many of its rows were looked at, and what could go wrong.

    Raises:
        WeitiaoError: what `train` would raise over the recipe and these rows.
    """
    asked = tried(recipe, overrides=overrides, progress=progress)
    found = looked(asked, processes=1, progress=progress)
    return asked, found.rows, found.notices


@dataclass
class Looked:
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
    there: float
    """How many rows train or validate for each that was looked at of those that train."""
    notices: list[str]


def looked(asked: Recipe, *, processes: int, progress: Progress | None) -> Looked:
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
    there = (len(dealt["train"]) + len(dealt["validation"])) / len(some["train"])
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
    return Looked(task, forecast, program, len(looked_at), examples, batches, share, there, said)


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
