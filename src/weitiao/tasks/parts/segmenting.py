"""What a model that labels pixels is asked, and what its outputs say: the same for every family of Transformers.

    model, pixels       ->  asked(...)       ->  [Scored(logits (B, C, h, w), weight)], the second of an auxiliary head
    them, target_BHW    ->  summed(...)      ->  the loss of each picture (B,), summed over the pixels that are known
    logits, size        ->  labelled(...)    ->  the label of each pixel of a picture (H, W)

The loss is that of the models' own classes: logits are brought to the size of the target (bilinear), then cross-entropy of each
pixel; that of an auxiliary head counts `config.auxiliary_loss_weight`.  All of it goes picture by picture, so that the scores of
all classes at full size are in memory for one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

NOTHING = -100
"""The target of pixels of which nothing is known."""
AT_ONCE = 1 << 24
"""Scores of pixels that are in memory at once when a picture is labelled."""


class Scored(NamedTuple):
    """What one head says."""

    logits_BChw: Tensor
    weight: float
    """What its loss counts for."""


def asked(model: nn.Module, inputs: Mapping[str, Tensor], *, learning: bool) -> list[Scored]:
    """What the heads of a model say of pictures: that which answers first.

    Args:
        model: of Transformers' AutoModelForSemanticSegmentation.
        inputs: what it is called with.
        learning: ask the auxiliary head, too, which no answer needs.
    """
    heard: list[Tensor] = []
    head = getattr(model, "auxiliary_head", None) if learning else None
    handle = head.register_forward_hook(lambda _, __, said: heard.append(said)) if head is not None else None
    try:
        found = [Scored(model(**inputs).logits.float(), 1.0)]
    finally:
        if handle is not None:
            handle.remove()
    config: Any = model.config
    return found + [Scored(each.float(), config.auxiliary_loss_weight) for each in heard]


def summed(scored: Sequence[Scored], target_BHW: Tensor) -> Tensor:
    """The loss of each picture, summed over its known pixels (B,)."""
    import torch
    from torch.utils.checkpoint import checkpoint

    rows = [
        sum(
            one.weight
            * checkpoint(_of_one, one.logits_BChw[row], target, use_reentrant=False, preserve_rng_state=False)
            for one in scored
        )
        for row, target in enumerate(target_BHW)
    ]
    return torch.stack(rows)


def _of_one(logits_Chw: Tensor, target_HW: Tensor) -> Tensor:
    from torch.nn import functional as F

    logits_1CHW = F.interpolate(logits_Chw[None], size=target_HW.shape, mode="bilinear", align_corners=False)
    return F.cross_entropy(logits_1CHW, target_HW[None], ignore_index=NOTHING, reduction="sum")


def labelled(logits_Chw: Tensor, size: tuple[int, int]) -> Any:
    """The place of the label with the highest score at each pixel (H, W), as Transformers' processors find it: logits are brought
    to the size of the picture (bilinear) first.

    Args:
        logits_Chw: of one picture.
        size: its width and height.
    """
    import torch

    width, height = size
    down_Hh, across_Ww = (
        _between(*sides).to(logits_Chw) for sides in zip(logits_Chw.shape[1:], (height, width), strict=True)
    )
    wide_ChW = logits_Chw.detach() @ across_Ww.T
    step = max(1, AT_ONCE // (len(logits_Chw) * width))
    parts = [(rows_Sh @ wide_ChW).argmax(0) for rows_Sh in down_Hh.split(step)]
    return torch.cat(parts).cpu().numpy()


def _between(few: int, many: int) -> Tensor:
    """How much each of few points in a row has of each of many between them (many, few), as torch's bilinear interpolation."""
    import torch
    from torch.nn import functional as F

    found: Tensor = F.interpolate(torch.eye(few)[None], size=many, mode="linear", align_corners=False)[0].T
    return found
