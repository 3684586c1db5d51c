"""The models, data sets and dictionaries that come along, and where they lie once made.

    "smollm2-135m"  ->  model_path(name)    ->  a folder that `from_pretrained` opens, tokenizer included
    "film-reviews"  ->  dataset_path(name)  ->  a CSV (text,label) or JSONL (instruction,input,output) file
    "wordnet"       ->  dictionary_path(name)  ->  a file of words and what may stand for them

Each is fetched and made once, beside its final place, and moved there by one rename.  A small `weitiao.json`
in the folder says from which file and by which converter, so that a new converter makes it anew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from weitiao.core.errors import did_you_mean, fault
from weitiao.core.files import disk, share
from weitiao.models.assets import datasets, dictionaries
from weitiao.models.assets.dataset_entries import DATASETS
from weitiao.models.assets.entries import DICTIONARIES, MODELS
from weitiao.models.assets.entry import DatasetEntry, Entry, ModelEntry
from weitiao.models.assets.fetch import Progress, cache_dir, fetch

MANIFEST = "weitiao.json"


def model_entry(name: str) -> ModelEntry:
    """The model of that name.

    Raises:
        WeitiaoError: `unknown_model`, with the nearest name.
    """
    if name not in MODELS:
        raise fault("unknown_model", name=name, known=", ".join(MODELS), hint=did_you_mean(name, MODELS))
    return MODELS[name]


def dataset_entry(name: str) -> DatasetEntry:
    """The data set of that name.

    Raises:
        WeitiaoError: `unknown_dataset`, with the nearest name.
    """
    if name not in DATASETS:
        raise fault(
            "unknown_dataset", name=name, known=", ".join(DATASETS), hint=did_you_mean(name, DATASETS)
        )
    return DATASETS[name]


def model_path(name: str, progress: Progress | None = None) -> Path:
    """The folder of a model, fetched and converted if it is not in the cache yet.

    Args:
        name: a name in `MODELS`.
        progress: called with bytes so far and bytes in all, while downloading.

    Raises:
        WeitiaoError: `unknown_model`, or what `fetch` and the converter raise.
    """
    entry = model_entry(name)

    def build(packed: Path, folder: Path) -> None:
        # Torch comes in here, and only when there is something to make.
        from weitiao.models.assets import convert
        from weitiao.models.quiet import quiet

        with quiet():
            convert.CONVERTERS[name](packed, folder)

    return _made(cache_dir() / "models" / name, entry, build, progress=progress)


def dataset_path(name: str, progress: Progress | None = None) -> Path:
    """The file of a data set, fetched and written if it is not in the cache yet.

    Args:
        name: a name in `DATASETS`.
        progress: called with bytes so far and bytes in all, while downloading.

    Raises:
        WeitiaoError: `unknown_dataset`, or what `fetch` and the writer raise.
    """
    entry = dataset_entry(name)

    def build(packed: Path, folder: Path) -> None:
        datasets.WRITERS[name](packed, folder / entry.filename)

    folder = _made(cache_dir() / "data" / name, entry, build, progress=progress)
    return folder / entry.filename


def dictionary_path(name: str, progress: Progress | None = None) -> Path:
    """The file of a dictionary, fetched and written if it is not in the cache yet.

    Args:
        name: a name in `DICTIONARIES`.
        progress: called with bytes so far and bytes in all, while downloading.

    Raises:
        WeitiaoError: what `fetch` and the writer raise.
    """
    entry = DICTIONARIES[name]

    def build(packed: Path, folder: Path) -> None:
        dictionaries.WRITERS[name](packed, folder / entry.filename)

    folder = _made(cache_dir() / "dictionaries" / name, entry, build, progress=progress)
    return folder / entry.filename


def lies_here(name: str) -> bool:
    """Is the model of that name in the cache, so that nothing has to be fetched to open it?"""
    return _whole(cache_dir() / "models" / name, _stamp(model_entry(name)))


def _made(
    folder: Path, entry: Entry, build: Callable[[Path, Path], None], *, progress: Progress | None
) -> Path:
    """`folder`, made by `build(package file, folder)` unless it is whole and made by today's converter."""
    stamp = _stamp(entry)
    if _whole(folder, stamp):  # before the lock, so that a cache on a read-only disk works too
        return folder
    source = entry.source
    packed = fetch(source, progress=progress) if source else Path()
    with disk(folder, needed_bytes=int(entry.made_mb * 1e6)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if _whole(folder, stamp):  # another process made it while we waited
                return folder
            # Fixed names: what a killed process left is found and cleared by the next one.
            fresh, stale = (folder.with_name(f".{folder.name}.{end}") for end in ("new", "old"))
            for left in (fresh, stale):
                shutil.rmtree(left, ignore_errors=True)
            fresh.mkdir()
            try:
                build(packed, fresh)
                share(fresh)
                # Of what lies in folders (pictures) the table says whether it is there.
                files = {file.name: file.stat().st_size for file in sorted(fresh.iterdir()) if file.is_file()}
                about = {"name": entry.name, "origin": entry.origin, "licence": entry.licence}
                about |= {"package": f"{source.package} {source.version}"} if source else {}
                manifest = json.dumps(stamp | about | {"files": files}, indent=2, ensure_ascii=False)
                (fresh / MANIFEST).write_text(manifest + "\n", encoding="utf-8")
                if folder.exists():
                    folder.rename(stale)  # a folder cannot be renamed onto a full one
                fresh.rename(folder)
            finally:
                for left in (fresh, stale):
                    shutil.rmtree(left, ignore_errors=True)
    return folder


def _stamp(entry: Entry) -> dict[str, Any]:
    return {"sha256": entry.source.sha256 if entry.source else "", "converter": entry.converter}


def _whole(folder: Path, stamp: dict[str, Any]) -> bool:
    """Whether the manifest is there, is of this source and converter, and every file has its size."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        same = all(manifest.get(key) == value for key, value in stamp.items())
        return same and all(
            (folder / name).stat().st_size == size for name, size in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False
