"""Rows as they were dealt: from their files, or from the folder of a run that goes on.

    from_files(recipe, task)            ->  Dealt: read, checked, learnt from, split
    write(folder, dealt, recipe, stay)  ->  data/{train,validation,test}.jsonl*, and data/dealt.jsonl.gz beside them
    from_folder(folder, recipe)         ->  the same Dealt; the files that the rows came from may be gone by then
    begin_with(folder, dealt, recipe)   ->  a run that is to be made on these rows begins with them
    hand_on(folder, other, recipe)      ->  so does one that is to be made on the rows of another run

What was dealt and could not be encoded, what augmentation made, what the rows taught the task, and what the ledger said
before anything was encoded lie in `data/dealt.jsonl.gz`, which is written last and holds the hashes of the others.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core import registry
from weitiao.core.contracts import Record, Task
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import sha256, stream_lines, write_lines
from weitiao.core.recipe import Recipe, completed
from weitiao.core.run import RunFolder, named, wherever
from weitiao.core.sections import Data
from weitiao.core.why import reason
from weitiao.data import check as checking
from weitiao.data import split as splitting
from weitiao.data.equal_text import digest, normalised
from weitiao.data.labels import label_names
from weitiao.data.ledger import Ledger
from weitiao.data.read import read
from weitiao.data.rows import Rows
from weitiao.data.split_refused import refuse_untrained
from weitiao.stages.data import located
from weitiao.stages.events import Tell, silent
from weitiao.stages.kept_rows import FILES, as_line, as_record, keep

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress

FILE = "dealt.jsonl.gz"
VERSION = 1
AFTERWARDS = frozenset({"cache", "max_dropped_fraction", "max_length", "max_windows", "overlong"})
"""Keys of `data` that say what becomes of rows once they are dealt."""


@dataclass
class Dealt:
    """Rows by side, before any is encoded."""

    task: Task
    """With what the rows taught it."""
    splits: dict[str, Rows]
    groups: dict[str, np.ndarray]
    """Side -> of each row (N,), the rows it belongs together with, counted from 0."""
    source: np.ndarray
    """Of each training row (N,), which name of `data.train` it came by."""
    ledger: Ledger
    """Before anything is encoded."""
    made: Rows | None = None
    """What augmentation made; None: nothing yet."""


def from_files(recipe: Recipe, task: Task, *, progress: Progress | None = None) -> Dealt:
    """Read, check, learn and split.

    Raises:
        WeitiaoError: what these raise.
    """
    data = located(recipe.data, progress=progress)
    checked = checking.check(data, task.shape, seed=recipe.seed)
    return divided(checked, data, learnt(recipe, task, checked.rows, progress=progress), seed=recipe.seed)


def divided(checked: checking.Checked, data: Data, task: Task, *, seed: int) -> Dealt:
    """Checked rows by side, as `data.split` says; `task` has learnt from them.

    Raises:
        WeitiaoError: what splitting raises.
    """
    sides = splitting.split(checked, data, seed=seed)
    # Rows of one group are no two independent witnesses: whoever draws intervals must know them.
    groups = {name: splitting.together(checked.marks.take(rows)) for name, rows in sides.items()}
    splits, source = {}, checked.marks.source[sides["train"]]
    for name, places in sides.items():
        trains = name == "train"
        splits[name], kept = gathered(task, checked.rows.take(places), trains=trains, seed=seed)
        groups[name] = groups[name][kept]
        source = source[kept] if trains else source
    return Dealt(task, splits, groups, source, checked.ledger)


def gathered(task: Task, rows: Rows, *, trains: bool, seed: int) -> tuple[Rows, np.ndarray]:
    """The rows of a side as the task learns from them, or is judged by them, and the places of those they are known by."""
    found = task.gathered(rows, trains=trains, seed=seed)
    if found is None:
        return rows, np.arange(len(rows))
    made, places = Rows(), []
    for place, record in found:
        made.append(record)
        places.append(place)
    return made, np.array(places, dtype=np.int64)


def learnt(recipe: Recipe, task: Task, rows: Sequence[Record], *, progress: Progress | None = None) -> Task:
    """The task with what the rows teach it, and its labels in the order of the base's outputs, if it has them.

    Raises:
        WeitiaoError: what `learn` raises; `wrong_value` when labels were given in another order than the base's;
            `unfit_metric` for a metric that does not suit these labels.
    """
    from weitiao.evaluate import chosen
    from weitiao.models import labels
    from weitiao.models.opening import own_files

    found = task.learn(rows).of_base(own_files(recipe.model, progress=progress), ref=recipe.model)
    chosen.judged(found, recipe.evaluate.metrics)
    if "id2label" not in found.model_options():
        return found
    outputs = labels.outputs(recipe.model, progress=progress)
    followed = found.follow(outputs)
    if found == task and followed != found:
        why = reason("outputs_in_order", model=recipe.model, outputs=", ".join(outputs))
        raise fault(
            "wrong_value", key="task.labels", value=", ".join(found.model_options()["label2id"]), why=why
        )
    return followed


def from_folder(
    folder: RunFolder, recipe: Recipe, *, changes: Collection[str] = (), tell: Tell = silent
) -> Dealt | None:
    """The rows that a run which goes on was begun with; None where they must be dealt from their files.

    That is so for a run that has taken no step and was handed none, where other rows (`data.train`) or another base are meant, where a key
    that the dealing goes by has changed, and where what is kept is not whole.  A file that is not what it was is told.

    Args:
        folder: of the run.
        recipe: resolved.
        changes: keys that may differ from those it was begun with.
        tell: hears of it.
    """
    path = folder.path / "data" / FILE
    if named("data.train", changes) or named("model", changes) or not path.is_file():
        return None
    try:
        lines = stream_lines(path)
        head = next(lines)
        ours = folder.begun or head["handed_on"]
        if not ours or head["version"] != VERSION or _asked(head["asked"]) != _asked(recipe):
            return None
        if any(sha256(path.parent / name) != head["files"][side] for side, name in FILES.items()):
            raise ValueError("other rows")
        found = _restored(folder, head, lines)
    except (
        OSError,
        EOFError,
        zlib.error,
        ValueError,
        KeyError,
        TypeError,
        StopIteration,
        WeitiaoError,
    ):
        tell("notice", text=reason("kept_rows_unusable", path=folder.path / "data"))
        return None
    if tell is not silent:
        for text in _moved(recipe, found.ledger):
            tell("notice", text=text)
    return found


def hand_on(folder: RunFolder, other: RunFolder, recipe: Recipe, *, share: float = 1.0) -> None:
    """Let a run that has not begun begin with the rows that another keeps; its own files are read where that is not to be.

    Args:
        folder: of the run whose rows they are.
        other: of the one that is to be made.
        recipe: of that one; it goes by the same data, but for the seed and the share.
        share: of the training rows.

    Raises:
        WeitiaoError: `untrained_label`.
    """
    dealt = None if other.begun else from_folder(folder, folder.recipe)
    if dealt is None:
        return
    taken = shared(dealt, recipe, share)
    ledger = dealt.ledger.copy()
    ledger.made = {}
    _, group = np.unique(dealt.groups["train"][taken], return_inverse=True)
    fewer = Dealt(
        dealt.task,
        {**dealt.splits, "train": dealt.splits["train"].take(taken)},
        {**dealt.groups, "train": group},
        dealt.source[taken],
        ledger,
    )
    begin_with(other, fewer, recipe)


def begin_with(folder: RunFolder, dealt: Dealt, recipe: Recipe) -> None:
    """Let a run that has not begun begin with these rows, wherever their files are by then."""
    every = {side: np.arange(len(rows)) for side, rows in dealt.splits.items()}
    write(folder, dealt, recipe, every, handed_on=True)


def shared(dealt: Dealt, recipe: Recipe, share: float) -> np.ndarray:
    """Places of a share of the training rows, as `data.split.train_share` takes it.

    Raises:
        WeitiaoError: `untrained_label` when a label would be missing from them.
    """
    rows, shape, split = dealt.splits["train"], dealt.task.shape, recipe.data.split
    if share == 1:
        return np.arange(len(rows))
    labels = [label_names(row.values) for row in rows] if shape.several else []
    codes: dict[str, int] = {}
    stratum = np.array([codes.setdefault(shape.stratum(row.values), len(codes)) for row in rows])
    key = np.array([digest(normalised(shape.key(row.values))) for row in rows], dtype=np.uint64)
    none = np.zeros(len(rows), dtype=int)
    marks = checking.Marks(key, key, stratum, none, dealt.source, none, none, none, list(codes))
    names = marks.strata if split.stratify and not labels else []
    seed = recipe.seed if split.seed is None else split.seed
    taken = splitting.nested(marks, dealt.groups["train"], np.arange(len(rows)), share, names, seed=seed)
    refuse_untrained({"train": taken}, checking.Checked(rows, marks, shape, dealt.ledger), labels)
    return taken


def write(
    folder: RunFolder,
    dealt: Dealt,
    recipe: Recipe,
    stay: Mapping[str, np.ndarray],
    *,
    handed_on: bool = False,
) -> None:
    """Keep the rows, those that could not be encoded apart, and seal them.

    Args:
        folder: of the run.
        dealt: the rows, those made among them.
        recipe: resolved.
        stay: side -> places of the rows that could be encoded.
        handed_on: they hold before the run has taken a step.
    """
    rows = {side: all_.take(stay[side]) for side, all_ in dealt.splits.items()}
    prints = keep(folder, rows, {side: group[stay[side]] for side, group in dealt.groups.items()})
    head = {"version": VERSION, "handed_on": handed_on, "asked": _asked(recipe), "files": prints}
    write_lines(folder.path / "data" / FILE, _lines(dealt, recipe, stay, head))


def _lines(
    dealt: Dealt, recipe: Recipe, stay: Mapping[str, np.ndarray], head: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    train = dealt.splits["train"]
    by_weight = zip(train, dealt.source.tolist(), strict=True) if recipe.data.weights else ()
    state = dealt.ledger.state()
    yield {
        **head,
        "task": registry.settings_of(recipe.task["name"], dealt.task),
        "sources": {row.file: number for row, number in by_weight},
        "augmented": dealt.made is not None,
        "ledger": next(state),
    }
    yield from ({"noted": one} for one in state)
    for side, rows in dealt.splits.items():
        for at in np.setdiff1d(np.arange(len(rows)), stay[side]).tolist():
            line = as_line(rows[at], group=int(dealt.groups[side][at]))
            yield {"left_out": line, "side": side, "at": at}
    yield from ({"made": as_line(row)} for row in dealt.made or ())


def _restored(folder: RunFolder, head: Mapping[str, Any], lines: Iterator[dict[str, Any]]) -> Dealt:
    left: dict[str, dict[int, dict[str, Any]]] = {side: {} for side in FILES}
    noted, made = list[Mapping[str, Any]](), Rows()
    for line in lines:
        if "noted" in line:
            noted.append(line["noted"])
        elif "left_out" in line:
            left[line["side"]][line["at"]] = line["left_out"]
        else:
            made.append(as_record(line["made"])[0])
    ledger = Ledger.restored(iter([head["ledger"], *noted]))
    splits, groups = {}, {}
    for side in FILES:
        rows, group = Rows(), list[int]()
        for record, own in map(
            as_record, _merged(stream_lines(folder.path / "data" / FILES[side]), left[side])
        ):
            rows.append(record)
            group.append(own)
        splits[side], groups[side] = rows, np.array(group, dtype=np.int64)
    of = head["sources"]
    source = [of[row.file] for row in splits["train"]] if of else [0] * len(splits["train"])
    task = registry.build("task", head["task"])
    return Dealt(task, splits, groups, np.array(source), ledger, made if head["augmented"] else None)


def _merged(stayed: Iterator[dict[str, Any]], left: Mapping[int, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The lines of one side as they were dealt: those left out at their places between the others."""
    at = 0
    for line in stayed:
        while at in left:
            yield left[at]
            at += 1
        yield line
        at += 1
    yield from (left[place] for place in sorted(left) if place >= at)


def _asked(recipe: Recipe | Mapping[str, Any]) -> dict[str, Any]:
    """What the rows of every side follow from, wherever the files lie; keys that have come since stand at their defaults."""
    tree = wherever(completed(recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else recipe))
    data = {key: value for key, value in tree["data"].items() if key not in AFTERWARDS}
    return {"data": data, "task": tree["task"], "seed": tree["seed"]}


def _moved(recipe: Recipe, ledger: Ledger) -> Iterator[str]:
    """What is said of files that are not what they were; embedded data cannot change, and what lies elsewhere is not
    fetched for it."""
    from weitiao.models.assets import catalog

    data = recipe.data
    drawn = recipe.seed if data.split.seed is None else data.split.seed
    names = [name for side in checking.SIDES for name in getattr(data, side)]
    for name, before in zip(names, ledger.files, strict=False):
        path = name.partition("#")[0]
        if name.startswith("hf:") or (path in catalog.DATASETS and not Path(path).exists()):
            continue
        try:
            now = read([name], encoding=data.encoding, seed=drawn, format=data.format)[0].sha256
        except WeitiaoError as error:
            now = "" if error.code == "file_missing" else "?"
        if now != before["sha256"]:
            yield reason("source_changed" if now else "source_gone", path=name)
