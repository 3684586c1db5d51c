"""The jobs, what every system is told about them, and the systems.

`JOBS[name]` is all that ours and the peers have in common: one place, so that no side can drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Literal

SEED = 0
LORA: Mapping[str, Any] = {"name": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"}


@dataclass(frozen=True)
class Job:
    """One job, the same for all systems."""

    kind: Literal["reviews", "chat"]
    """Texts with labels, or instructions with answers."""
    model: str
    """Embedded model, by weitiao's name; or a shape of `made.py`."""
    data: str
    """Embedded data set, or "made"."""
    batch_size: int
    learning_rate: float
    max_length: int
    """Longest row in tokens; rows are chosen so that nobody has to cut."""
    train_rows: int
    """Every system meets every row once an epoch."""
    held_out_rows: int
    score: str
    """What the common judge measures."""
    method: Mapping[str, Any]
    """What trains, in weitiao's words."""
    trains: tuple[str, ...] = ()
    """The same in names of parameters, where some of the model's own train: those that begin so (empty: LoRA)."""
    epochs: int = 1
    warmup_steps: float = 0.06
    """Share of the steps; then linearly to 0."""
    weight_decay: float = 0.0


REVIEWS = Job("reviews", "minilm-l6", "film-reviews", 32, 5e-4, 256, 1_500, 2_000, "accuracy", LORA)
TOP_TWO = ("bert.encoder.layer.4.", "bert.encoder.layer.5.", "bert.pooler.", "classifier.")
JOBS = {
    "reviews": REVIEWS,
    "chat": Job("chat", "smollm2-135m", "alpaca-en", 4, 2e-4, 512, 48, 16, "loss", LORA),
    "full": replace(REVIEWS, learning_rate=1e-4, method={"name": "full"}, trains=("",)),
    "frozen-head": replace(
        REVIEWS, learning_rate=1e-2, method={"name": "head"}, trains=("classifier.",), epochs=10
    ),
    "frozen-top": replace(
        REVIEWS, learning_rate=2e-4, method={"name": "top_layers", "n": 2}, trains=TOP_TWO, epochs=10
    ),
}
_MADE = {"data": "made", "held_out_rows": 0}
GPU_JOBS = {
    "gpu-chat": replace(JOBS["chat"], model="smollm2", batch_size=16, train_rows=640, **_MADE),
    "gpu-reviews": replace(REVIEWS, model="minilm", batch_size=64, train_rows=6_400, **_MADE),
    "gpu-llama": replace(
        JOBS["chat"], model="llama-1b", batch_size=8, max_length=1024, train_rows=256, **_MADE
    ),
}
"""On a machine where nothing is fetched: random models of real shapes, made rows; nobody judges them."""
ALL = JOBS | GPU_JOBS
TINY = {"reviews": (96, 100), "chat": (8, 4)}
"""Kind -> rows (train, held out) to try the bench itself."""

SYSTEMS = {
    "reviews": {
        "weitiao": "weitiao",
        "hf": "HF Trainer, defaults",
        "hf-grouped": "HF Trainer, group_by_length",
        "hf-best": "HF Trainer, group_by_length, bf16",
    },
    "chat": {
        "weitiao": "weitiao",
        "trl": "TRL, defaults",
        "trl-best": "TRL, padding_free, no recomputation",
    },
}
"""Kind -> system -> its line in the table; ours first."""
GPU_SYSTEMS = {
    "reviews": {"weitiao": "weitiao", "hf-gpu": "HF Trainer, bf16, group_by_length, fused AdamW"},
    "chat": {
        "weitiao": "weitiao",
        "trl-gpu": "TRL, bf16, padding_free, no recomputation",
        "unsloth": "Unsloth, bf16, no recomputation",
    },
}
"""The same on a GPU: each at the best settings known."""
NEEDS = {
    "hf-gpu": ("peft", "accelerate"),
    "trl-gpu": ("trl", "peft", "datasets"),
    "unsloth": ("unsloth", "trl"),
}
"""System -> packages without which it is left out."""
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "weitiao": {},
    "hf": {},
    "hf-grouped": {"train_sampling_strategy": "group_by_length"},
    "hf-best": {"train_sampling_strategy": "group_by_length", "bf16": True},
    "trl": {"max_length": JOBS["chat"].max_length},
    "trl-best": {"padding_free": True, "max_length": None, "gradient_checkpointing": False},
    "hf-gpu": {"train_sampling_strategy": "group_by_length", "bf16": True, "optim": "adamw_torch_fused"},
    "trl-gpu": {
        "padding_free": True,
        "max_length": None,
        "gradient_checkpointing": False,
        "bf16": True,
        "optim": "adamw_torch_fused",
        "model_init_kwargs": {
            "dtype": "bfloat16",
            "attn_implementation": "flash_attention_2" if find_spec("flash_attn") else "sdpa",
        },
    },
    "unsloth": {
        "through": "unsloth",
        "max_length": None,
        "gradient_checkpointing": False,
        "bf16": True,
        "optim": "adamw_torch_fused",
    },
}
"""What a system is told beside what all are told, in its own words."""
