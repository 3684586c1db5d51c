"""A model in float32 for a while: in half of that, rounding alone would leave a gap of some per cent in an integral.

    with full_precision(model) as whole: ...      whole: is all of it float32 now?

Back again every weight is what it was: what half precision holds, float32 holds exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch

HALVES = (torch.bfloat16, torch.float16)


@contextmanager
def full_precision(model: Any) -> Iterator[bool]:
    """Weights in float32, unless some are packed in whole numbers (4 bits): what multiplies these chooses by itself."""
    weights = [*chain(model.parameters(), model.buffers())]
    if any(not weight.is_floating_point() for weight in model.parameters()):
        yield False
        return
    before = [(weight, weight.dtype) for weight in weights if weight.dtype in HALVES]
    try:
        for weight, _ in before:
            weight.data = weight.data.float()
        yield True
    finally:
        for weight, dtype in before:
            weight.data = weight.data.to(dtype)
