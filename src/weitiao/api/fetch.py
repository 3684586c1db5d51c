"""What travels in packages, by its name.

fetch("film-reviews")                    ->  where it lies
export_data("film-reviews", "mine.csv")  ->  a copy of one's own
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from weitiao.core.errors import did_you_mean, fault
from weitiao.core.files import refuse_unwritable, whole_file
from weitiao.core.why import because, reason

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress


def fetch(name: str, *, progress: Progress | None = None) -> Path:
    """Where an embedded model, data set or dictionary lies, fetched and made if need be.

    Raises:
        WeitiaoError: `unknown_name`; what fetching raises (`no_network`, `wrong_hash`, `disk_full`...).
    """
    from weitiao.models.assets import catalog

    fetchable(name)
    if name in catalog.MODELS:
        return catalog.model_path(name, progress=progress)
    if name in catalog.DATASETS:
        return catalog.dataset_path(name, progress=progress)
    return catalog.dictionary_path(name, progress=progress)


def export_data(name: str, file: str | Path = "", *, progress: Progress | None = None) -> Path:
    """An embedded data set as a file of one's own, to look at and to change.

    Args:
        name: of the data set; `film-reviews#700`: a sample of so many of its rows, the one that a recipe would read.
        file: what is written; default: the set's name in the folder where one works.
        progress: hears about what is being fetched.

    Raises:
        WeitiaoError: `unknown_dataset`; `wrong_usage` when the file is there already or its ending says that it holds
            something else; what fetching and writing raise.
    """
    from weitiao.models.assets import catalog

    name, _, count = name.partition("#")
    entry = catalog.dataset_entry(name)
    target = Path(file or entry.filename)
    if count and Path(entry.filename).suffix == ".json":
        raise fault("wrong_usage", **because("sample_of_one_file", name=name, count=count))
    if target.suffix != Path(entry.filename).suffix:
        raise fault("wrong_usage", **because("other_ending", path=target, name=name, own=entry.filename))
    if target.exists():
        raise fault("wrong_usage", **because("output_there", path=target))
    refuse_unwritable(target)
    whole = catalog.dataset_path(name, progress=progress)
    text = _sample(whole, count) if count else whole.read_bytes().decode("utf-8")
    with whole_file(target, needed_bytes=len(text), newline="") as copy:
        copy.write(text)
    for folder in (each for each in catalog.dataset_path(name).parent.iterdir() if each.is_dir()):
        shutil.copytree(folder, target.parent / folder.name, dirs_exist_ok=True)  # the pictures that it names
    return target


def _sample(whole: Path, count: str) -> str:
    """Some rows of a table or of JSON lines, in the same form.

    Raises:
        WeitiaoError: `file_missing` where the sample is no number; of a larger one than there are rows all are written.
    """
    from weitiao.core.contracts import Record
    from weitiao.data.read import read

    source = read([f"{whole}#{count}"])[0]
    rows = [dict(row.values) for row in source.rows() if isinstance(row, Record)]
    if whole.suffix == ".jsonl":
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    said = io.StringIO(newline="")
    table = csv.DictWriter(said, source.columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return said.getvalue()


def fetchable(name: str) -> None:
    """Is there something of that name?

    Raises:
        WeitiaoError: `unknown_name`.
    """
    from weitiao.models.assets import catalog

    known = [*catalog.MODELS, *catalog.DATASETS, *catalog.DICTIONARIES]
    if name not in known:
        hint = did_you_mean(name, known)
        shelf = reason("embedded_thing")
        raise fault("unknown_name", shelf=shelf, name=name, hint=hint, known=", ".join(known))
