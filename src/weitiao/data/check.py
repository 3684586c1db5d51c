"""Read, convert, repair and compare rows: what can be learnt from, and what became of the rest.

    Data, Shape  ->  check(data, shape)  ->  Checked(rows on disk, what is known of each, the ledger)

Nothing here needs torch: it is what `weitiao data check` runs, and what `train` runs before the model is loaded.
In memory stay some thirty bytes a row; the rows themselves lie on disk (`data.rows`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Record, Shape
from weitiao.core.errors import fault
from weitiao.core.recipe import Data
from weitiao.core.why import reason
from weitiao.data import formats
from weitiao.data.equal_text import digest, normalised, repeated
from weitiao.data.formats.convert import as_text
from weitiao.data.formats.masked import legend_of
from weitiao.data.formats.turned import IMAGES
from weitiao.data.labels import label_names, one_spelling, relabelled
from weitiao.data.ledger import Ledger, brief
from weitiao.data.near_rows import near_rows
from weitiao.data.prefetch import mapped
from weitiao.data.read import BadRow, Source, parted, read
from weitiao.data.read_as import read_as
from weitiao.data.rows import Rows
from weitiao.data.sides import SIDES as SIDES
from weitiao.data.sides import side_of, time_of

if TYPE_CHECKING:
    import numpy as np

LIKE = 4  # rows of one print that a row is compared with; a fifth text under it will not be met
DEALT = -1  # a row whose side is for `split` to decide


@dataclass
class Marks:
    """What is known of every row beside its content; arrays in the rows' order."""

    key: np.ndarray
    """Equal for rows that are the same row (uint64)."""
    group: np.ndarray
    """Equal for rows that ask the same (uint64)."""
    stratum: np.ndarray
    """Place of the row's label in `strata`."""
    side: np.ndarray
    """Place in `SIDES` of a side that was given, or DEALT."""
    source: np.ndarray
    """Which name of `data.train` (0 for the others')."""
    by: np.ndarray
    """Equal for rows of one value of `split.group_by` (uint64), 0 where there is none."""
    time: np.ndarray
    """Seconds, or whatever `split.time` counts."""
    near: np.ndarray
    """Equal for rows that are nearly the same; place of the group's first row."""
    strata: list[str] = field(default_factory=list)

    def take(self, indices: Sequence[int] | np.ndarray) -> Marks:
        """Those of some rows."""
        arrays = {name: value[indices] for name, value in vars(self).items() if name != "strata"}
        return Marks(**arrays, strata=self.strata)


@dataclass
class Checked:
    """Rows that can be used, what is known of them, and the ledger of all."""

    rows: Rows
    marks: Marks
    shape: Shape
    ledger: Ledger
    names: list[int] = field(default_factory=list)
    """Which of `data.train` each of the ledger's files came by, those of other sides left out."""

    @property
    def bad(self) -> list[dict[str, Any]]:
        """The rows that cannot be used, as the ledger has them."""
        return self.ledger.lost()


def check(data: Data, shape: Shape, *, seed: int = 0) -> Checked:
    """`inspect`, and refuse when more rows would be lost than `data.max_dropped_fraction`.

    Raises:
        WeitiaoError: what `read` and `recognise` raise; `lost_rows`.
    """
    checked = inspect(data, shape, seed=seed)
    checked.ledger.refuse_losses(data.max_dropped_fraction, read_as=read_as(data))
    if not len(checked.rows):
        raise fault("empty_file", path=_files(data.train), why=reason("no_usable_row"))
    return checked


def inspect(data: Data, shape: Shape, *, seed: int = 0) -> Checked:
    """Read, convert and compare; rows that cannot be used are only noted in the ledger.

    Raises:
        WeitiaoError: what `read` and `recognise` raise; `wrong_value` when a file is named twice.
    """
    given = {"train": data.train, "validation": data.validation, "test": data.test}
    taker = _Taker(data, shape)
    drawn = seed if data.split.seed is None else data.split.seed
    named: dict[str, str] = {}
    for side, names in given.items():
        for number, name in enumerate(names):
            # Name by name: one of them may stand for several files, and has one of `data.weights`.
            for source in read([name], encoding=data.encoding, seed=drawn, format=data.format):
                if source.file in named:
                    # Its rows would have one place twice in the ledger, and no side of their own.
                    why = reason("file_twice", path=source.file, side=named[source.file])
                    raise fault("wrong_value", key=f"data.{side}", value=_files(names), why=why)
                named[source.file] = side
                own = side == "train"
                taker.take(source, side=None if own else side, number=number if own else 0)
    taker.respell(one_spelling(taker.labels))
    rows, marks, ledger = taker.rows, taker.marks(), taker.ledger
    if not ledger.total:
        every = [name for names in given.values() for name in names]
        raise fault("empty_file", path=_files(every), why=reason("no_rows_left"))
    if data.near_duplicates != "keep" and len(rows) and (shape.pictures or shape.texts(rows[0].values)):
        marks.near = near_rows(rows, shape, data)
    kept = _distinct(rows, marks, shape, ledger, data)
    return Checked(rows.take(kept), _renumbered(marks, kept), shape, ledger, taker.names)


class _Taker:
    """Takes the rows of one file after another."""

    def __init__(self, data: Data, shape: Shape):
        self.data, self.shape = data, shape
        self.rows, self.ledger = Rows(), Ledger()
        self.names: list[int] = []
        self.strata: dict[str, int] = {}
        self.labels: set[str] = set()
        self.dated: bool | None = None
        self.columns: dict[str, array[Any]] = {
            "key": array("Q"),
            "group": array("Q"),
            "stratum": array("i"),
            "side": array("b"),
            "source": array("h"),
            "by": array("Q"),
            "time": array("d"),
        }

    def marks(self) -> Marks:
        import numpy as np

        arrays = {name: np.array(values) for name, values in self.columns.items()}
        return Marks(**arrays, near=np.arange(len(self.rows)), strata=list(self.strata))

    def take(self, source: Source, *, side: str | None, number: int) -> None:
        """Note every row of a file as usable, or as not."""
        count = 0
        for item, record, repairs, why in self._converted(source, side):
            count += 1
            if isinstance(item, BadRow):
                self._reject(item, item.reason, raw=item.raw)
                continue
            where: Mapping[str, Any] = {}
            try:
                where = self._where(item, side) if not why else {}
            except formats.Unusable as error:
                why = str(error)
            if record is None or why:
                self._reject(item, why, raw=item.values)
                continue
            if repairs:
                self.ledger.note(item, "repaired", "; ".join(repairs))
            self._add(record, number, where)
        given = {"side": side} if side else {}
        self.names += [] if side else [number]
        self.ledger.files.append({**source.facts(), **given, "rows": count})
        self.ledger.total += count

    def _converted(
        self, source: Source, side: str | None
    ) -> Iterator[tuple[Record | BadRow, Record | None, list[str], str]]:
        """Every row as it came, as it is used, what was put right in it, and why it cannot be used."""
        convert = cache(partial(self._converter, source, side))

        def one(item: Record | BadRow) -> tuple[Record | BadRow, Record | None, list[str], str]:
            if isinstance(item, BadRow):
                return item, None, [], item.reason
            repairs: list[str] = []
            try:
                record = convert()(item, repairs)
            except formats.Unusable as error:
                return item, None, repairs, str(error)
            return item, record, repairs, self.shape.faults(record.values)

        # Pictures are read and looked at here, and most of that is none of Python's work.
        pictured = self.shape.pictures or (self.shape.turns and IMAGES in source.columns)
        return mapped(one, source.rows()) if pictured else map(one, source.rows())

    def _converter(self, source: Source, side: str | None) -> Callable[[Record, list[str]], Record]:
        data, shape = self.data, self.shape
        name = formats.recognise(
            source.file, source.columns, known=shape.formats, asked=data.format, columns=data.columns
        )
        # A file whose side is given is not dealt; only who its rows belong to still matters.
        for key in ("group_by", "time", "column") if side is None else ("group_by",):
            column = getattr(data.split, key)
            if column is not None and column not in source.columns:
                hint, found = formats.hint(column, source.columns), ", ".join(source.columns)
                raise fault(
                    "no_such_column",
                    path=source.file,
                    column=column,
                    found=found,
                    key=f"data.split.{key}",
                    hint=hint,
                )

        legend = legend_of(data, source.file) if formats.FORMATS[name].masked else None

        def convert(record: Record, repairs: list[str]) -> Record:
            record = formats.convert(
                record,
                format=name,
                columns=data.columns,
                decimal=data.decimal,
                pictures=data.pictures or "",
                legend=legend,
                repairs=repairs,
            )
            values: Mapping[str, Any] = record.values
            if data.relabel:
                values = relabelled(values, data.relabel, repairs)
            if data.clean:
                from weitiao.data.clean import clean

                values, done = clean(values, shape, data.clean)
                repairs += done
            return Record(record.file, record.line, values, record.nth)

        return convert

    def _where(self, record: Record, side: str | None) -> dict[str, Any]:
        """Side, group and time of a row, from its own columns."""
        split, values = self.data.split, record.values
        by = values.get(split.group_by) if split.group_by else None
        return {
            "side": SIDES.index(side) if side else side_of(values, split.column) if split.column else DEALT,
            "by": digest(as_text(by)) if by not in (None, "") else 0,
            "time": self._time(values, split.time) if split.time and side is None else 0.0,
        }

    def _time(self, values: Mapping[str, Any], column: str) -> float:
        dated, time = time_of(values, column)
        self.dated = dated if self.dated is None else self.dated
        if dated != self.dated:  # 2026 beside 2026-05-01 would count as half an hour past 1970
            mixed = "time_mixed_date" if dated else "time_mixed_number"
            raise formats.Unusable(reason(mixed, column=column, value=brief(values[column])))
        return time

    def _add(self, record: Record, number: int, where: Mapping[str, Any]) -> None:
        shape, values, columns = self.shape, record.values, self.columns
        key, group = shape.key(values), shape.group(values)
        columns["key"].append(digest(normalised(key)))
        columns["group"].append(columns["key"][-1] if group == key else digest(normalised(group)))
        columns["stratum"].append(self.strata.setdefault(shape.stratum(values), len(self.strata)))
        columns["source"].append(number)
        for name, value in where.items():
            columns[name].append(value)
        self.labels.update(label_names(values))
        self.rows.append(record)

    def respell(self, same: Mapping[str, str]) -> None:
        """Write labels as `same` says: which are two spellings of one is known behind the last row alone."""
        if not same:
            return
        before, self.rows, self.strata = self.rows, Rows(), {}
        for place, record in enumerate(before):
            repairs: list[str] = []
            values = relabelled(record.values, same, repairs)
            if repairs:
                said = "; ".join(repairs)
                if self.labels >= set(label_names(values)):
                    said = reason("label_read_as_elsewhere", repairs=said)
                self.ledger.note(record, "repaired", said)
            code = self.strata.setdefault(self.shape.stratum(values), len(self.strata))
            self.columns["stratum"][place] = code
            self.rows.append(Record(record.file, record.line, values, record.nth))

    def _reject(self, row: Record | BadRow, why: str, *, raw: Any) -> None:
        status = "quarantined" if self.data.bad_rows == "quarantine" else "dropped"
        self.ledger.note(row, status, why, raw=raw)


def _files(names: Sequence[str]) -> str:
    # Whoever asked for a plan has not named the sample that is looked at.
    return ", ".join(parted(name)[0] for name in names)


def _distinct(rows: Rows, marks: Marks, shape: Shape, ledger: Ledger, data: Data) -> np.ndarray:
    """Which rows go on: less the contradictions, the repeated ones, and those whose like stands in given test rows."""
    import numpy as np

    gone = np.zeros(len(rows), dtype=bool)
    for members in repeated(marks.key):
        if len(set(marks.stratum[members].tolist())) > 1:
            first = members[0]
            odd = next(row for row in members if marks.stratum[row] != marks.stratum[first])
            for row in members:
                other = odd if marks.stratum[row] == marks.stratum[first] else first
                here, there = (brief(marks.strata[marks.stratum[i]]) for i in (row, other))
                kind = "contradiction_pictures" if shape.pictures else "contradiction"
                why = reason(kind, here=here, there=there, place=rows[int(other)].place)
                record = rows[int(row)]
                status = "quarantined" if data.bad_rows == "quarantine" else "dropped"
                ledger.note(record, status, why, raw=dict(record.values))
            gone[members] = True
    _leave_out(
        rows,
        marks,
        marks.key,
        gone,
        ledger,
        kind="repeats",
        all_of_them=data.duplicates == "drop",
        said=shape.key,
    )
    # What `split` keeps on one side must not stand on two because sides were given.
    given = bool((marks.side != DEALT).any())
    if given:
        _leave_out(rows, marks, marks.group, gone, ledger, kind="repeats_question", all_of_them=False)
    if given and marks.by.any():
        alone = np.arange(len(rows), dtype=np.uint64)  # a row without a value of its own belongs to nobody
        by = np.where(marks.by == 0, alone, marks.by)
        column = data.split.group_by
        facts: dict[str, Any] = {"kind": "repeats_group", "column": column, "status": "dropped"}
        _leave_out(rows, marks, by, gone, ledger, all_of_them=False, **facts)
    drop = data.near_duplicates == "drop"
    if drop or (given and data.near_duplicates == "group"):
        _leave_out(rows, marks, marks.near, gone, ledger, kind="repeats_nearly", all_of_them=drop)
    return np.flatnonzero(~gone)


def _leave_out(
    rows: Rows,
    marks: Marks,
    like: np.ndarray,
    gone: np.ndarray,
    ledger: Ledger,
    *,
    kind: str,
    all_of_them: bool,
    said: Callable[[Mapping[str, Any]], str] | None = None,
    status: str = "duplicate",
    **facts: Any,
) -> None:
    """Mark rows that repeat another.  Where sides are given, the copy on the judging side stays; a copy on another
    side goes in any case, since nothing that is tested may be trained on.
    """
    for found in repeated(like):
        members = [row for row in found if not gone[row]]
        # Test before validation before training, and in the order of the files.
        members.sort(key=lambda row: (-int(marks.side[row]), row))
        for place, row in enumerate(members[1:], start=1):
            first = members[0] if said is None else _same(rows, members[: min(place, LIKE)], row, said)
            if first is None or not (all_of_them or marks.side[row] != marks.side[first]):
                continue
            gone[row] = True
            record = rows[int(row)]
            where = rows[int(first)].place
            if marks.side[row] != marks.side[first]:
                where = reason("on_side", place=where, side=SIDES[marks.side[first]])
                ledger.leaks["removed"] = ledger.leaks.get("removed", 0) + 1
            ledger.note(record, status, reason(kind, place=where, **facts))


def _same(
    rows: Rows, earlier: Sequence[int], row: int, said: Callable[[Mapping[str, Any]], str]
) -> int | None:
    """The first of the earlier rows that says the same; 64 equal bits are a strong hint and no proof."""
    mine = normalised(said(rows[int(row)].values))
    # Nearly always the first one; a collision of prints would cost a row otherwise.
    return next((other for other in earlier if normalised(said(rows[int(other)].values)) == mine), None)


def _renumbered(marks: Marks, kept: np.ndarray) -> Marks:
    """The marks of the rows that go on; near groups are named by their first row among them."""
    import numpy as np

    taken = marks.take(kept)
    _, first, inverse = np.unique(taken.near, return_index=True, return_inverse=True)
    taken.near = first[inverse]
    return taken
