"""Toy pipelines of diffusers, and pictures that a toy can learn to draw.

saved(tmp_path_factory, "class")  ->  a folder of a UNet that is told classes;   captioned(10)  ->  rows
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pictures import pictured

UNET: dict[str, Any] = {
    "sample_size": 16,
    "layers_per_block": 1,
    "block_out_channels": (8, 16),
    "norm_num_groups": 4,
    "attention_head_dim": 8,
}
KINDS = ("class", "plain", "velocity", "sample", "flow", "prompt", "dit")


def scheduler(kind: str) -> Any:
    from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler

    if kind == "flow":
        return FlowMatchEulerDiscreteScheduler()
    predicts = {"velocity": "v_prediction", "sample": "sample"}.get(kind, "epsilon")
    return DDPMScheduler(num_train_timesteps=100, prediction_type=predicts)


def unet(*, classes: int | None = None) -> Any:
    from diffusers import UNet2DModel

    downs, ups = ("DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D")
    return UNet2DModel(
        in_channels=3,
        out_channels=3,
        down_block_types=downs,
        up_block_types=ups,
        num_class_embeds=classes,
        **UNET,
    )


def pipeline(kind: str, folder: Path) -> Any:
    from diffusers import DDPMPipeline, DiTPipeline

    torch.manual_seed(0)
    if kind == "prompt":
        return _of_prompts(folder)
    if kind == "dit":
        from diffusers import DiTTransformer2DModel

        body = DiTTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=8,
            num_layers=2,
            norm_num_groups=4,
            sample_size=8,
            num_embeds_ada_norm=2,
            patch_size=2,
        )
        with torch.no_grad():
            for weight in body.parameters():
                weight.add_(0.05 * torch.randn_like(weight))
        return DiTPipeline(body, _vae(), scheduler(kind), id2label={0: "bright", 1: "dark"})
    return DDPMPipeline(unet(classes=2 if kind in ("class", "velocity") else None), scheduler(kind))


def _vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        layers_per_block=1,
    )


def _of_prompts(folder: Path) -> Any:
    import json

    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [chr(code) for code in range(97, 123)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    reads = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=0,
        eos_token_id=1,
    )
    body = UNet2DConditionModel(
        in_channels=4,
        out_channels=4,
        cross_attention_dim=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **{**UNET, "sample_size": 8},
    )
    parts: dict[str, Any] = {"vae": _vae(), "text_encoder": CLIPTextModel(config), "tokenizer": reads}
    return StableDiffusionPipeline(
        unet=body,
        scheduler=scheduler("prompt"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **parts,
    )


@cache
def saved(kind: str, home: Path) -> str:
    """A toy's folder below `home`."""
    folder = home / kind
    pipeline(kind, home / f"{kind}-words").save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def denoiser(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A pipeline of diffusers that is told classes; test files that ask for it by its name import it."""
    return saved("class", tmp_path_factory.mktemp("pipelines"))


def captioned(count: int) -> list[dict[str, Any]]:
    """Rows of bright and of dark pictures, told so."""
    return [{**row, "text": row["label"]} for row in pictured(count)]
