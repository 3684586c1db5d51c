"""How far words see, and from which length on rows are read otherwise: made short while a model is examined.

    with shortened(model, to=4, longest=8192) as bend: ...     bend = 4096: what the rope's factors of long rows begin behind

The rows of the examination are a few words long, shorter than any real window; with real windows it would see nothing
of what they do.  So it is with LongRoPE: one factor for all rows of a pass, by the longest of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

WINDOW = 3
"""How far back words see while a model with a window is examined."""
WINDOWS = ("sliding_window", "attention_chunk_size")
KEPT = "keep_window_size"
"""A window that layers keep themselves (Doge's)."""
BEND = "original_max_position_embeddings"
"""Behind this length a rope has other factors, where it is a long one."""


@contextmanager
def shortened(model: Any, *, to: int, longest: int) -> Iterator[int | None]:
    """Windows of a few words, and ropes that bend behind a row of `to` tokens; all is as it was afterwards.

    Yields the length behind which the rope bends, None when no row is longer.

    Args:
        model: that is looked at.
        to: length of a row that is read as a short one.
        longest: tokens of the longest row that it will read.
    """
    config, bends = model.config.get_text_config(), []
    with ExitStack() as after:
        for word in WINDOWS:
            if isinstance(value := getattr(config, word, None), int):
                _put(after, config, word, min(value, WINDOW))
        for module in model.modules():
            if isinstance(value := vars(module).get(KEPT), int):
                _put(after, module, KEPT, min(value, WINDOW))
            if hasattr(module, "rope_type") and hasattr(module, "config"):
                bends += _bent(after, module, to=to, longest=longest)
        yield min(bends, default=None)


def _bent(after: ExitStack, rope: Any, *, to: int, longest: int) -> list[int]:
    """Let one rope bend early; where it did."""
    known = getattr(rope.config, "rope_parameters", None) or {}
    # One for all layers, or one for each kind of layer.
    each = [known, *(value for value in known.values() if isinstance(value, dict))]
    long = [one for one in each if one.get("rope_type") == "longrope" and one.get(BEND, longest) < longest]
    if not long:
        return []
    after.callback(
        _restore, rope, set(vars(rope)), {name: each.clone() for name, each in rope.named_buffers()}
    )
    bends = [one[BEND] for one in long]
    for one in long:
        _put(after, one, BEND, to)
    # Transformers writes the configuration's own into the rope's whenever factors are computed.
    if hasattr(rope.config, BEND):
        _put(after, rope.config, BEND, to)
    return bends


def _restore(rope: Any, names: set[str], buffers: dict[str, Any]) -> None:
    """The factors as they were, and none that were computed meanwhile."""
    for name in set(vars(rope)) - names:
        delattr(rope, name)
    with torch.no_grad():
        for name, value in buffers.items():
            rope.get_buffer(name).copy_(value)


def _put(after: ExitStack, holder: Any, word: str, value: int) -> None:
    if isinstance(holder, dict):
        after.callback(holder.__setitem__, word, holder[word])
        holder[word] = value
    else:
        after.callback(setattr, holder, word, getattr(holder, word))
        setattr(holder, word, value)
