"""Numbers that a method begins with by chance: the same on every device.

drawn(fill, R, in, device="cuda")  ->  (R, in)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def drawn(fill: Callable[[Tensor], object], *shape: int, device: torch.device) -> Tensor:
    """What `fill` writes into an empty tensor on the CPU, whose generator the run's seed has set; then it is moved.

    Where the model has no numbers (`meta`) nothing is drawn.
    """
    if device.type == "meta":
        return torch.empty(shape, device=device)
    weight = torch.empty(shape, device="cpu")
    fill(weight)
    return weight.to(device)
