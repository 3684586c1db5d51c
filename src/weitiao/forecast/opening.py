"""What lies in memory while a model is opened, and what of it stays.

held(loaded, method, half, whole=...)  ->  (what stays and is being read, what lies beside that for a while), bytes
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Method

if TYPE_CHECKING:
    from weitiao.models.load import Loaded
    from weitiao.models.precision import Half


def held(
    loaded: Loaded, method: Method | None, half: Half | None, *, whole: int, trained: int = 0
) -> tuple[int, int]:
    """The model as it is read: in float32 with its files beside it where they are another form, or packed into 4 bits; or what
    does not train as it is stored, and one layer after the other in float32 while it is examined.

    Args:
        loaded: of shapes, as it is asked.
        method: what trains, or lies in it; None: nobody trains anything.
        half: what products are computed in.
        whole: bytes of the model in float32.
        trained: bytes of what trains.
    """
    from weitiao.models import store

    frozen = size(loaded.model) - trained
    if method and method.base_bits == 4:
        return frozen, read(loaded)
    if store.reads_halves(loaded.source, half, method):
        return frozen, widest(loaded)
    return whole, read(loaded)


def size(model: Any) -> int:
    """Bytes of all weights and buffers; shared ones once."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def read(loaded: Loaded) -> int:
    """Bytes of a model's files, where their numbers are not float32: they are in memory beside what is made of them."""
    from weitiao.models import stored

    parts = stored.kinds(loaded.source).values()
    return sum(count * stored.WIDTHS.get(kind, 0) for kind, count in parts if kind != "F32")


def widest(loaded: Loaded) -> int:
    """Bytes of the largest weight, in float32."""
    return 4 * max(weight.numel() for weight in loaded.model.parameters())
