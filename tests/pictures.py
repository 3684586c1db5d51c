"""Pictures made by hand: bright ones and dark ones, as files.

pictured(10)  ->  rows as `data.formats` gives them;  class_folders(folder, 20)  ->  folder/{bright,dark}/*.png
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from weitiao.data.pictures.looks import looked

LABELS = ("bright", "dark")


def drawn(number: int) -> tuple[Image.Image, str]:
    """A picture of noise, 20 to 27 pixels wide; every other one is dark."""
    rng, label = np.random.default_rng(number), LABELS[number % 2]
    shades = rng.integers(0, 120, (20, 20 + number % 8, 3)) + (120 if label == "bright" else 0)
    return Image.fromarray(shades.astype(np.uint8)), label


def class_folders(folder: Path, count: int) -> Path:
    """Pictures in a folder a label."""
    for number in range(count):
        picture, label = drawn(number)
        (folder / label).mkdir(parents=True, exist_ok=True)
        picture.save(folder / label / f"{number:03}.png")
    return folder


@cache
def _files(count: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pictures-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return class_folders(folder, count)


def pictured(count: int) -> list[dict[str, Any]]:
    """Rows of such pictures, in whose files they lie."""
    rows = []
    for path in sorted(_files(count).rglob("*.png"), key=lambda path: path.stem):
        rows.append({"image": str(path), **looked(str(path)).columns(), "label": path.parent.name})
    return rows
