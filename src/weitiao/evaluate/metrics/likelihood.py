"""How well a model foresees text: loss a token, and perplexity.

loss = sum of the tokens' -log p / tokens        perplexity = exp(loss)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from weitiao.core.contracts import Summed, Told
from weitiao.core.registry import register
from weitiao.evaluate.arrays import ratio


class _Likelihood(Summed):
    """Sums of losses and tokens."""

    needs: ClassVar[tuple[str, ...]] = ("loss", "tokens")
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[tuple[str, str]] = ("the loss is not a finite number", "损失不是有限数")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Summed loss, and tokens: (N, 2)."""
        return np.array([[told["loss"], told["tokens"]] for told in predictions], dtype=float).reshape(-1, 2)


@register("metric", "loss")
@dataclass(frozen=True)
class Loss(_Likelihood):
    """Mean cross-entropy of the learnt tokens, in nats."""

    summary: ClassVar[str] = "mean cross-entropy of the learnt tokens"
    source: ClassVar[str] = "torch.nn.functional.cross_entropy"

    def value(self, sums_K: Any) -> Any:
        """Nats a token."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


@register("metric", "perplexity")
@dataclass(frozen=True)
class Perplexity(_Likelihood):
    """Among how many equally likely tokens the model hesitates: the exponential of the loss."""

    summary: ClassVar[str] = "exponential of the mean loss a token"
    source: ClassVar[str] = "Jelinek et al. 1977, J. Acoust. Soc. Am. 62, S63"

    def value(self, sums_K: Any) -> Any:
        """The exponential of the loss a token."""
        loss = ratio(sums_K[..., 0], sums_K[..., 1])
        # exp(710) overflows; a loss that is infinite already has no perplexity.
        return np.exp(np.minimum(np.where(np.isfinite(loss), loss, np.nan), 700.0))
