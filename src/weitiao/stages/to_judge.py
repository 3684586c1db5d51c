"""The rows that a run's model is judged by: its locked test rows, or others that are given.

    locked(run)                                      ->  ToJudge
    given(run, Data(test=["new.csv"]), name="new")   ->  ToJudge, and what became of every row

Both are encoded as the run's own rows were, and what was encoded before is not encoded again.  Of rows that are given, those
go that the run was trained on, or chose by: what is said of the others is said of rows that it has not seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.recipe import Data
from weitiao.core.why import reason
from weitiao.data import check as checking
from weitiao.data.encode import Encoder
from weitiao.data.equal_text import digest, normalised
from weitiao.data.labels import label_names, one_spelling, relabelled
from weitiao.data.ledger import Ledger, named_rows
from weitiao.data.overlong import uncut
from weitiao.data.read import read
from weitiao.data.rows import Rows
from weitiao.data.split import together
from weitiao.stages.data import located
from weitiao.stages.dealt import gathered
from weitiao.stages.kept_rows import kept

if TYPE_CHECKING:
    from weitiao.data.encoded import Encoded
    from weitiao.stages.run import Run

NAMED = 8
"""Places of rows that stand beside a label that the model does not know."""


@dataclass(frozen=True)
class ToJudge:
    """Rows, which of them belong together, and what the model reads of them."""

    records: Rows
    groups: Sequence[int]
    """Of each row, the rows it belongs together with."""
    examples: Encoded
    """Of each row."""
    labels: tuple[str, ...]
    """The task's, and behind them those that rows carry and the model does not know."""
    given: Mapping[str, Any] | None = None
    """What is said of rows that were given (`Given` of the results); None: they are the locked ones."""
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row as it came (N,)."""
        whole = self.examples.whole
        # Rows that were left out as too long have a length and no example.
        return whole if len(whole) == len(self.examples) else uncut(self.examples)


def locked(run: Run) -> ToJudge | None:
    """The test rows that were locked away when the run began; none where none were asked for.

    Raises:
        WeitiaoError: `broken_rows`; `bad_rows` or `lost_rows` when one cannot be encoded any more.
    """
    rows, groups = Rows(), list[int]()
    for record, group in kept(run.folder, "test"):
        rows.append(record)
        groups.append(group)
    if not len(rows):
        return None
    ledger = Ledger(total=len(rows))
    examples = encoder(run)(rows, ledger, side="test")
    ledger.refuse_losses(0.0)
    return ToJudge(rows, groups, examples, run.task.classes())


def given(run: Run, data: Data, *, name: str, strict: bool) -> ToJudge:
    """Rows of other files, read, checked and repaired as the run's own were.

    Args:
        run: whose rows they shall be like.
        data: as `of_files` gives it.
        name: of the evaluation.
        strict: refuse when there is a row that cannot be used, that the run has seen, or whose label its model does not
            know.  Without it they are counted, and a label that the model does not know is one that it gets wrong.

    Raises:
        WeitiaoError: what reading and checking raise; `bad_rows` where no row is left, or `strict` finds one.
    """
    task, shape = run.task, run.task.shape
    with _named_by_the_run():
        checked = checking.inspect(data, shape, seed=run.recipe.seed)
    ledger = checked.ledger
    spelt = _known_spellings(task.classes(), checked.rows)
    seen = _seen(run, checked.rows)
    rows, asked, places = Rows(), Rows(), list[int]()
    strange: defaultdict[str, list[str]] = defaultdict(list)
    for place, record in enumerate(checked.rows):
        if place in seen:
            ledger.note(record, "dropped", reason("row_seen", side=seen[place]))
            continue
        repairs: list[str] = []
        record = replace(record, values=relabelled(record.values, spelt, repairs))
        if repairs:
            ledger.note(record, "repaired", "; ".join(repairs))
        known, unknown = (record, ()) if strict else task.known(record)
        for label in unknown:
            strange[label].append(record.place)
        places.append(place)
        rows.append(record)
        asked.append(known)
    if not len(rows):
        _refuse(ledger)
    rows, known_by = gathered(task, rows, trains=False, seed=run.recipe.seed)
    asked, _ = gathered(task, asked, trains=False, seed=run.recipe.seed)
    places = [places[place] for place in known_by]
    examples = encoder(run, data)(asked, ledger, side="test")
    left = np.unique(examples.rows)
    if not len(left) or strict and ledger.lost():
        _refuse(ledger)
    groups = together(checked.marks.take(np.array(places, dtype=np.int64)[left]))
    judged = rows.take(left)
    here = {record.place for record in judged} if strange else set()
    found = {label: [place for place in each if place in here] for label, each in sorted(strange.items())}
    unheard = [
        {"label": label, "rows": len(each), "places": each[:NAMED]} for label, each in found.items() if each
    ]
    facts = {
        "name": name,
        "files": [file["path"] for file in ledger.files],
        "total": ledger.total,
        "counts": ledger.counts(),
        "seen": len(seen),
        "ungrouped": None if data.split.group_by else run.recipe.data.split.group_by,
        "unknown": unheard,
    }
    labels = (*task.classes(), *(label for label, each in found.items() if each))
    return ToJudge(judged, groups.tolist(), examples, labels, facts, ledger)


def of_files(run: Run, files: Sequence[str], columns: Mapping[str, str] | None = None) -> Data:
    """The data section by which other files are read: the run's own, as far as it suits them.

    Args:
        run: whose rows they shall be like.
        files: as `data.test` of a recipe.
        columns: our column -> theirs; else that of the recipe, else the one called as ours.

    Raises:
        WeitiaoError: what opening them raises.
    """
    own = run.recipe.data
    data = located(own.model_copy(update={"train": [], "validation": [], "test": list(files)}))
    sources = read(data.test, encoding=data.encoding, seed=run.recipe.seed, format=data.format)
    found = {name for source in sources for name in source.columns}
    # A file of new rows may be called by our names, though that of the training rows was not.
    named = {ours: theirs for ours, theirs in own.columns.items() if theirs in found or ours not in found}
    split, by = own.split, own.split.group_by
    if by and by not in found:
        split = split.model_copy(update={"group_by": None})
    changed = {"columns": {**named, **(columns or {})}, "split": split, "weights": None}
    return data.model_copy(update=changed)


def encoder(run: Run, data: Data | None = None) -> Encoder:
    """As the run's rows were encoded, so that what was kept of that is found."""
    from weitiao.models.assets.fetch import cache_dir

    data = data or run.recipe.data
    own = run.path / "data" / "encoded"  # of runs on several machines
    cache = own if own.is_dir() else cache_dir() / "encoded" if data.cache else None
    return Encoder(run.task, run.tuned.processor, data, run.limit, cache)


def _seen(run: Run, rows: Sequence[Record]) -> dict[int, str]:
    """Which rows ask what a training row asks, or one that chose, and on which side that is."""
    group = run.task.shape.group
    asked: defaultdict[int, list[int]] = defaultdict(list)
    for place, record in enumerate(rows):
        asked[digest(normalised(group(record.values)))].append(place)
    found: dict[int, str] = {}
    for side in ("validation", "train"):
        for record, _ in kept(run.folder, side):
            found |= dict.fromkeys(asked.get(digest(normalised(group(record.values))), ()), side)
    return found


def _known_spellings(known: Sequence[str], rows: Sequence[Record]) -> dict[str, str]:
    """Labels of the rows that are labels of the model in another spelling (1.0 and 1) -> the model's."""
    met = {label for record in rows for label in label_names(record.values)} - {*known}
    same = one_spelling([*known, *met])
    ours = {same.get(label, label): label for label in known}
    return {label: ours[same.get(label, label)] for label in met if same.get(label, label) in ours}


@contextmanager
def _named_by_the_run() -> Iterator[None]:
    """A column that is not there is named where rows are given, not in a recipe."""
    try:
        yield
    except WeitiaoError as error:
        if error.code != "missing_column":
            raise
        said = error.values
        path, column = said["path"], said["column"]
        raise fault(
            "no_asked_column", path=path, column=column, ours=column, found=said["found"], hint=said["hint"]
        ) from None


def _refuse(ledger: Ledger) -> None:
    lost = ledger.lost()
    raise fault("bad_rows", count=len(lost), total=ledger.total, rows=named_rows(lost))
