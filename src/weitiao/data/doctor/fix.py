"""A repaired copy beside the file, and every change said.

    reviews.csv  ->  repaired_copy(rows, "reviews.csv", ...)
        ->  reviews.fixed.csv              the rows that can be used, with the columns of the original
            reviews.fixed.changes.jsonl    {"file", "line", "column", "what", "before", "after"}
            reviews.fixed.rejected.jsonl   {"file", "line", "reason", "values"}

Rows in the copy, repeated ones left out and rejected ones add up to the input.  Texts with two labels stay: which
label is right, a person must say.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from weitiao.core.contracts import Record, Shape
from weitiao.core.errors import fault
from weitiao.core.why import because
from weitiao.data.clean import CLEANERS, DEFAULT, chosen, relabel, repaired
from weitiao.data.equal_text import normalised
from weitiao.data.formats import Unusable
from weitiao.data.personal import KINDS
from weitiao.data.read import SAMPLE, BadRow
from weitiao.data.read.hugging import PREFIX

TABLES = {".csv", ".tsv", ".xlsx", ".xls"}
# What stands under these keys of a row is no text of a person.
NAMES = frozenset(("role", "from", "id", "name", "type", "tool_calls", "tool_call_id", "tools", "function"))
SHOWN = 8


@dataclass
class Fixed:
    """Where the copy is, and what became of the rows."""

    path: Path
    changes: Path | None
    """None when nothing was changed."""
    rejected: Path | None
    counts: dict[str, int] = field(default_factory=dict)
    """`kept`, `duplicate`, `rejected` add up to the input; `changed` are among the kept."""
    done: dict[str, int] = field(default_factory=dict)
    """Repair -> texts, `label` -> labels, `EMAIL`, `PHONE` ... -> how many were masked."""
    mended: dict[str, int] = field(default_factory=dict)
    """Every repair that was asked for -> kept rows that it changed; 0 where there was nothing to mend."""
    first: list[str] = field(default_factory=list)
    """The first changes in a line each."""


def destinations(path: Path) -> tuple[Path, Path, Path]:
    """The copy of `path`, the list of its changes and that of its rejected rows."""
    ending = ".csv" if path.suffix.lower() in TABLES else ".jsonl"
    begins = f"{path.stem}.fixed"
    return (
        path.with_name(f"{begins}{ending}"),
        path.with_name(f"{begins}.changes.jsonl"),
        path.with_name(f"{begins}.rejected.jsonl"),
    )


def beside(name: str) -> Path:
    """What the copy of a source is named after: its file (`reviews-500.csv` for a sample of 500), or its folder.

    A data set of the hub has neither; its copy lies in the folder where the command runs.
    """
    sample = None if os.path.exists(name) else SAMPLE.match(name)
    name = sample["path"] if sample else name
    place = name.removeprefix(PREFIX)
    if place != name and not os.path.exists(place):
        place = re.sub("[/:]+", "-", place)
    # The name of `.` is that of the folder it stands for.
    named = Path(place) if Path(place).name not in ("", "..") else Path(os.path.abspath(place))
    return named.with_stem(f"{named.stem}-{sample['rows']}") if sample else named


def refuse_taken(paths: Sequence[Path]) -> None:
    """Raise when a file that a copy needs is there already, or is needed by two.

    Raises:
        WeitiaoError: `wrong_usage`.
    """
    wanted = Counter(to for path in paths for to in destinations(path))
    for to, count in wanted.items():
        if to.exists():
            raise fault("wrong_usage", **because("in_the_way", path=to))
        if count > 1:
            raise fault("wrong_usage", **because("copies_collide", count=count, path=to))


def repaired_copy(
    rows: Iterable[Record | BadRow],
    path: Path,
    *,
    shape: Shape,
    convert: Callable[[Record], Record],
    texts: Collection[str],
    label: str = "",
    mapping: Mapping[str, str] | None = None,
    cleaners: Sequence[str] = DEFAULT,
    seen: set[bytes] | None = None,
) -> Fixed:
    """Write the copy of one file; an existing file is never written over.

    Args:
        rows: The file's rows as read, good and bad, before they are converted.
        path: The file.
        shape: What they hold once converted.
        convert: Record as read -> converted record; raises `formats.Unusable`.
        texts: The file's own columns that hold texts.
        label: The file's own column that holds the label or the list of labels.
        mapping: Label -> how it should be written.
        cleaners: Names of `clean.CLEANERS`; `personal` only when somebody asks for it.
        seen: Rows met so far, to be handed on when several files belong together.

    Raises:
        WeitiaoError: `wrong_usage` when a file of that name exists, or a repair is unknown; `no_permission`.
    """
    order, seen = chosen(cleaners), set() if seen is None else seen
    to, changes, rejected = destinations(path)
    counts: Counter[str] = Counter(kept=0, changed=0, duplicate=0, rejected=0)
    fixed = Fixed(to, changes, rejected)
    done: Counter[str] = Counter()
    mended: Counter[str] = Counter(dict.fromkeys([*order, *(["label"] if mapping else [])], 0))
    with ExitStack() as stack:
        copy = stack.enter_context(_new(to))
        change = stack.enter_context(_new(changes))
        reject = stack.enter_context(_new(rejected))
        put = _table(copy) if to.suffix == ".csv" else _lines(copy)
        for record in rows:
            if isinstance(record, BadRow):
                counts["rejected"] += 1
                where = {"file": record.file, "line": record.line}
                _line(reject, {**where, "reason": record.reason, "raw": record.raw})
                continue
            after, said = _row(record.values, order, texts=texts, label=label, mapping=mapping or {})
            candidate = replace(record, values=after)
            reason, key, values = _use(candidate, convert, shape)
            if reason:
                counts["rejected"] += 1
                _line(
                    reject,
                    {"file": record.file, "line": record.line, "reason": reason, "values": record.values},
                )
            elif key in seen:
                counts["duplicate"] += 1
                _line(change, {"file": record.file, "line": record.line, "what": ["duplicate left out"]})
            else:
                seen.add(key)
                put(_found_from(to.parent, after, pictures=[values[name] for name in shape.pictures]))
                counts["kept"] += 1
                counts["changed"] += bool(said)
                mended.update({name for one in said for name in _repairs(one["counts"])})
                for one in said:
                    done.update(one.pop("counts"))
                    _line(change, {"file": record.file, "line": record.line, **one})
                    if len(fixed.first) < SHOWN:
                        fixed.first.append(f"{record.place}: {', '.join(one['what'])} in {one['column']}")
    fixed.counts, fixed.done, fixed.mended = dict(counts), dict(done), dict(mended)
    # An empty list of changes would only be one more file to look into.
    for name, empty in (("changes", not (done or counts["duplicate"])), ("rejected", not counts["rejected"])):
        if empty:
            getattr(fixed, name).unlink()
            setattr(fixed, name, None)
    return fixed


def _repairs(counts: Mapping[str, int]) -> set[str]:
    return {"personal" if name in KINDS else name for name in counts}


def _row(
    values: Mapping[str, Any],
    order: Sequence[str],
    *,
    texts: Collection[str],
    label: str,
    mapping: Mapping[str, str],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A row with its own columns, repaired, and what was done in each column."""
    after, said = dict(values), []
    for column in texts:
        if column not in values or column == label:
            continue
        done: Counter[str] = Counter()
        after[column] = _walk(values[column], order, done)
        if after[column] != values[column]:
            what = [name for name in done if name in CLEANERS]
            masked = [f"{done[kind]} {KINDS[kind]} masked" for kind in KINDS if done[kind]]
            # What was masked must not stand in the list of changes.
            shown = {} if masked else {"before": values[column], "after": after[column]}
            said.append({"column": column, "what": what + masked, "counts": done, **shown})
    if mapping and label in values:
        after[label] = relabel(values[label], mapping)
        if after[label] != values[label]:
            shown = {"before": values[label], "after": after[label]}
            said.append({"column": label, "what": ["label"], "counts": Counter(label=1), **shown})
    return after, said


def _walk(value: Any, order: Sequence[str], done: Counter[str]) -> Any:
    if isinstance(value, str):
        text, what = repaired(value, order)
        done.update(what)
        return text
    if isinstance(value, list):
        return [_walk(one, order, done) for one in value]
    if isinstance(value, dict):
        return {key: one if key in NAMES else _walk(one, order, done) for key, one in value.items()}
    return value


def _found_from(home: Path, values: dict[str, Any], *, pictures: Sequence[str]) -> dict[str, Any]:
    """The row with the places of its pictures as from the folder of the copy: that of a folder lies beside the folder."""
    found = dict(values)
    for path in pictures:
        for column, said in values.items():
            names = isinstance(said, str) and said and path.endswith(os.sep + os.path.normpath(said))
            if names and os.path.abspath(home / said) != path:
                found[column] = os.path.relpath(path, home)
    return found


def _use(
    record: Record, convert: Callable[[Record], Record], shape: Shape
) -> tuple[str, bytes, Mapping[str, Any]]:
    """Why the row cannot be used, or the hash by which it is known again: its key and its label; what it is converted to."""
    try:
        values = convert(record).values
        reason = shape.faults(values)
    except Unusable as error:
        return str(error), b"", {}
    if reason:
        return reason, b"", {}
    content = f"{normalised(shape.key(values))}\0{shape.stratum(values)}"
    key = hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return "", key, values


def _table(file: IO[str]) -> Callable[[Mapping[str, Any]], None]:
    writer: csv.DictWriter[str] | None = None

    def put(values: Mapping[str, Any]) -> None:
        nonlocal writer
        if writer is None:
            writer = csv.DictWriter(file, list(values), lineterminator="\n")
            writer.writeheader()
        writer.writerow(dict(values))

    return put


def _lines(file: IO[str]) -> Callable[[Mapping[str, Any]], None]:
    return lambda values: _line(file, values)


def _line(file: IO[str], values: Mapping[str, Any]) -> None:
    file.write(json.dumps(values, ensure_ascii=False, default=str) + "\n")


@contextmanager
def _new(path: Path) -> Iterator[IO[str]]:
    """A file that appears whole or not at all, and only where there is none."""
    if path.exists():
        raise fault("wrong_usage", **because("in_the_way", path=path))
    part = path.with_name(path.name + ".part")
    try:
        file = part.open("w", encoding="utf-8", newline="", errors="backslashreplace")
    except OSError:
        raise fault("no_permission", action="write", path=path) from None
    try:
        with file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
