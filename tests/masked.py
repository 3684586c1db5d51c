"""Toy models that outline things, of the families of Transformers, and pictures with masks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.boxed import boxed
from weitiao.data.pictures.masks import placed, written

LABELS = ("cat", "dog", "ground")


def masked(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Pictures of noise with up to three bright things on the ground, as the data check leaves them; some pixels of the upper
    left corner are nothing that is known."""
    made = []
    for number, row in enumerate(boxed(rows, seed=1000 + seed)):
        mask_HW = np.full((row["height"], row["width"]), LABELS.index("ground"))
        for one in row["objects"]:
            x, y, w, h = map(int, one["box"])
            mask_HW[y : y + h, x : x + w] = LABELS.index(one["label"])
        mask_HW[: 1 + number % 3, :5] = -1
        kept = {name: value for name, value in row.items() if name != "objects"}
        made.append({**kept, "mask": written(mask_HW, LABELS)})
    return made


def mask_folders(folder: Path, count: int) -> Path:
    """The same as files: images, masks of values (255: nothing is known), and the names of the values."""
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for number, row in enumerate(masked(count)):
        Image.open(row["image"]).save(folder / "images" / f"{number:02}.png")
        index_HW = placed(row["mask"], LABELS)
        value = np.where(index_HW < 0, 255, index_HW).astype(np.uint8)
        Image.fromarray(value).save(folder / "masks" / f"{number:02}.png")
    (folder / "classes.txt").write_text("\n".join(LABELS))
    return folder


def segmenter(family: str, *, labels: int = 3) -> Any:
    """A toy with drawn weights."""
    import transformers as t

    torch.manual_seed(0)
    wide = {
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "image_size": 32,
        "patch_size": 16,
        "num_labels": labels,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    if family == "segformer":
        return t.SegformerForSemanticSegmentation(
            t.SegformerConfig(
                depths=[1, 2, 1, 1],
                hidden_sizes=[16, 16, 32, 32],
                num_attention_heads=[1, 1, 2, 2],
                decoder_hidden_size=16,
                num_labels=labels,
                drop_path_rate=0.0,
                classifier_dropout_prob=0.0,
            )
        )
    if family == "upernet":
        below = t.ConvNextConfig(
            hidden_sizes=[8, 8, 16, 16],
            depths=[1, 1, 1, 1],
            out_features=["stage1", "stage2", "stage3", "stage4"],
        )
        return t.UperNetForSemanticSegmentation(
            t.UperNetConfig(
                backbone_config=below,
                hidden_size=16,
                auxiliary_channels=8,
                auxiliary_in_channels=16,
                pool_scales=[1, 2],
                num_labels=labels,
            )
        )
    if family in ("beit", "data2vec"):
        kind, config = {
            "beit": (t.BeitForSemanticSegmentation, t.BeitConfig),
            "data2vec": (t.Data2VecVisionForSemanticSegmentation, t.Data2VecVisionConfig),
        }[family]
        own = {"out_indices": [1, 2, 3, 4], "auxiliary_channels": 8, "pool_scales": [1, 2]}
        return kind(config(**wide, **own, drop_path_rate=0.0, use_relative_position_bias=True))
    if family == "dpt":
        own = {
            "neck_hidden_sizes": [8, 8, 16, 16],
            "fusion_hidden_size": 16,
            "backbone_out_indices": [0, 1, 2, 3],
            "semantic_classifier_dropout": 0.0,
        }
        return t.DPTForSemanticSegmentation(t.DPTConfig(**wide, **own, is_hybrid=False))
    if family == "mobilenet":
        return t.MobileNetV2ForSemanticSegmentation(
            t.MobileNetV2Config(
                depth_multiplier=0.25,
                min_depth=8,
                image_size=32,
                num_labels=labels,
                classifier_dropout_prob=0.0,
                output_stride=16,
            )
        )
    small = {
        "image_size": 32,
        "num_labels": labels,
        "classifier_dropout_prob": 0.0,
        "aspp_dropout_prob": 0.0,
        "output_stride": 16,
        "atrous_rates": [1, 2, 3],
    }
    if family == "mobilevit":
        own = {"hidden_sizes": [16, 16, 16], "neck_hidden_sizes": [8, 8, 8, 16, 16, 16, 16]}
        return t.MobileViTForSemanticSegmentation(
            t.MobileViTConfig(**small, **own, aspp_out_channels=16, num_attention_heads=2)
        )
    return t.MobileViTV2ForSemanticSegmentation(
        t.MobileViTV2Config(**small, width_multiplier=0.25, aspp_out_channels=16)
    )


FAMILIES = ("segformer", "upernet", "beit", "data2vec", "dpt", "mobilenet", "mobilevit", "mobilevitv2")


def processor(family: str) -> Any:
    """What makes pictures ready for it."""
    import transformers as t

    square = {"height": 32, "width": 32}
    if family in ("segformer", "upernet"):
        return t.SegformerImageProcessorPil(size=square)
    if family in ("beit", "data2vec"):
        return t.BeitImageProcessorPil(size=square, do_center_crop=False)
    if family == "dpt":
        return t.DPTImageProcessorPil(size=square)
    if family == "mobilenet":
        return t.MobileNetV2ImageProcessorPil(size={"shortest_edge": 36}, crop_size=square)
    return t.MobileViTImageProcessorPil(size={"shortest_edge": 36}, crop_size=square)


def saved(family: str, folder: Path) -> Path:
    """Model and processor in a folder."""
    segmenter(family).save_pretrained(folder)
    processor(family).save_pretrained(folder)
    return folder
