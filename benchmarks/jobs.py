"""The two jobs, what every system is told about them, and the systems.

`JOBS[name]` is all that ours and the peers have in common: one place, so that no side can drift.
"""

from __future__ import annotations

from dataclasses import dataclass

SEED = 0


@dataclass(frozen=True)
class Job:
    """One job, the same for all systems."""

    model: str
    """Embedded model, by weitiao's name."""
    data: str
    """Embedded data set."""
    batch_size: int
    learning_rate: float
    max_length: int
    """Longest row in tokens; rows are chosen so that nobody has to cut."""
    train_rows: int
    """One epoch over them, so every system meets every row once."""
    held_out_rows: int
    score: str
    """What the common judge measures."""
    warmup_steps: float = 0.06
    """Share of the steps; then linearly to 0."""
    weight_decay: float = 0.0
    r: int = 16
    lora_alpha: int = 32


JOBS = {
    "reviews": Job("minilm-l6", "film-reviews", 32, 5e-4, 256, 1_500, 2_000, "accuracy"),
    "chat": Job("smollm2-135m", "alpaca-en", 4, 2e-4, 512, 48, 16, "loss"),
}
TINY = {"reviews": (96, 100), "chat": (8, 4)}
"""Rows (train, held out) to try the bench itself."""

SYSTEMS = {
    "reviews": {
        "weitiao": "weitiao",
        "hf": "HF Trainer, defaults",
        "hf-best": "HF Trainer, group_by_length, bf16",
    },
    "chat": {
        "weitiao": "weitiao",
        "trl": "TRL, defaults",
        "trl-best": "TRL, padding_free, no recomputation",
    },
}
"""Job -> system -> its line in the table; ours first."""
