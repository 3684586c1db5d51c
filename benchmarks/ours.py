"""weitiao's side, through its own front door: `wt.train` with its defaults on all of the rows.

Nothing is split off, evaluated or checkpointed, as on the other side; what was tuned is saved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.jobs import SEED, Job
from benchmarks.worker import Clock, Trained


def recipe(job: Job, dealt: dict[str, Any], *, folder: Path) -> dict[str, Any]:
    """The keys of `wt.train` for one job."""
    return {
        "model": dealt["model"],
        "task": {"reviews": "text_classification", "chat": "sft"}[job.kind],
        "method": dict(job.method),
        "data": {
            "train": dealt["train"],
            "max_length": job.max_length,
            "overlong": "fail",
            "duplicates": "keep",
            "cache": False,  # every round encodes anew, as on the other side
            "split": {"validation": 0, "test": 0},
        },
        "train": {
            "num_train_epochs": job.epochs,
            "per_device_train_batch_size": job.batch_size,
            "learning_rate": job.learning_rate,
            "warmup_steps": job.warmup_steps,
            "weight_decay": job.weight_decay,
            "eval_strategy": "no",
            "save_strategy": "no",
            "load_best_model_at_end": False,
            "early_stopping_patience": None,
        },
        "seed": SEED,
        "output_dir": str(folder / "run"),
    }


def train(
    job: Job, dealt: dict[str, Any], *, folder: Path, clock: Clock, settings: Mapping[str, Any]
) -> Trained:
    """Any job; `settings` are further keys of the recipe."""
    import weitiao as wt

    class Ticks(wt.Watcher):
        """Hands the clock to the loop and keeps what each step did."""

        def __init__(self) -> None:
            self.facts: list[dict[str, Any]] = []

        def tell(self, event: str, **_: Any) -> None:
            if event == "training":  # before anything that belongs to it, such as a frozen trunk that is kept
                clock.tick()

        def on_step(self, training: wt.Training) -> None:
            clock.tick()
            self.facts.append(dict(training.facts))

    ticks = Ticks()
    wt.train(**recipe(job, dealt, folder=folder), **settings, watchers=[ticks], tell=ticks.tell)
    (folder / "run" / "model").rename(folder / "adapter")
    facts = ticks.facts
    return Trained(
        steps=len(facts),
        tokens=sum(row["tokens"] for row in facts),
        targets=sum(row["trained"] for row in facts),
        parameters=_trained_parameters(folder),
        loss=sum(row["loss"] for row in facts) / len(facts),
    )


reviews = chat = train


def _trained_parameters(folder: Path) -> int:
    return json.loads((folder / "adapter" / "weitiao.json").read_text(encoding="utf-8"))["trained"]
