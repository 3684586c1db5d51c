"""NEFTune (Jain et al. 2023, arXiv 2310.05914): noise on the word embeddings, in training only.

    embedding + alpha / sqrt(L * d) * u          u uniform on (-1, 1), L tokens of the row, d width

L is the row's own number of tokens, as in the code of the paper: padding neither counts nor gets noise, and packed
rows are rows of their own.  (Transformers takes the padded length for L.)  An encoder-decoder gets noise where its
encoder reads; vectors that a method puts before a row get none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from weitiao.models import inputs
from weitiao.train.loop import Training, Watcher


class Neftune(Watcher):
    """Makes the noise while the loop runs; chance is torch's, which the loop seeds for every micro-batch."""

    def __init__(self, alpha: float):
        self.alpha = alpha

    @contextmanager
    def around(self, training: Training) -> Iterator[None]:
        """Two hooks: one reads the lengths of the rows that are about to be embedded, the other adds the noise."""
        body = inputs.text_model(training.model)
        embedding = inputs.embeddings(body)
        scales: list[Tensor] = []  # of the pass that is under way

        def read(body: nn.Module, args: Any, words: dict[str, Any]) -> None:
            words = inputs.named(body, args, words)
            scales[:] = [] if words.get("input_ids") is None else [self.scale(words)]

        def forget(*_: Any) -> None:
            scales.clear()

        def add(embedding: nn.Module, args: Any, rows_BTD: Tensor) -> Tensor | None:
            if not (embedding.training and scales):
                return None
            noise_BTD = torch.empty_like(rows_BTD).uniform_(-1, 1)
            scale_BT1 = scales[0] / rows_BTD.shape[-1] ** 0.5
            return rows_BTD + noise_BTD * scale_BT1.to(rows_BTD.dtype)

        # First of all hooks: a method's may ask the embedding itself, and change the lengths.
        handles = [
            body.register_forward_pre_hook(read, with_kwargs=True, prepend=True),
            body.register_forward_hook(forget, always_call=True),
            embedding.register_forward_hook(add),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def scale(self, words: dict[str, Any]) -> Tensor:
        """alpha / sqrt(L) of each token's row (B, T, 1), 0 where there is padding."""
        ids, mask, bounds = words["input_ids"], words.get("attention_mask"), inputs.bounds(words)
        if bounds is not None:
            sizes = bounds[1:] - bounds[:-1]
            # On the CPU, where the bounds lie: how many there are need not be asked of a device.
            lengths_BT = sizes.repeat_interleave(sizes)[None].to(ids.device, non_blocking=True)
            return self.alpha * lengths_BT.to(torch.float32).rsqrt()[..., None]
        real_BT = torch.ones_like(ids) if mask is None or mask.ndim != 2 else mask
        lengths_B1 = real_BT.sum(1, keepdim=True).to(torch.float32)
        return (self.alpha * real_BT * lengths_B1.rsqrt())[..., None]
