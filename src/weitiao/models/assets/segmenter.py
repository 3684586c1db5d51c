"""A segmenter to begin with where no pretrained one can be had: small enough to learn on a CPU, and drawn from a seed.

nothing  ->  upernet_small(_, folder)  ->  a UperNetForSemanticSegmentation of Transformers' own, with its processor
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIDE = 96
"""Pixels that a picture is brought to, each way."""
WIDTH = 64
"""Of everything behind the trunk."""
TRUNK = [32, 64, 128, 256]
"""Channels of the trunk by level, each half as wide and high as the one before; the first has a quarter of the sides."""
LABELS = 5
"""Outputs that it has until it meets labels of its own."""


def upernet_small(packed: Path, folder: Path) -> None:
    """UPerNet (Xiao et al. 2018, arXiv 1807.10221) on a small ResNet, all weights drawn as Transformers draws them.

    Args:
        packed: nothing.
        folder: where the model is written.
    """
    import torch
    from transformers import (
        ResNetConfig,
        SegformerImageProcessorPil,
        UperNetConfig,
        UperNetForSemanticSegmentation,
    )

    levels: dict[str, Any] = {
        "out_indices": [1, 2, 3, 4]
    }  # a word that Transformers' signature does not show
    trunk = ResNetConfig(
        embedding_size=TRUNK[0], hidden_sizes=TRUNK, depths=[1, 1, 1, 1], layer_type="basic", **levels
    )
    more: dict[str, Any] = {"num_labels": LABELS}
    config = UperNetConfig(backbone_config=trunk, hidden_size=WIDTH, use_auxiliary_head=False, **more)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        UperNetForSemanticSegmentation(config).save_pretrained(folder)
    SegformerImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
