"""Toy detectors of the families of Transformers, and pictures with boxes for them."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

LABELS = ("cat", "dog")
SIZES = ((40, 30), (24, 36), (40, 40), (60, 20))
"""Width and height of pictures, over and over."""


@cache
def boxed(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Pictures of noise with none to three bright things in boxes, as the data check leaves them."""
    from PIL import Image

    folder, rng, made = Path(tempfile.mkdtemp(prefix="boxed")), np.random.default_rng(seed), []
    for number in range(rows):
        width, height = SIZES[number % len(SIZES)]
        pixels = rng.integers(0, 120, (height, width, 3), dtype=np.uint8)
        objects = []
        for _ in range((3, 1, 0, 2)[number % 4]):
            x, y = int(rng.integers(0, width // 2)), int(rng.integers(0, height // 2))
            w, h = int(rng.integers(4, width // 2)), int(rng.integers(4, height // 2))
            kind = int(rng.integers(2))
            pixels[y : y + h, x : x + w, kind] = 250
            objects.append({"label": LABELS[kind], "box": [float(side) for side in (x, y, w, h)]})
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        made.append(
            {
                "image": str(path),
                "sha256": f"{seed}-{number}",
                "phash": f"{number:016x}",
                "width": width,
                "height": height,
                "light": 0.25,
                "objects": objects,
            }
        )
    return made


def _resnet(kind: Any, *stages: int, **words: Any) -> Any:
    sizes = {
        "embedding_size": 8,
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
    }
    return kind(**sizes, out_features=[f"stage{stage}" for stage in stages], **words)


def detector(family: str) -> Any:
    """A toy with drawn weights."""
    import transformers as t

    small = {
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_ffn_dim": 16,
        "decoder_ffn_dim": 16,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "num_queries": 7,
        "num_labels": 2,
        "dropout": 0.0,
        "auxiliary_loss": True,
    }
    small_rt = {
        "d_model": 16,
        "encoder_hidden_dim": 16,
        "encoder_in_channels": [8, 16, 16],
        "encoder_ffn_dim": 16,
        "decoder_in_channels": [16, 16, 16],
        "decoder_ffn_dim": 16,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "num_queries": 7,
        "num_labels": 2,
        "num_denoising": 0,
    }
    torch.manual_seed(0)
    if family in ("detr", "conditional"):
        kind, config = {
            "detr": (t.DetrForObjectDetection, t.DetrConfig),
            "conditional": (t.ConditionalDetrForObjectDetection, t.ConditionalDetrConfig),
        }[family]
        own = {"use_timm_backbone": False, "backbone": None, "backbone_config": _resnet(t.ResNetConfig, 4)}
        return kind(config(**small, **own))
    if family == "deformable":
        below = t.ConvNextConfig(
            hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=["stage2", "stage3", "stage4"]
        )
        own = {
            "use_timm_backbone": False,
            "backbone": None,
            "backbone_config": below,
            "num_feature_levels": 3,
        }
        # Its group normalisation has 32 groups.
        return t.DeformableDetrForObjectDetection(t.DeformableDetrConfig(**{**small, "d_model": 32}, **own))
    if family == "yolos":
        return t.YolosForObjectDetection(
            t.YolosConfig(
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=16,
                image_size=[48, 64],
                num_detection_tokens=7,
                num_labels=2,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        )
    if family == "d_fine":
        below = t.HGNetV2Config(
            hidden_sizes=[8, 16, 16, 16],
            depths=[1, 1, 1, 1],
            embedding_size=8,
            stem_channels=[3, 8, 8],
            stage_in_channels=[8, 8, 16, 16],
            stage_mid_channels=[8, 8, 8, 8],
            stage_out_channels=[8, 16, 16, 16],
            stage_num_blocks=[1, 1, 1, 1],
            stage_downsample=[False, True, True, True],
            stage_light_block=[False] * 4,
            stage_kernel_size=[3] * 4,
            stage_numb_of_layers=[2] * 4,
            out_features=["stage2", "stage3", "stage4"],
        )
        own = {**small_rt, "encoder_in_channels": [16, 16, 16]}
        return t.DFineForObjectDetection(t.DFineConfig(backbone_config=below, **own))
    below = _resnet(t.RTDetrResNetConfig, 2, 3, 4)
    return t.RTDetrForObjectDetection(t.RTDetrConfig(backbone_config=below, **small_rt))


FAMILIES = ("detr", "conditional", "deformable", "yolos", "rt_detr", "d_fine")


def processor(family: str) -> Any:
    """What makes pictures ready for it."""
    import transformers as t

    if family in ("rt_detr", "d_fine"):
        return t.RTDetrImageProcessorPil(size={"height": 64, "width": 64})
    if family == "yolos":
        return t.YolosImageProcessorPil(size={"height": 48, "width": 64})
    # Deformable DETR normalises groups of values, of which one pixel has none.
    short = 64 if family == "deformable" else 32
    return t.DetrImageProcessorPil(size={"shortest_edge": short, "longest_edge": 2 * short})


def saved(family: str, folder: Path) -> Path:
    """Model and processor in a folder."""
    detector(family).save_pretrained(folder)
    processor(family).save_pretrained(folder)
    return folder
