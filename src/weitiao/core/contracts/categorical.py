"""The contract of tasks whose loss is over classes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from weitiao.core.contracts.rows import Batch
from weitiao.core.contracts.task import Task

if TYPE_CHECKING:
    from torch import Tensor, nn


class Categorical(Task):
    """A task in which each of N things (rows, or tokens) is one of C classes: its loss can be smoothed, and what two
    passes say of the same batch can be compared."""

    def follow(self, outputs: Sequence[str]) -> Task:
        """This task with its labels in the order in which a base has outputs of their names.

        Args:
            outputs: names of the base's outputs; none when it has no head of its own.
        """
        return self

    def refuses(self, key: str) -> str:
        """Nothing, as long as the settings leave the loss a cross-entropy."""
        return ""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """The loss summed, as every task's.

        Args:
            model: gives the scores.
            batch: the rows.
            label_smoothing: share of the target that is spread evenly over all classes.
        """

    @abstractmethod
    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """Scores (N, C) of all that is trained, float32."""

    @abstractmethod
    def losses(self, logits_NC: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """The loss of each thing (N,), times its weight, from its scores; `loss` is their sum."""
