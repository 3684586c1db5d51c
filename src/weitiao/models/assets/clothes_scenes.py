"""Scenes of clothes, made from Fashion-MNIST and scikit-learn's two photographs.

.deb  ->  clothes_scenes(deb, file)  ->  COCO JSON, and pictures/00001.png beside it
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.errors import need
from weitiao.models.assets.pictures import training_part

if TYPE_CHECKING:
    from weitiao.models.assets.scenes import Scene

KINDS = {"bag": 8, "boot": 9, "t-shirt": 0, "trouser": 1}
"""Four of Fashion-MNIST's classes whose outlines differ, by its numbers."""
COUNT = 1700
"""Scenes."""


def _drawn(packed: Path, count: int) -> Iterator[Scene]:
    need("PIL", extra="vision")
    from sklearn.datasets import load_sample_images

    from weitiao.models.assets.scenes import scenes

    shades_NHW, label_N = training_part(packed)
    shapes = {name: shades_NHW[label_N == number] for name, number in KINDS.items()}
    return scenes(shapes, load_sample_images().images, count)


def clothes_scenes(packed: Path, file: Path) -> None:
    """Scenes with exact boxes and masks, as COCO JSON; masks are COCO's run lengths, uncompressed.

    Args:
        packed: Debian's dataset-fashion-mnist.
        file: the JSON to write; the pictures lie in `pictures` beside it.

    Raises:
        WeitiaoError: `dataset_pack_unread`; `missing_extra`.
    """
    from PIL import Image

    from weitiao.models.assets.scenes import SIDE

    folder = file.parent / "pictures"
    folder.mkdir(exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, scene in enumerate(_drawn(packed, COUNT), start=1):
        name = f"{number:05}.png"
        Image.fromarray(scene.picture_HW3).save(folder / name)
        images.append({"id": number, "file_name": f"pictures/{name}", "width": SIDE, "height": SIDE})
        for thing in scene.things:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": list(KINDS).index(thing.label) + 1,
                    "bbox": thing.box,
                    "area": int(thing.mask_HW.sum()),
                    "iscrowd": 0,
                    "segmentation": {"size": [SIDE, SIDE], "counts": _runs(thing.mask_HW)},
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(KINDS, start=1)]
    whole = {"images": images, "annotations": annotations, "categories": categories}
    file.write_text(json.dumps(whole), encoding="utf-8")


def _runs(mask_HW: Any) -> list[int]:
    """Lengths of runs down the columns, first of what is not in the mask."""
    import numpy as np

    flat = np.concatenate([[False], mask_HW.ravel(order="F")])
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1)
    return np.diff(ends, prepend=0).tolist()
