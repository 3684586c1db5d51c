"""A Hugging Face data set in, one record a row out.

    hf:owner/name, hf:owner/name:validation, hf:./folder  ->  Source(format="datasets", ...)

A hub id is fetched by `datasets` into its own cache; a folder is one that `load_dataset` reads, or one that
`save_to_disk` wrote.  Class numbers become their names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import fault, need
from weitiao.core.why import reason
from weitiao.data.read.source import BadRow, Source
from weitiao.data.read.tables import checked_header
from weitiao.data.read.text import CHUNK
from weitiao.data.read.values import plain_row

PREFIX = "hf:"


def is_saved(folder: Path) -> bool:
    """Did `save_to_disk` write this folder?"""
    one = (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    return one or (folder / "dataset_dict.json").is_file()


def read_dataset(name: str) -> Source:
    """Open `hf:owner/name`, `hf:owner/name:split`, `hf:FOLDER` or a folder that `save_to_disk` wrote.

    Without a split the only one is taken, or `train`.  The line of a row is its number, from 1.

    Raises:
        WeitiaoError: `missing_extra`; `no_dataset` when it cannot be loaded, or has no such split.
    """
    place, split = name.removeprefix(PREFIX), ""
    if ":" in place and not Path(place).exists():
        place, _, split = place.rpartition(":")
    if not place:
        raise fault("no_dataset", name=name, why=reason("dataset_nameless"))
    with _quiet(need("datasets", extra="data")) as datasets:
        try:
            found = datasets.load_from_disk(place) if is_saved(Path(place)) else datasets.load_dataset(place)
        except Exception as error:  # the network, the hub, the builders: each raises its own
            why = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
            raise fault("no_dataset", name=name, why=why) from None
    notes: tuple[str, ...] = ()
    if isinstance(found, Mapping):
        splits = list(found)
        chosen = split or ("train" if "train" in splits else splits[0] if len(splits) == 1 else "")
        if chosen not in splits:
            raise fault("no_dataset", name=name, why=reason("name_a_split", known=", ".join(splits)))
        others = ", ".join(other for other in splits if other != chosen)
        notes = (reason("split_read", name=chosen, others=others),) if others else ()
        found = found[chosen]
    elif split:
        raise fault("no_dataset", name=name, why=reason("no_such_split", name=split))
    columns = checked_header(name, list(found.column_names))

    def rows() -> Iterator[Record | BadRow]:
        for number, values in enumerate(values_of(found), start=1):
            try:
                yield Record(name, number, plain_row(values))
            except ValueError as error:
                yield BadRow(name, number, reason("cell_unreadable", why=error))

    return Source(name, "datasets", "", _sha256(found), columns, rows, notes)


def values_of(dataset: Any) -> Iterator[dict[str, Any]]:
    """The rows of a `datasets.Dataset` with names for class numbers; pictures and sounds are left undecoded."""
    features = dataset.features
    for name, feature in features.items():
        if type(feature).__name__ in ("Image", "Audio", "Video"):
            dataset = dataset.cast_column(name, type(feature)(decode=False))
    named = {name: namer for name, feature in features.items() if (namer := _namer(feature))}
    for row in dataset.with_format(None):
        yield row | {name: namer(row[name]) for name, namer in named.items()}


def _namer(feature: Any) -> Callable[[Any], Any] | None:
    """What makes names of class numbers, one or a list of them (the tags of a sentence); nothing where there are none."""
    if type(feature).__name__ == "ClassLabel":
        # Hidden labels of a test split are -1.
        return lambda number: None if number is None or number < 0 else feature.names[number]
    inner = _namer(feature.feature) if type(feature).__name__ in ("List", "LargeList") else None
    return inner and (lambda numbers: numbers and [inner(number) for number in numbers])


def _sha256(dataset: Any) -> str:
    """The hash of the files that a data set lies in, in order; empty when it lies in memory."""
    digest = hashlib.sha256()
    for file in dataset.cache_files:
        with Path(file["filename"]).open("rb") as data:
            while chunk := data.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest() if dataset.cache_files else ""


@contextmanager
def _quiet(datasets: Any) -> Iterator[Any]:
    """No progress bars: the library is silent."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield datasets
    finally:
        if shown:
            datasets.enable_progress_bars()
