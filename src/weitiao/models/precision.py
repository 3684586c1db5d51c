"""In which precision products are computed: float32, or half of it by autocast.

autocast("cuda:0", "bfloat16")  ->  a context;  None stays in float32
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import torch

Half: TypeAlias = Literal["bfloat16", "float16"]
Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
"""What weights are stored in."""


def autocast(device: str, half: Half | None) -> torch.autocast:
    """Products in `half` on that device; weights, norms, softmax and losses stay in float32."""
    import torch

    kind = device.partition(":")[0]
    return torch.autocast(kind, getattr(torch, half or "bfloat16"), enabled=half is not None)
