"""Rows and model made ready: read, checked, split, encoded; loaded, with the method's modules in.

Recipe, Task, Method  ->  prepare(...)  ->  Prepared, and data/ and facts.json in the run folder
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import Example, Method, Sampling, Task
from weitiao.core.errors import fault
from weitiao.core.files import write_json
from weitiao.core.recipe import Data, Recipe
from weitiao.core.run import RunFolder, facts, named, open_run
from weitiao.core.why import reason, why
from weitiao.data import chat
from weitiao.data.augment import Helpers
from weitiao.data.encode import Encoder, token_table
from weitiao.data.encoded import Encoded
from weitiao.data.labels import label_table
from weitiao.data.layout import Layout
from weitiao.data.ledger import named_rows
from weitiao.data.read_as import read_as
from weitiao.data.rows import Rows
from weitiao.stages.beginning import base, beginning, start
from weitiao.stages.data import file_prints
from weitiao.stages.dealt import Dealt, from_files, from_folder, write
from weitiao.stages.events import Tell

if TYPE_CHECKING:
    from weitiao.data.pack import Batches
    from weitiao.models.assets.fetch import Progress
    from weitiao.models.load import Loaded

NAMED = 8  # rows of a step that an error names


@dataclass
class Prepared:
    """What training needs."""

    task: Task
    """The task with what the data taught it."""
    loaded: Loaded
    splits: dict[str, Rows]
    """Training and validation rows.  The test rows are not among them: whatever chooses cannot reach them."""
    examples: dict[str, Encoded]
    """The same, encoded; a long row may have become several."""
    weights: list[float] | None
    """How often each training example comes in an epoch; None for once."""
    device: str
    trained: int
    """Parameters that train."""
    total: int
    """All parameters."""
    heard: dict[str, Any] = field(default_factory=dict)
    """Split -> what a reference said of its rows (`Task.hears`), once it was asked."""

    def shared(self) -> dict[str, Any]:
        """What `follow` needs in another process."""
        return {
            "task": self.task,
            "examples": {name: found.folder for name, found in self.examples.items()},
            "weights": self.weights,
        }

    def places(self, rows: Sequence[int]) -> str:
        """Where training rows stand in their files."""
        if not self.splits:  # process 0 has them, and says where they stand
            return f"{len(rows)} rows"
        train, of = self.splits["train"], self.examples["train"].rows
        named = ", ".join(train[int(of[row])].place for row in rows[:NAMED])
        return named + (" ..." if len(rows) > NAMED else "")


def prepare(
    folder: RunFolder,
    recipe: Recipe,
    task: Task,
    method: Method,
    *,
    tell: Tell,
    progress: Progress | None,
    cache: Path | None = None,
    changes: Collection[str] = (),
) -> Prepared:
    """Everything before the first step; bad rows are found before the model is loaded.

    Args:
        folder: of the run.
        recipe: resolved.
        task: what is learnt.
        method: what trains.
        tell: hears what is found.
        progress: hears bytes that are fetched.
        cache: where encoded rows are kept; default: in the user's cache folder.
        changes: `data.train`, `model` or `start_from`, where other rows, another base or another beginning are meant for a
            run that goes on.

    Raises:
        WeitiaoError: what checking, splitting, loading and encoding raise; `other_data` when a run that is gone on
            with was begun on other rows, another base or other weights of the run that it begins with.
    """
    from weitiao.models import anatomy, cards, first_step, load, opening, output_loss, store, two_sides
    from weitiao.models.assets.fetch import cache_dir

    if not recipe.data.train:
        raise fault("missing_key", key="data.train")
    data = recipe.data
    dealt = from_folder(folder, recipe, changes=changes, tell=tell)
    dealt = dealt or from_files(recipe, task, progress=progress)
    task = dealt.task
    tell("data", ledger=dealt.ledger, splits={name: len(rows) for name, rows in dealt.splits.items()})

    tell("loading", model=recipe.model)
    device = load.pick_device()
    loaded = base(recipe, task, method, device=device, progress=progress)
    if task.packs and not (two_sides.writes(loaded.model) or output_loss.is_plain(loaded.model)):
        tell("notice", text=reason("logits_whole", model=recipe.model))
    prints = {"data": file_prints(dealt.ledger), "base": opening.fingerprint(loaded.source)}
    if recipe.start_from:
        prints["start_from"] = cards.print_of(open_run(recipe.start_from).model)
    _refuse_others(folder, prints, seed=recipe.seed, device=device, changes=changes)
    for text in [*loaded.notices, *method.notices(loaded.model, loaded.head)]:
        tell("notice", text=text)
    store.prepare(loaded, method, seed=recipe.seed, task=task)
    start(loaded, recipe, task, method)
    trained, total = anatomy.parameter_counts(loaded.model)

    limit = row_limit(recipe, loaded, method)
    half, recomputes = recipe.train.half, recipe.train.activation_checkpointing
    first_step.refuse_failing(loaded, task, half=half, recomputes=recomputes, ref=recipe.model, room=limit)
    if task.shares and loaded.layout is Layout.PACKED and not loaded.sharing(task):
        tell("notice", text=reason("beginnings_apart"))
    if task.shape.turns:
        for notice in chat.notices(loaded.processor):
            tell("notice", text=notice)
    _augment(folder, recipe, dealt, device=device)
    # What is kept for a run that goes on is the ledger of before: it may encode otherwise.
    ledger, made = dealt.ledger.copy(), len(dealt.made or ())
    splits = dealt.splits
    if made:
        splits = {**splits, "train": Rows(chain(dealt.splits["train"], dealt.made or ()))}
    cache = cache or (cache_dir() / "encoded" if data.cache else None)
    encode = Encoder(task, loaded.processor, data, limit, cache)
    examples: dict[str, Encoded] = {}
    for name, rows in splits.items():
        examples[name] = encode(rows, ledger, side=name, made=made if name == "train" else 0)
        if len(rows) and not len(examples[name]):
            notes = [(rows[row], said) for row, _, said in examples[name].notes]
            lost = [{"file": row.file, "line": row.line, "nth": row.nth, "reason": why} for row, why in notes]
            raise fault("bad_rows", count=len(lost), total=len(rows), rows=named_rows(lost))
        refuse_strange_tokens(examples[name], rows, loaded)
    ledger.refuse_losses(data.max_dropped_fraction, read_as=read_as(data))
    # Rows that could be encoded; one that went on in further examples is among them once.
    places = {name: np.unique(found.rows) for name, found in examples.items()}
    stay = {name: found[found < len(dealt.splits[name])] for name, found in places.items()}
    there = {name: rows.take(stay[name]) for name, rows in dealt.splits.items()}
    ledger.split = {name: len(rows) for name, rows in there.items()}
    ledger.labels = label_table(there, task.shape)
    if task.reads_words:
        ledger.tokens = token_table(list(examples.values()), limit=limit, apart=task.apart)
    ledger.write(folder.path / "data")
    write_json(
        folder.path / "data" / "split.json", {name: [row.id for row in rows] for name, rows in there.items()}
    )
    write(folder, dealt, recipe, stay)
    tell("encoded", ledger=ledger, trained=trained, total=total)
    weights = row_weights(data, dealt.source, examples["train"])
    task = task.learn_training(examples["train"], weights)
    # From here on there are no test rows: nothing that chooses may see them.
    kept = {name: splits[name] for name in ("train", "validation")}
    return Prepared(
        task, loaded, kept, {name: examples[name] for name in kept}, weights, device, trained, total
    )


def follow(shared: dict[str, Any], recipe: Recipe, method: Method) -> Prepared:
    """What `prepare` has made in another process, with a model of one's own."""
    from weitiao.models import anatomy, load

    task, device = shared["task"], load.pick_device()
    loaded = beginning(recipe, task, method, device=device)
    examples = {name: Encoded(folder) for name, folder in shared["examples"].items()}
    counts = anatomy.parameter_counts(loaded.model)
    return Prepared(task, loaded, {}, examples, shared["weights"], device, *counts)


def _augment(folder: RunFolder, recipe: Recipe, dealt: Dealt, *, device: str) -> None:
    """Make what is not made yet."""
    from weitiao.data.augment import steps
    from weitiao.data.augment.make import Made, augment

    built = steps(recipe.data.augment)
    if not built or dealt.made is not None:
        return
    counted, dealt.made = Made(), Rows()
    help_from = helpers(recipe, device=device, folder=folder.path)
    shape = dealt.task.shape
    for row in augment(dealt.splits, shape, built, seed=recipe.seed, made=counted, helpers=help_from):
        dealt.made.append(row.record)
    dealt.ledger.made = counted.to_dict()  # `made` and `made_from`


def helpers(recipe: Recipe, *, device: str, folder: Path = Path()) -> Helpers:
    """What augmentations are handed.

    Args:
        recipe: whose base fills in masked words.
        device: where models lie; on `meta` they are opened without their weights.
        folder: of the run, in which made pictures lie.
    """
    from weitiao.models import helper_models
    from weitiao.models.assets import catalog

    return Helpers(
        dictionary=catalog.dictionary_path,
        masked_model=lambda: helper_models.masked_model(recipe.model, device=device),
        translator=lambda ref: helper_models.translator(ref, device=device),
        folder=folder / "data" / "augmented",
    )


def row_weights(data: Data, source: np.ndarray, examples: Encoded) -> list[float] | None:
    """How often each example comes in an epoch, by the file that its row came from; None for once."""
    if data.weights is None:
        return None
    # A made row comes as often as any other of a file of weight 1.
    return [data.weights[source[row]] if row < len(source) else 1.0 for row in examples.rows]


def refuse_strange_tokens(examples: Encoded, rows: Rows, loaded: Loaded) -> None:
    """A token without an embedding would end the training at whichever step meets it.

    Raises:
        WeitiaoError: `token_beyond_vocabulary`, with the row.
    """
    size = getattr(loaded.model.config.get_text_config(), "vocab_size", None)
    if not size:
        return  # a model that hashes characters takes any
    if found := examples.beyond(size):
        row, token = found
        text = loaded.processor.convert_ids_to_tokens(token)
        raise fault("token_beyond_vocabulary", place=rows[row].place, token=token, text=text, size=size)


def micro_batches(
    recipe: Recipe,
    task: Task,
    loaded: Loaded,
    examples: Sequence[Example],
    weights: Sequence[float] | None = None,
) -> Batches:
    """The micro-batches of training, in one process; `weights` as those of `Prepared`.

    Where answers are drawn on the way, and learnt from, they are as long as they may become.
    """
    if isinstance(task, Sampling):
        from weitiao.train.rollouts import Foreseen

        return stacked(recipe, task, loaded, Foreseen(task, examples), None)
    return stacked(recipe, task, loaded, examples, weights)


def stacked(
    recipe: Recipe,
    task: Task,
    loaded: Loaded,
    examples: Sequence[Example],
    weights: Sequence[float] | None,
) -> Batches:
    """How the recipe cuts examples into micro-batches."""
    from weitiao.data.pack import Batches

    settings = recipe.train
    rows, limit = settings.per_device_train_batch_size, recipe.data.max_length or loaded.limit
    return Batches(
        examples,
        # Noise is drawn for a row, by its length: what it begins with is its own then.
        loaded.collate(task, shared=not settings.neftune_noise_alpha),
        rows,
        settings.gradient_accumulation_steps,
        recipe.seed,
        "random" if settings.train_sampling_strategy == "random" else "group_by_length",
        max_tokens=settings.max_batch_tokens,
        layout=loaded.layout,
        room=rows * limit if recipe.data.overlong == "windows" else None,
        weights=weights,
        varies=task.varies,
        mixes=task.mixes,
    )


def row_limit(recipe: Recipe, loaded: Loaded, method: Method) -> int:
    """Longest row in tokens: what is asked for, within what model and method leave.

    Raises:
        WeitiaoError: `wrong_value` when more is asked for.
    """
    asked, most = recipe.data.max_length, loaded.limit - method.positions
    if asked and asked > most:
        kind = "positions_shared" if method.positions else "positions"
        facts = {"model": recipe.model, "has": loaded.limit, "taken": method.positions, "most": most}
        said = why({"type": kind, "ctx": facts})
        raise fault("wrong_value", key="data.max_length", value=asked, why=said)
    return asked or most


def _refuse_others(
    folder: RunFolder, prints: dict[str, str], *, seed: int, device: str, changes: Collection[str]
) -> None:
    """Note what the run is made of, or find that it was begun on something else."""
    before = {**prints, **folder.json("facts.json").get("fingerprints", {})}
    keys = {"data": "data.train", "base": "model"}
    for what in prints:
        key, was, now = keys.get(what, what), before[what][:12], prints[what][:12]
        if before[what] != prints[what] and not named(key, changes):
            raise fault("other_data", path=folder.path, what=what, key=key, before=was, after=now)
    write_json(folder.path / "facts.json", facts(seed=seed, device=device, fingerprints={**before, **prints}))
