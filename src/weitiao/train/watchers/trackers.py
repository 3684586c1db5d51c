"""Curves for those who look at them elsewhere: TensorBoard, Weights & Biases, MLflow.

train/loss  train/learning_rate  train/grad_norm  train/tokens_per_s  validation/<metric>          by optimiser step

All of it lies in the run folder, and nothing leaves the machine: Weights & Biases writes offline unless `WANDB_MODE`
says otherwise, and MLflow into a file of the run unless `MLFLOW_TRACKING_URI` names a server.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from weitiao.core.errors import need
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.train.loop import Training, Watcher


@dataclass
class Tracker(Watcher):
    """Opens a writer for as long as the loop runs, and hands it what every step and every validation gave."""

    run: RunFolder
    recipe: Recipe
    _writer: Any = field(default=None, init=False)

    @abstractmethod
    def open(self, *, step: int) -> Any:
        """The writer; `step` optimiser steps were taken before, and later ones that it may know are void."""

    @abstractmethod
    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of a step, by name."""

    @abstractmethod
    def close(self) -> None:
        """The end of the run, however it ends."""

    def around(self, training: Training) -> AbstractContextManager[Any] | None:
        """Open while the loop runs."""
        return self._open(training)

    @contextmanager
    def _open(self, training: Training) -> Iterator[None]:
        self._writer = self.open(step=training.state.step)
        try:
            yield
        finally:
            self.close()

    def on_start(self, training: Training) -> None:
        """What the validation rows said before the first step, if they were asked."""
        self._validation(training)

    def on_step(self, training: Training) -> None:
        """What the step did."""
        facts = training.facts
        speed = facts["tokens"] / facts["seconds"]
        found = {name: facts[name] for name in ("loss", "learning_rate", "grad_norm")}
        found |= {name: facts[name] for name in ("memory_mb", "gpu_memory_mb") if name in facts}
        named = {f"train/{name}": value for name, value in {**found, "tokens_per_s": speed}.items()}
        self.write(training.state.step, named)
        self._validation(training)

    def _validation(self, training: Training) -> None:
        if training.metrics:
            named = {f"validation/{name}": value for name, value in training.metrics.items()}
            self.write(training.state.step, named)


class TensorBoard(Tracker):
    """`tensorboard --logdir runs` shows every run by its name."""

    def open(self, *, step: int) -> Any:
        """A writer into `tensorboard/`; what a lost process wrote of later steps is hidden."""
        need("tensorboard", extra="tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(str(self.run.path / "tensorboard"), purge_step=step + 1)
        writer.add_text("recipe", f"```yaml\n{self.recipe.to_yaml()}```", step)
        return writer

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """One scalar a name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what waits."""
        self._writer.close()


class WeightsAndBiases(Tracker):
    """A run of the project `weitiao` (or `WANDB_PROJECT`), offline unless `WANDB_MODE` says otherwise."""

    def open(self, *, step: int) -> Any:
        """A run that goes on under the same id when ours does."""
        wandb = need("wandb", extra="wandb")
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", "weitiao"),
            name=self.run.path.name,
            id=_id(self.run),
            dir=str(self.run.path),
            config=self.recipe.model_dump(mode="json"),
            mode=os.environ.get("WANDB_MODE", "offline"),
            resume="allow",
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """All of them at once."""
        self._writer.log(dict(values), step=step)

    def close(self) -> None:
        """Write what waits."""
        self._writer.finish()


class MLflow(Tracker):
    """A run of the experiment `weitiao`, in `mlflow.db` of the run folder or on the server of `MLFLOW_TRACKING_URI`."""

    def open(self, *, step: int) -> Any:
        """A client, and a new run; the recipe's keys are its parameters."""
        mlflow = need("mlflow", extra="mlflow")
        if "MLFLOW_TRACKING_URI" not in os.environ:
            mlflow.set_tracking_uri(f"sqlite:///{(self.run.path / 'mlflow.db').resolve()}")
        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "weitiao"))
        mlflow.start_run(run_name=self.run.path.name)
        mlflow.log_params(dict(_flat(self.recipe.model_dump(mode="json"))))
        return mlflow

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """All of them at once."""
        self._writer.log_metrics(dict(values), step=step)

    def close(self) -> None:
        """The run is over."""
        self._writer.end_run()


TRACKERS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mlflow": MLflow}


def _id(run: RunFolder) -> str:
    import hashlib

    return hashlib.sha256(str(run.path.resolve()).encode()).hexdigest()[:12]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
