"""Both sides of an encoder-decoder end to end: what is read in one sequence, what is written in another.

    [a | b], [x | y]  ->  said(model, read_1S, written_1T, read=[0, 7, 11], written=[0, 4, 11])

Attention stays inside each row (`models.attention`): what is read by itself, what is written by itself, and what is
written sees the row that was read for it.  Positions start again at each row, where the model takes them from outside.
A bias by distance (T5's) is made for the longest row instead of for the whole sequence.  Nothing here knows a family:
a model whose code goes another way says something else, and is measured to (`models.examine`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from weitiao.core.contracts import BOUNDS, SEEN_BOUNDS
from weitiao.models import inputs
from weitiao.models.positions import places


def said(model: Any, read_1S: Tensor, written_1T: Tensor, *, read: Tensor, written: Tensor) -> Any:
    """What the model says to rows end to end; its `logits` are (1, T, V).

    Args:
        model: an encoder-decoder with attention `models.attention.ROWS`.
        read_1S: ids of the rows that are read.
        written_1T: ids that the decoder reads, one step behind what is to be written.
        read: where rows of `read_1S` begin and the last one ends, (rows + 1,), on the CPU.
        written: the same of `written_1T`.
    """
    encoder, decoder = model.get_encoder(), model.get_decoder()
    # A method may put vectors before the rows that are read (`methods.vectors`), so where they lie is known behind it.
    lie: dict[nn.Module, Tensor] = {decoder: written}

    def before_reading(module: nn.Module, args: Any, words: dict[str, Any]) -> Any:
        return (), inputs.named(module, args, words) | _placed(module, read, read_1S.device) | {BOUNDS: read}

    def reading(module: nn.Module, args: Any, words: dict[str, Any]) -> None:
        lie[encoder] = words[BOUNDS]

    def before_writing(module: nn.Module, args: Any, words: dict[str, Any]) -> Any:
        own = _placed(module, written, written_1T.device)
        return (), inputs.named(module, args, words) | own | {BOUNDS: written, SEEN_BOUNDS: lie[encoder]}

    hooks = [
        encoder.register_forward_pre_hook(before_reading, with_kwargs=True, prepend=True),
        encoder.register_forward_pre_hook(reading, with_kwargs=True),
        decoder.register_forward_pre_hook(before_writing, with_kwargs=True, prepend=True),
    ]
    for stack in (encoder, decoder):
        hooks += _positions(stack, lie)
        _short_biases(stack)
    try:
        return model(input_ids=read_1S, decoder_input_ids=written_1T, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()


def counted(bounds: Tensor) -> Tensor:
    """Places of tokens in their rows, each from 0 on (T,)."""
    return torch.arange(int(bounds[-1])) - bounds[:-1].repeat_interleave(bounds.diff())


def _placed(stack: Any, bounds: Tensor, device: torch.device) -> dict[str, Any]:
    """Positions of a stack that takes them."""
    if not inputs.takes(stack, "position_ids"):
        return {}
    # RoBERTa's rows of positions begin behind that of the padding.
    first = stack.config.pad_token_id + 1 if places(stack.config).counted else 0
    return {"position_ids": (counted(bounds) + first)[None].to(device, non_blocking=True)}


def _positions(stack: nn.Module, lie: dict[nn.Module, Tensor]) -> list[Any]:
    """Hooks on the tables of positions of a stack that takes none."""
    if inputs.takes(stack, "position_ids"):
        return []

    def look_up(module: nn.Module, args: Any, words: dict[str, Any]) -> Any:
        # (T,), as the decoders of these families give them.
        own = counted(lie[stack]).to(next(module.parameters()).device, non_blocking=True)
        return (), inputs.named(module, args, words) | {"position_ids": own}

    tables = [module for module in stack.modules() if inputs.takes(module, "position_ids")]
    return [table.register_forward_pre_hook(look_up, with_kwargs=True) for table in tables]


def _short_biases(stack: nn.Module) -> None:
    """Hooks that stay, for blocks that are computed again in backward; without bounds they do nothing."""
    for module in stack.modules():
        makes = hasattr(module, "compute_bias") and inputs.takes(module, "position_bias")
        if makes and _short_bias not in module._forward_pre_hooks.values():
            module.register_forward_pre_hook(_short_bias, with_kwargs=True)


def _short_bias(module: Any, args: Any, words: dict[str, Any]) -> Any:
    """A bias by distance is the same for every row: one for the longest is enough.  Modules without any would make zeros
    for all pairs of the whole sequence."""
    bounds = inputs.bounds(words)
    if bounds is None or words.get("position_bias") is not None:
        return None
    longest = int(bounds.diff().max())
    has = getattr(module, "has_relative_attention_bias", False)
    weight = next(module.parameters())
    bias = module.compute_bias(longest, longest) if has else weight.new_zeros(1, 1, 1, 1)
    return args, {**words, "position_bias": bias}
