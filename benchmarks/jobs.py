"""The jobs, what every system is told about them, and the systems.

`JOBS[name]` is all that ours and the peers have in common: one place, so that no side can drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

SEED = 0
LORA: Mapping[str, Any] = {"name": "lora", "r": 16, "lora_alpha": 32, "target_modules": "all-linear"}


@dataclass(frozen=True)
class Job:
    """One job, the same for all systems."""

    kind: Literal["reviews", "chat"]
    """Texts with labels, or instructions with answers."""
    model: str
    """Embedded model, by weitiao's name."""
    data: str
    """Embedded data set."""
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
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "weitiao": {},
    "hf": {},
    "hf-grouped": {"train_sampling_strategy": "group_by_length"},
    "hf-best": {"train_sampling_strategy": "group_by_length", "bf16": True},
    "trl": {"max_length": JOBS["chat"].max_length},
    "trl-best": {"padding_free": True, "max_length": None, "gradient_checkpointing": False},
}
"""What a system is told beside what all are told, in its own words."""
