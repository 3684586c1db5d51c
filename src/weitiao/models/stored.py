"""What lies in the files of a model, told from their headers: no weight is read.

kinds("models/base")      ->  {"model.norm.weight": ("BF16", 64), ...}     name -> kind of number, how many
precision("models/base")  ->  "bfloat16"                                   what most of its numbers are
"""

from __future__ import annotations

import json
from collections import Counter
from math import prod
from pathlib import Path

from weitiao.models.pipelines import body_name
from weitiao.models.precision import Precision

WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
"""Bytes of safetensors' numbers that are no whole ones."""
KNOWN: dict[str, Precision] = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def weight_files(source: str) -> list[Path]:
    """The safetensors of a folder, or of a hub id as far as they have been fetched."""
    folder = folder_of(source)
    # Of a pipeline, those of the part that denoises.
    folder = folder and folder / body_name(folder)
    files = sorted(folder.glob("*.safetensors")) if folder else []
    # Some hub folders hold the same weights twice, under their makers' names too.
    return [file for file in files if file.name.startswith("model")] or files


def folder_of(source: str) -> Path | None:
    """Where its config.json lies."""
    from transformers.utils import cached_file

    if Path(source).is_dir():
        return Path(source)
    try:
        found = cached_file(source, "config.json", local_files_only=True)
    except (OSError, ValueError):
        found = None
    return Path(found).parent if found else None


def kinds(source: str) -> dict[str, tuple[str, int]]:
    """Name of every weight -> what kind of number it holds, and how many."""
    from safetensors import safe_open

    found = {}
    for path in weight_files(source):
        with safe_open(path, "pt") as file:  # reads the header alone
            for name in list(file.keys()):
                part = file.get_slice(name)
                found[name] = part.get_dtype(), prod(part.get_shape())
    return found


def precision(source: str) -> Precision:
    """What most numbers of a model are stored in; float32 where that is none of the three.

    Of a hub id whose weights are still to be fetched it is what its config.json says.
    """
    counts: Counter[str] = Counter()
    for kind, count in kinds(source).values():
        counts[kind] += count if kind in KNOWN else 0
    if counts.total():
        return KNOWN[counts.most_common(1)[0][0]]
    said, folder = "float32", folder_of(source)
    if folder and not weight_files(source) and (folder / "config.json").is_file():
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        said = config.get("dtype") or config.get("torch_dtype") or said
    return next((known for known in KNOWN.values() if known == said), "float32")
