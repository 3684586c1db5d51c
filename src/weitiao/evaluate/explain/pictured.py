"""Where in a picture a number comes from: Grad-CAM, or integrated gradients of the pixels, and what becomes of it without a part.

    Grad-CAM                w_C = mean over H, W of  dy / dA_CHW;   heat_HW = ReLU(sum over C of w_C A_CHW)
                            Selvaraju et al. 2017, arXiv 1610.02391; A is the last map of features before it is pooled
    integrated gradients    as of words (`attribute.py`), with pixels for tokens and their channels for a vector, summed over cells
    without a part          y(x) - y(x, the part in the colour of the baseline): each cell, and the most and the least marked quarter of
                            them (Samek et al. 2017, arXiv 1509.06321)

A model whose last features are rows of tokens (ViT, Swin) has no such map, and one of few cells says too little: their pixels are asked.

    N pictures at once, C channels, H height, W width
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ACROSS = 7
"""Cells that a side is cut into, at most."""
FEWEST = 4
"""Of a map with fewer cells across a heat map would say little."""
QUARTER = 0.25
"""Of the cells: so many that are marked most are left out together, and so many that are marked least."""
PROBE = 256
"""Pixels of the longer side of a picture that a processor is tried with."""
AT_ONCE = 1 << 16
"""Pixels in a pass."""


def last_map(model: nn.Module, ask: Callable[[], Any]) -> str:
    """The module that gives the last features in two dimensions, (1, C, H, W); empty where tokens come behind it, or it has few cells.

    Args:
        model: in evaluation mode.
        ask: sends one picture through it.
    """
    found, size = "", (0, 0)

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            nonlocal found, size
            first = output[0] if isinstance(output, tuple) and output else output
            if not isinstance(first, Tensor):
                return
            if first.dim() == 4 and min(first.shape[2:]) > 1:
                found, size = name, (first.shape[2], first.shape[3])
            elif first.dim() == 3 and first.shape[1] > 1:
                found, size = "", (0, 0)

        return hook

    with _hooked({module: note(name) for name, module in model.named_modules() if name}), torch.no_grad():
        ask()
    return found if min(size) >= FEWEST else ""


def grad_cam(model: nn.Module, layer: str, ask: Callable[[], Tensor]) -> np.ndarray:
    """The heat of each cell of a layer's map (H, W), never below 0.

    Args:
        model: in evaluation mode.
        layer: `last_map`'s.
        ask: sends one picture through it and gives the number, (1,).
    """
    held: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Any) -> Any:
        first = output[0] if isinstance(output, tuple) else output
        # A leaf of its own: no weight needs a gradient for it, frozen or not.
        leaf = first.detach().requires_grad_()
        held.append(leaf)
        return (leaf, *output[1:]) if isinstance(output, tuple) else leaf

    with _hooked({model.get_submodule(layer): keep}), torch.enable_grad():
        said = ask().sum()
    (slope_1CHW,) = torch.autograd.grad(said, held[-1])
    weight_1C11 = slope_1CHW.mean((2, 3), keepdim=True)
    heat_HW = (weight_1C11 * held[-1]).sum(1)[0].relu()
    return heat_HW.detach().double().cpu().numpy()


def cells(size: tuple[int, int], grid: tuple[int, int]) -> np.ndarray:
    """Which cell of a grid each place of a picture of that size belongs to, by row, (H, W) integers from 0.

    Args:
        size: height and width.
        grid: cells down and across.
    """
    row_H, column_W = (np.arange(side) * parts // side for side, parts in zip(size, grid, strict=True))
    cell_HW: np.ndarray = row_H[:, None] * grid[1] + column_W[None]
    return cell_HW


def in_cells(values_HW: np.ndarray, *, mean: bool) -> np.ndarray:
    """The sum of values in each cell, or their mean, (cells down, cells across)."""
    height, width = values_HW.shape
    grid = min(ACROSS, height), min(ACROSS, width)
    cell_N = cells((height, width), grid).ravel()
    sums = np.bincount(cell_N, weights=values_HW.ravel())
    return (sums / np.bincount(cell_N) if mean else sums).reshape(grid)


def without(
    score: Callable[[Tensor], Tensor],
    pixels_CHW: Tensor,
    blank_CHW: Tensor,
    parts_KGG: np.ndarray,
    *,
    value: float,
) -> np.ndarray:
    """By how much the number falls without each part, one at a time, (K,).

    Args:
        score: pictures (N, C, H, W) -> the number of each (N,).
        pixels_CHW: the picture.
        blank_CHW: what stands in the place of a part.
        parts_KGG: which cells of a grid each part holds, bool.
        value: the number of the picture.
    """
    count, down, across = parts_KGG.shape
    height, width = pixels_CHW.shape[1:]
    cell_HW = cells((height, width), (down, across))
    at_once, found = max(1, AT_ONCE // (height * width)), list[float]()
    for start in range(0, count, at_once):
        some_NK = parts_KGG[start : start + at_once].reshape(-1, down * across)
        gone_NHW = torch.from_numpy(some_NK[:, cell_HW]).to(pixels_CHW.device)
        with torch.no_grad():
            found += (value - score(torch.where(gone_NHW[:, None], blank_CHW, pixels_CHW)).double()).tolist()
    return np.array(found)


def parts(shares_GG: np.ndarray) -> np.ndarray:
    """Each cell of a map alone, row by row, then the quarter of the cells with the largest shares and that with the smallest, (K, G, G)
    bool."""
    count = shares_GG.size
    order, quarter = np.argsort(-shares_GG.ravel(), kind="stable"), max(1, round(count * QUARTER))
    found = np.zeros((count + 2, count), dtype=bool)
    found[:count] = np.eye(count, dtype=bool)
    found[count, order[:quarter]] = True
    found[count + 1, order[-quarter:]] = True
    return found.reshape(count + 2, *shares_GG.shape)


def part_read(make: Callable[[Any], Tensor], size: tuple[int, int]) -> list[float]:
    """Which part of a picture a processor hands on, (left, top, right, bottom) in shares: it is given pictures that say where
    each of their points lies, so whatever it cuts, stretches or turns is seen.

    Args:
        make: an RGB picture -> what the model gets of it (C, H, W), each channel an affine function of one of the picture's.
        size: width and height of the picture.
    """
    from PIL import Image

    times = PROBE / max(size)
    width, height = (max(2, round(side * times)) for side in size)
    places = np.zeros((height, width, 3), dtype=np.uint8)
    places[..., 0] = np.round(np.linspace(0, 255, width))[None]
    places[..., 1] = np.round(np.linspace(0, 255, height))[:, None]
    black, white, said = (
        make(Image.fromarray(each)).double()
        for each in (np.zeros_like(places), np.full_like(places, 255), places)
    )
    share_CHW = (said - black) / (white - black)
    across_W, down_H = share_CHW[0].mean(0).clamp(0, 1), share_CHW[1].mean(1).clamp(0, 1)
    return [round(float(end), 4) for end in (across_W.min(), down_H.min(), across_W.max(), down_H.max())]


@contextmanager
def _hooked(hooks: dict[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
