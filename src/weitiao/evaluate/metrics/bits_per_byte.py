"""Bits per byte: a likelihood that does not depend on how a tokenizer cuts texts.

loss in bits, summed / UTF-8 bytes of what is learnt
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


@register("metric", "bits_per_byte")
@dataclass(frozen=True)
class BitsPerByte(Summed):
    """Bits that the model needs for a byte of the text; models with other tokenizers can be set beside each other."""

    summary: ClassVar[str] = "bits for a byte of the learnt text"
    source: ClassVar[str] = "Gao et al. 2020, arXiv 2101.00027, section 3.1"
    needs: ClassVar[tuple[str, ...]] = ("loss", "bytes")
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    higher_is_better: ClassVar[bool] = False
    undefined: ClassVar[tuple[str, str]] = ("the loss is not a finite number", "损失不是有限数")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Summed loss, and bytes: (N, 2)."""
        return np.array([[told["loss"], told["bytes"]] for told in predictions], dtype=float).reshape(-1, 2)

    def value(self, sums_K: Any) -> Any:
        """Bits a byte."""
        found = ratio(sums_K[..., 0], sums_K[..., 1]) / np.log(2)
        return np.where(np.isfinite(found), found, np.nan)
