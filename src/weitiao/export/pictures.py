"""Pictures of an exported model: how its runner reads them, and which odd ones it is asked.

why_not(run)                       ->  why the runner's rules are not those of the model's processor; empty when they are
learnt(run, folder, inputs)        ->  batches of what the model was trained on, as its runner reads them
made(record, room)                 ->  paths of pictures as they come in use: grey, turned, clear, of 16 bits ...
"""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.why import reason
from weitiao.data.pictured import IMAGE

if TYPE_CHECKING:
    from PIL.Image import Image

    from weitiao.core.contracts import Record
    from weitiao.stages.run import Run

RULES = "preprocessor_config.json"
PIXELS = "pixel_values"
CLOSE = 1e-5
"""How far a pixel may be from what the model's own processor makes of it."""
SIZES = ((37, 53), (64, 41), (9, 150))
"""Width and height of pictures on which rules are tried."""
LEARNT, AT_ONCE = 128, 16
"""Pictures that say in what range a model computes, and how many of them are read at once."""
TURNED = 6
"""A camera's note (EXIF) that it was held on its side."""


def rules(folder: Path) -> dict[str, Any]:
    """What a model's folder says of how pictures are made ready."""
    found: dict[str, Any] = json.loads((folder / RULES).read_text(encoding="utf-8"))
    return found


def why_not(run: Run) -> str:
    """Does a runner read pictures as the processor does, and all of them as large as each other?  Three small ones tell."""
    from weitiao.export.picture_reader import pixels
    from weitiao.models import folders

    processor = folders.processor(str(run.folder.model), run.task)
    kind = type(processor).__name__
    shapes = set()
    with tempfile.TemporaryDirectory(prefix="weitiao-pictures-") as room:
        for number, size in enumerate(SIZES):
            path = Path(room) / f"{number}.png"
            picture = _noise(size)
            picture.save(path)
            try:
                wanted = np.asarray(processor(images=[picture], return_tensors="np")[PIXELS][0])
                found = pixels(str(path), rules(run.folder.model))
            except (OSError, KeyError, TypeError, ValueError):  # it states its rules in another way
                return reason("form_other_pictures", kind=kind)
            if found.shape != wanted.shape or np.abs(found - wanted).max() > CLOSE:
                return reason("form_other_pictures", kind=kind)
            shapes.add(found.shape)
    return "" if len(shapes) == 1 else reason("form_pictures_of_sizes", kind=kind)


@cache
def code() -> str:
    """How a runner reads pictures, as it stands in it."""
    from weitiao.export import picture_reader as reader

    return "\n\n".join(inspect.getsource(each) for each in (reader.opened, reader.sides, reader.pixels))


def frame_of(run: Run, folder: Path) -> tuple[int, ...]:
    """Channels, height and width of what a model of this folder is given; none of one that reads texts."""
    if not run.task.shape.pictures:
        return ()
    from weitiao.export.picture_reader import pixels

    with tempfile.TemporaryDirectory(prefix="weitiao-pictures-") as room:
        path = Path(room) / "0.png"
        _noise(SIZES[0]).save(path)
        return tuple(pixels(str(path), rules(folder)).shape)


def learnt(run: Run, folder: Path, inputs: Sequence[str]) -> Iterator[dict[str, np.ndarray]] | None:
    """Some of the rows that trained, by chance, and no other rows, in batches; None of a model that reads texts.

    Args:
        run: whose model.
        folder: with the model's rules.
        inputs: names that it is called with.

    Raises:
        WeitiaoError: `broken_rows`, `picture_gone`.
    """
    return _learnt(run, rules(folder), inputs) if run.task.shape.pictures else None


def _learnt(run: Run, stated: dict[str, Any], inputs: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    from weitiao.data.pictures.opening import still
    from weitiao.export.picture_reader import pixels
    from weitiao.stages.kept_rows import kept

    count = len(run.folder.json("data/split.json")["train"])
    chosen = set(Random(run.recipe.seed).sample(range(count), min(LEARNT, count)))
    rows = (row for place, (row, _) in enumerate(kept(run.folder, "train")) if place in chosen)
    while some := [path for row in islice(rows, AT_ONCE) for (path,) in run.task.texts_read(row)]:
        for path in some:
            still(path)  # a file that has gone is told by name
        found = np.stack([pixels(path, stated) for path in some])
        known = {PIXELS: found, "pixel_mask": np.ones(found[:, 0].shape, np.int64)}
        yield {name: known[name] for name in inputs}


def _noise(size: tuple[int, int]) -> Image:
    from PIL import Image as pillow

    width, height = size
    shades = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    return pillow.fromarray(shades.astype(np.uint8))


def made(record: Record, room: Path) -> list[str]:
    """Pictures made of a row's own one, as files."""
    from PIL import Image as pillow

    from weitiao.data.pictures.opening import still

    own = still(record.values[IMAGE])
    noted = pillow.Exif()
    noted[0x0112] = TURNED
    deep = pillow.fromarray(np.asarray(own.convert("L")).astype(np.uint16) * 257)
    odd: dict[str, tuple[Image, dict[str, Any]]] = {
        "grey.png": (own.convert("L"), {}),
        "palette.gif": (own.convert("P"), {"transparency": 0}),
        "clear.png": (own.convert("LA").convert("RGBA").rotate(30), {}),
        "deep.png": (deep, {}),
        "turned.jpg": (own, {"exif": noted}),
        "printed.jpg": (own.convert("CMYK"), {}),
        "narrow.png": (own.resize((5, 90)), {}),
    }
    for name, (picture, words) in odd.items():
        picture.save(room / name, **words)
    return [str(room / name) for name in odd]
