"""What travels in packages, by its name.

fetch("film-reviews")                    ->  where it lies
export_data("film-reviews", "mine.csv")  ->  a copy of one's own
"""

from __future__ import annotations

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
        name: of the data set.
        file: what is written; default: the set's name in the folder where one works.
        progress: hears about what is being fetched.

    Raises:
        WeitiaoError: `unknown_dataset`; `wrong_usage` when the file is there already or its ending says that it holds
            something else; what fetching and writing raise.
    """
    from weitiao.models.assets import catalog

    entry = catalog.dataset_entry(name)
    target = Path(file or entry.filename)
    if target.suffix != Path(entry.filename).suffix:
        raise fault("wrong_usage", **because("other_ending", path=target, name=name, own=entry.filename))
    if target.exists():
        raise fault("wrong_usage", **because("output_there", path=target))
    refuse_unwritable(target)
    text = catalog.dataset_path(name, progress=progress).read_bytes().decode("utf-8")
    with whole_file(target, needed_bytes=len(text), newline="") as copy:
        copy.write(text)
    for folder in (each for each in catalog.dataset_path(name).parent.iterdir() if each.is_dir()):
        shutil.copytree(folder, target.parent / folder.name, dirs_exist_ok=True)  # the pictures that it names
    return target


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
