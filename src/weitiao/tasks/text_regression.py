"""Text regression: a number for a text, or for a pair of texts.

    {"text": "Great film.", "label": 4.5}  ->  {"number": 4.2, "low": 3.1, "high": 5.3}

The model learns t = (y - mean) / spread, with mean and spread of the rows that train, and x = mean + spread * logit is
what it says, in the units of the file.  What plain Transformers gives is the logit.

    mse      (logit - t)^2
    huber    d^2 / 2 where d = |logit - t| <= delta, else delta * (d - delta / 2)      Huber 1964, Ann. Math. Stat. 35, 73-101
    low      x - q, high = x + q: q is the ceil((n + 1) coverage)-th smallest |y - x| of the n validation rows
             (split conformal prediction, Lei et al. 2018, arXiv 1604.04173)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Example, Record, Shape, Target, chosen_targets
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.data.shapes import NUMBERED
from weitiao.tasks.parts.texts import OfTexts

if TYPE_CHECKING:
    from torch import Tensor, nn


@register("task", "text_regression")
@dataclass(frozen=True)
class TextRegression(OfTexts):
    """Which number does a text carry?"""

    loss_type: Literal["mse", "huber"] = "mse"
    """What is made small: `mse`, or `huber`, which numbers that are far off pull at less."""
    huber_delta: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """From which distance on the Huber loss is a line, in `spread`s."""
    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """The share of new rows whose number shall lie between `low` and `high`."""
    mean: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """The number that is 0 to the model; default: the mean of the rows that train."""
    spread: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The difference that is 1 to the model; default: the standard deviation of the rows that train."""
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """How far `low` and `high` are from the number; default: chosen for `coverage` on the validation rows, when the model
    is trained."""

    summary: ClassVar[str] = "a number for a text (rating, price, similarity of a pair)"
    shape: ClassVar[Shape] = NUMBERED
    predicts: ClassVar[tuple[str, ...]] = ("number", "loss", "tokens")
    metrics: ClassVar[tuple[str, ...]] = ("mae", "rmse", "r2", "pearson", "spearman")
    baselines: ClassVar[tuple[str, ...]] = ("ridge", "mean")
    settles: ClassVar[bool] = True
    training_only: ClassVar[tuple[str, ...]] = (
        "loss_type",
        "huber_delta",
        "coverage",
        "mean",
        "spread",
        "margin",
    )

    def learn(self, records: Sequence[Record]) -> TextRegression:
        """Nothing: what can be learnt of numbers, the rows that train tell alone.

        Raises:
            WeitiaoError: `constant_target` where all numbers are equal.
        """
        _refuse_constant([record.values["label"] for record in records])
        return self

    def learn_training(self, examples: Sequence[Example], weights: Sequence[float] | None) -> TextRegression:
        """Mean and standard deviation of the numbers, each counted as often as it comes in an epoch.

        Raises:
            WeitiaoError: `constant_target` where all of these numbers are equal; `wide_target` where they are too far
                apart to have a standard deviation.
        """
        numbers = np.array([example.target for example in examples])
        _refuse_constant(numbers.tolist())
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(np.average(numbers, weights=weights))
            spread = math.sqrt(np.average((numbers - mean) ** 2, weights=weights))
        if not (math.isfinite(mean) and 0 < spread < math.inf):
            raise fault("wide_target", low=f"{numbers.min():g}", high=f"{numbers.max():g}")
        return replace(
            self,
            mean=mean if self.mean is None else self.mean,
            spread=spread if self.spread is None else self.spread,
        )

    def settle(self, examples: Sequence[Example], predictions: Sequence[Mapping[str, Any]]) -> TextRegression:
        """The margin, from how far the numbers of the validation rows were off; none where there are too few of them."""
        apart = sorted(
            abs(example.target - told["number"]) for example, told in zip(examples, predictions, strict=True)
        )
        place = math.ceil((len(apart) + 1) * self.coverage)
        return (
            self if self.margin is not None or place > len(apart) else replace(self, margin=apart[place - 1])
        )

    def unsettled(self) -> TextRegression:
        """Without a margin."""
        return replace(self, margin=None)

    def model_options(self) -> dict[str, Any]:
        """One output, which is a number."""
        return {"num_labels": 1, "problem_type": "regression"}

    def of_logits(self) -> str:
        """Into the units of the file."""
        mean, spread = self._units
        inputs = '**tokenizer("...", return_tensors="pt")'
        return f"# the model speaks in standard deviations from the mean\nnumber = {mean!r} + {spread!r} * model({inputs}).logits.item()"

    def answer_code(self) -> str:
        """In the units of the file."""
        mean, spread = self._units
        return f'return {{"number": {mean!r} + {spread!r} * float(said["logits"][0])}}'

    def goal(self, label: float) -> float:
        """The number as it stands in the file."""
        return label

    def stacked(self, targets: Sequence[float]) -> Tensor:
        """Standardised numbers (B,)."""
        import torch

        mean, spread = self._units
        return torch.from_numpy((np.asarray(targets, dtype=np.float64) - mean) / spread).float()

    @property
    def _units(self) -> tuple[float, float]:
        """What is 0, and what is 1 to the model; as in the file where no rows have told it yet."""
        return 0.0 if self.mean is None else self.mean, 1.0 if self.spread is None else self.spread

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """What `loss_type` says, summed over the rows."""
        return self._losses(self.logits(model, batch)[:, 0], batch.target).sum()

    def _losses(self, logits_B: Tensor, target_B: Tensor) -> Tensor:
        from torch.nn import functional as F

        if self.loss_type == "huber":
            return F.huber_loss(logits_B, target_B, delta=self.huber_delta, reduction="none")
        return F.mse_loss(logits_B, target_B, reduction="none")

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """The number, and between which it lies where that is known; the loss of a row whose number is known."""
        mean, spread = self._units
        logits_B = self.logits(model, batch)[:, 0].double()
        losses = [] if batch.target is None else self._losses(logits_B, batch.target.double()).tolist()
        found = []
        for place, number in enumerate((mean + spread * logits_B).tolist()):
            told = {"number": number}
            if self.margin is not None:
                told |= {"low": number - self.margin, "high": number + self.margin}
            found.append(told | ({"loss": losses[place], "tokens": 1} if losses else {}))
        return found

    def explains(
        self, record: Record, prediction: Mapping[str, Any], *, asked: Sequence[str] = ()
    ) -> list[Target]:
        """The number."""
        return chosen_targets([Target("number", "number")], asked)

    def target_scores(self, model: nn.Module, batch: Batch, target: Target) -> Tensor:
        """The number of each row (B,), in the units of the file."""
        mean, spread = self._units
        return mean + spread * self.logits(model, batch)[:, 0]

    def reference(self, record: Record) -> dict[str, Any]:
        """Text, or both, and true number."""
        return {**self.shape.texts(record.values), "number": record.values["label"]}

    def expected(self, example: Example) -> dict[str, Any]:
        """The true number."""
        return {"number": example.target}


def _refuse_constant(numbers: Sequence[float]) -> None:
    if len(numbers) and min(numbers) == max(numbers):
        raise fault("constant_target", number=f"{numbers[0]:g}", rows=len(numbers))
