"""A model that was trained, or never will be, made ready to be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weitiao.models.load import Loaded
    from weitiao.models.precision import Half


def for_use(loaded: Loaded, *, half: Half | None) -> Loaded:
    """Nothing trains any more, and in half precision the weights are cast once."""
    from weitiao.models.anatomy import cast_frozen
    from weitiao.train import memory

    loaded.model.requires_grad_(False)
    if half:
        cast_frozen(loaded.model, half)
        memory.trim()
    return loaded
