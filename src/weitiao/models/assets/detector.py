"""A detector to begin with where no pretrained one can be had: small enough to learn on a CPU, and drawn from a seed.

nothing  ->  rtdetr_small(_, folder)  ->  an RTDetrForObjectDetection of Transformers' own, with its processor
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIDE = 96
"""Pixels that a picture is brought to, each way."""
WIDTH = 64
"""Of everything behind the trunk."""
TRUNK = [32, 64, 128, 256]
"""Channels of the trunk by level, each half as wide and high as the one before."""


def rtdetr_small(packed: Path, folder: Path) -> None:
    """RT-DETR (Zhao et al. 2023, arXiv 2304.08069) at a small size, all weights drawn as Transformers draws them.

    Args:
        packed: nothing.
        folder: where the model is written.
    """
    import torch
    from transformers import (
        RTDetrConfig,
        RTDetrForObjectDetection,
        RTDetrImageProcessorPil,
        RTDetrResNetConfig,
    )

    levels: dict[str, Any] = {"out_indices": [2, 3, 4]}  # a word that Transformers' signature does not show
    trunk = RTDetrResNetConfig(
        embedding_size=TRUNK[0], hidden_sizes=TRUNK, depths=[1, 1, 1, 1], layer_type="basic", **levels
    )
    more: dict[str, Any] = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("ffn_dim", 2 * WIDTH), ("attention_heads", 4))
    }
    more["num_labels"] = 4
    config = RTDetrConfig(
        backbone_config=trunk,
        # What was never trained has no statistics that could be frozen.
        freeze_backbone_batch_norms=False,
        encoder_in_channels=TRUNK[1:],
        encoder_hidden_dim=WIDTH,
        decoder_in_channels=[WIDTH] * 3,
        d_model=WIDTH,
        decoder_layers=3,
        num_queries=12,
        num_denoising=20,
        hidden_expansion=0.5,
        **more,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        RTDetrForObjectDetection(config).save_pretrained(folder)
    RTDetrImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
