"""Training rows  ->  changed copies of them, the same ones whatever the order of the rows.

    splits, shape, steps  ->  augment(..., seed=0, made=Made())  ->  made rows; Made counts what became of each try

It takes all splits and changes the training rows alone: rows that stand in validation or test too are refused, and
a made row that reads like a validation or test row is thrown away.  What is kept in memory is 8 bytes a row (its
hash, in a set) and, for `balance`, the places of the rows; the rows themselves are read where they lie.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from random import Random
from typing import Any, NamedTuple

from weitiao.core.contracts import Record, Shape
from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data.augment import Augmentation, Change, Changes, Helpers, Repeats, misfit
from weitiao.data.equal_text import digest, normalised

BATCH_ROWS = 32  # rows that a model changes at once


class MadeRow(NamedTuple):
    """A made row, what it was made from, and by which step."""

    record: Record
    made_from: Record
    by: str


@dataclass
class Made:
    """What became of every try to make a row.

    Counted by step: `made`, `unchanged` (nothing in the row could be changed), `repeated` (an equal row is there
    already), `held_out` (it reads like a validation or test row), `unusable` (the shape refuses it), and for plain
    copies of `balance` that no later step could change, `copied`.
    """

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    lines: dict[str, dict[str, array[int]]] = field(default_factory=lambda: defaultdict(dict))
    """Step -> file -> lines from which a row was made, one entry a made row."""

    def note(self, by: str, record: Record, what: str) -> None:
        """A row was made (or copied) from `record`."""
        self.counts[by][what] += 1
        self.lines[by].setdefault(record.file, array("q")).append(record.line)

    @property
    def total(self) -> int:
        """Rows made, plain copies among them."""
        return sum(counts["made"] + counts["copied"] for counts in self.counts.values())

    def to_dict(self) -> dict[str, Any]:
        """`{"made": {step: {what: rows}}, "made_from": {step: {file: [line, ...]}}}`."""
        lines = {by: {file: list(held) for file, held in files.items()} for by, files in self.lines.items()}
        return {"made": {by: dict(counts) for by, counts in self.counts.items()}, "made_from": lines}


def augment(
    splits: Mapping[str, Sequence[Record]],
    shape: Shape,
    steps: Mapping[str, Augmentation],
    *,
    seed: int,
    made: Made,
    helpers: Helpers | None = None,
) -> Iterator[MadeRow]:
    """Changed copies of the training rows, step by step; the training rows themselves stay as they are.

    Args:
        splits: `train`, and `validation` and `test` if there are any, as `data.split` deals them.
        shape: what the rows hold.
        steps: the augmentations by name, in order.  Each makes copies of the training rows, not of what earlier
            steps made; only the plain copies of `balance` are taken on by the steps after it.
        seed: decides every draw, together with the step's name and the row's content.
        made: counts what became of each try.
        helpers: dictionaries, models and the folder for pictures.

    Raises:
        WeitiaoError: `augment_before_split`, `augment_refuses`, `augment_needs`; what opening a dictionary or a
            model raises; `function_failed` and `function_bad_row` from a user's function.
    """
    if not isinstance(splits, Mapping) or "train" not in splits:
        raise fault("augment_before_split", what=reason("rows_not_split"))
    if not steps:
        return
    helpers = helpers or Helpers()
    opened = ready(steps, shape, helpers)
    maker = _Maker(splits, shape, seed=seed, made=made)
    for name, step in steps.items():
        if isinstance(step, Repeats):
            maker.repeat(name, step)
        elif isinstance(step, Changes):
            yield from maker.change(name, step, opened[name])
    yield from maker.plain_copies()


def ready(steps: Mapping[str, Augmentation], shape: Shape, helpers: Helpers) -> dict[str, Change]:
    """All steps made ready, so that what is missing is told before a row is changed.

    Raises:
        WeitiaoError: `augment_refuses`, `augment_needs`; what opening a dictionary, a model or a function raises.
    """
    for name, step in steps.items():
        if why := misfit(step, shape):
            raise fault("augment_refuses", name=name, shape=shape.name, why=why)
        for need in step.needs():
            if getattr(helpers, need) is None:
                raise fault("augment_needs", name=name, what=need)
    return {name: step.ready(shape, helpers) for name, step in steps.items() if isinstance(step, Changes)}


@dataclass(frozen=True)
class _Seat:
    """A row to make copies of: the row itself (`copy` 0), or a plain copy of it that `balance` asked for."""

    row: int
    copy: int = 0
    by: str = ""


class _Maker:
    """The rows, what is there already, and the copies that wait to be changed."""

    def __init__(self, splits: Mapping[str, Sequence[Record]], shape: Shape, *, seed: int, made: Made):
        self.rows, self.shape, self.seed, self.made = splits["train"], shape, seed, made
        held_out = [rows for name, rows in splits.items() if name != "train"]
        self.held_out = {
            digest(normalised(shape.group(record.values))) for rows in held_out for record in rows
        }
        held_keys = {digest(_key(shape, record)) for rows in held_out for record in rows}
        self.there: set[int] = set()
        self.classes: Counter[str] = Counter()
        for record in self.rows:
            if (key := digest(_key(shape, record))) in held_keys:
                raise fault("augment_before_split", what=reason("row_held_out", place=record.place))
            self.there.add(key)
            self.classes[shape.stratum(record.values)] += 1
        self.labels = frozenset(self.classes)
        self.repeated: Counter[int] = Counter()
        self.repeats: list[_Seat] = []
        self.waiting: dict[_Seat, None] = {}  # those of `repeats` that no step has changed yet, in order

    def repeat(self, name: str, step: Repeats) -> None:
        """Plain copies take their seats: every row of a class as often as any other, or once more."""
        if set(self.classes) == {""}:
            raise fault(
                "augment_refuses", name=name, shape=self.shape.name, why=reason("rows_have_no_classes")
            )
        wanted = step.wanted(self.classes)
        members: dict[str, list[int]] = {label: [] for label, copies in wanted.items() if copies}
        for row, record in enumerate(self.rows):
            if (label := self.shape.stratum(record.values)) in members:
                members[label].append(row)
        for label, rows in members.items():
            rows.sort(key=lambda row: self._random(name, self.rows[row], 0).random())
            for turn in range(wanted[label]):
                row = rows[turn % len(rows)]
                self.repeated[row] += 1
                self.repeats.append(_Seat(row, self.repeated[row], name))
                self.waiting[self.repeats[-1]] = None
            self.classes[label] += wanted[label]

    def change(self, name: str, step: Changes, change: Change) -> Iterator[MadeRow]:
        """Copies of every row; a plain copy is first changed itself, and then gets copies like any row."""
        seats = self._seats()
        while batch := list(islice(seats, BATCH_ROWS)):
            tries: list[tuple[_Seat, Record, Random]] = []
            for seat in batch:
                record = self.rows[seat.row]
                chosen = self._random(name, record, seat.copy).random() < step.rows
                for copy in range(step.copies * chosen + (seat in self.waiting)):
                    # `seat.copy` and `copy` are both part of the seed: no two tries at a row draw alike.
                    tries.append((seat, record, self._random(name, record, seat.copy, copy)))
            changed = change([record for _, record, _ in tries], [rng for _, _, rng in tries])
            for (seat, record, _), copies in zip(tries, changed, strict=True):
                if not copies:
                    self.made.counts[name]["unchanged"] += 1
                for values in copies:
                    if fresh := self._take(name, record, values):
                        yield fresh
                        if seat in self.waiting:
                            del self.waiting[seat]  # the plain copy is now this row, counted when it sat down
                        else:
                            self.classes[self.shape.stratum(values)] += 1

    def plain_copies(self) -> Iterator[MadeRow]:
        """What `balance` asked for and no later step changed."""
        for seat in self.waiting:
            record = self.rows[seat.row]
            self.made.note(seat.by, record, "copied")
            yield MadeRow(record, record, seat.by)

    def _seats(self) -> Iterator[_Seat]:
        yield from (_Seat(row) for row in range(len(self.rows)))
        yield from self.repeats

    def _take(self, name: str, record: Record, values: dict[str, Any]) -> MadeRow | None:
        """The made row, unless it is no row, or one that is there already."""
        fresh = replace(record, values=values)
        what = "made"
        if self.shape.faults(values) or self.shape.stratum(values) not in self.labels:
            what = "unusable"
        elif self._held_out(values) and not self._held_out(record.values):
            # A row dealt by a column of its own (a user, a day) may share its question with a test row already;
            # a copy that keeps the question is no worse than its row.
            what = "held_out"
        elif (key := digest(_key(self.shape, fresh))) in self.there:
            what = "repeated"
        if what != "made":
            self.made.counts[name][what] += 1
            return None
        self.there.add(key)
        self.made.note(name, record, what)
        return MadeRow(fresh, record, name)

    def _held_out(self, values: Mapping[str, Any]) -> bool:
        return digest(normalised(self.shape.group(values))) in self.held_out

    def _random(self, name: str, record: Record, *copy: int) -> Random:
        content = f"{self.shape.key(record.values)}\0{self.shape.stratum(record.values)}"
        words = "\0".join([str(self.seed), name, *map(str, copy), content])
        return Random(int.from_bytes(hashlib.sha256(words.encode("utf-8", "surrogatepass")).digest(), "big"))


def _key(shape: Shape, record: Record) -> str:
    return normalised(shape.key(record.values))
