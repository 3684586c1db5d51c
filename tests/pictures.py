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
FAMILIES = ("vit", "resnet", "convnext", "swin")


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


def _temporary(prefix: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _files(count: int) -> Path:
    return class_folders(_temporary("pictures-"), count)


def pictured(count: int) -> list[dict[str, Any]]:
    """Rows of such pictures, in whose files they lie."""
    rows = []
    for path in sorted(_files(count).rglob("*.png"), key=lambda path: path.stem):
        rows.append({"image": str(path), **looked(str(path)).columns(), "label": path.parent.name})
    return rows


@cache
def toy(family: str) -> str:
    """The folder of a toy of a family, with its processor, of 16 x 16 pictures."""
    import torch
    import transformers as T

    small, sizes = {"height": 16, "width": 16}, {"hidden_sizes": [8, 16], "depths": [1, 1]}
    if family == "vit":
        layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        config = T.ViTConfig(hidden_size=16, image_size=16, patch_size=4, **layers)
        processor = T.ViTImageProcessorPil(size=small)
    elif family == "resnet":
        config = T.ResNetConfig(embedding_size=8, layer_type="basic", **sizes)
        processor = T.BitImageProcessorPil(size={"shortest_edge": 16}, crop_size=small)
    elif family == "convnext":
        config = T.ConvNextConfig(num_stages=2, patch_size=2, **sizes)
        processor = T.ConvNextImageProcessorPil(size={"shortest_edge": 16})
    else:
        windows = {"patch_size": 2, "window_size": 4, "num_heads": [2, 2], "drop_path_rate": 0.0}
        config = T.SwinConfig(image_size=16, embed_dim=8, depths=[1, 1], **windows)
        processor = T.ViTImageProcessorPil(size=small)
    folder = _temporary("families-")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = T.AutoModelForImageClassification.from_config(config)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):  # of a model that has seen something
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)
