"""Training pictures mixed in pairs: all of two laid over each other, or a window of one in the other.

    MixUp    x = s x1 + (1 - s) x2                                    Zhang et al. 2018, arXiv 1710.09412
    CutMix   x = x1 outside of a window, x2 in it; s = share outside  Yun et al. 2019, arXiv 1905.04899
    loss     s loss(y1) + (1 - s) loss(y2),  s of Beta(alpha, alpha)

Chance comes of seed, epoch and row alone (`Example.chance`), and the other picture is any training row (`Example.beside`): so a
batch that is cut in any way has one gradient.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def mixed(
    own_CHW: Tensor, other_CHW: Tensor, *, mixup: float, cutmix: float, rng: Random
) -> tuple[Tensor, float]:
    """The mixed picture, and what share of it is the first one's.

    Args:
        own_CHW: as the model gets it.
        other_CHW: of the same size.
        mixup: alpha of MixUp; 0: never.
        cutmix: alpha of CutMix; 0: never.  With both each has its turn half of the time.
        rng: of the row.
    """
    cuts = cutmix > 0 and (not mixup or rng.random() < 0.5)
    alpha = cutmix if cuts else mixup
    share = rng.betavariate(alpha, alpha)
    if not cuts:
        return own_CHW * share + other_CHW * (1 - share), share
    height, width = own_CHW.shape[1:]
    side = (1 - share) ** 0.5
    # The window's middle is anywhere, so what lies outside of the picture is cut off: the share is what is left.
    top, bottom = _ends(rng.uniform(0, height), side * height, height)
    left, right = _ends(rng.uniform(0, width), side * width, width)
    found = own_CHW.clone()
    found[:, top:bottom, left:right] = other_CHW[:, top:bottom, left:right]
    return found, 1 - (bottom - top) * (right - left) / (height * width)


def _ends(middle: float, length: float, most: int) -> tuple[int, int]:
    return max(0, round(middle - length / 2)), min(most, round(middle + length / 2))
