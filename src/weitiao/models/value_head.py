"""A value head: what an answer is still worth, said at each of its tokens by the state that the token is predicted from.

put(model)             ->  names of its parameters; v = w h + b, 0 everywhere to begin with
values(model, states)  ->  what it says of them
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

NAME = "value_head"  # the attribute of a model


class ValueHead(nn.Module):
    """One number of a state, in float32 whatever the model computes in: returns are learnt to more than three digits."""

    def __init__(self, width: int, *, device: Any):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, device=device))
        self.bias = nn.Parameter(torch.zeros(1, device=device))

    def forward(self, states_ND: Tensor) -> Tensor:
        """Values (N,)."""
        # No product of matrices: autocast leaves it as it is.
        return (states_ND.float() * self.weight).sum(-1) + self.bias


def put(model: Any) -> frozenset[str]:
    """Put a value head beside a causal language model; the names of its parameters.

    Args:
        model: one with an output layer, whose states the head reads.
    """
    weight = model.get_output_embeddings().weight
    head = ValueHead(weight.shape[-1], device=weight.device)
    model.add_module(NAME, head)
    return frozenset(f"{NAME}.{name}" for name, _ in head.named_parameters())


def there(model: Any) -> bool:
    """Has a model a value head?  One that is only asked has none."""
    return isinstance(getattr(model, NAME, None), ValueHead)


def values(model: Any, states_ND: Tensor) -> Tensor:
    """What its value head says of states (N,)."""
    head: ValueHead = getattr(model, NAME)
    return head(states_ND)
