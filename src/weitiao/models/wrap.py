"""Putting modules into a model, and finding them again.

put(model, "encoder.layer.0.output.dense", Behind(base, ...))   ->  the wrapper stands where its base stood
inserted(model, LoraLinear)   ->  (name, module) of all of them;    plain(name)  ->  the name as if nothing stood there
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from torch import Tensor, nn

from weitiao.core.contracts import Inserted

Kind = TypeVar("Kind", bound=nn.Module)


class Wrapper(Inserted, nn.Module):
    """Stands where a base layer stood, and holds it as `base`."""

    base: nn.Module

    def __init__(self, base: nn.Module):
        super().__init__()
        self.base = base

    # Models look at their layers' weights (T5 asks for a dtype): they find those of the base.
    @property
    def weight(self) -> Tensor:
        """The base layer's."""
        weight: Any = self.base.weight
        return weight

    @property
    def bias(self) -> Tensor | None:
        """The base layer's."""
        bias: Any = self.base.bias
        return bias


def put(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module`, such as a wrapper around it, where the module called `name` stands."""
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)


def unwrap(model: nn.Module, kind: type[Kind], folded: Callable[[Kind], nn.Module]) -> nn.Module:
    """Put `folded(module)` where every module of that kind stands."""
    for name, wrapper in list(inserted(model, kind)):
        put(model, name, folded(wrapper))
    return model


def inserted(model: nn.Module, kind: type[Kind]) -> Iterator[tuple[str, Kind]]:
    """Name and module of everything of that kind, in the model's order."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, kind))


def base_modules(model: nn.Module, *, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Name and module of all that was there before anything was put in; names lead through the wrappers."""
    if not isinstance(model, Inserted):
        yield prefix, model
    for name, child in model.named_children():
        if isinstance(child, Wrapper):
            yield from base_modules(child, prefix=f"{prefix}.{name}" if prefix else name)
        elif isinstance(model, Wrapper):
            if name == "base":
                yield from base_modules(child, prefix=f"{prefix}.base")
        elif not isinstance(child, Inserted):
            yield from base_modules(child, prefix=f"{prefix}.{name}" if prefix else name)


def plain(name: str) -> str:
    """A module's or parameter's name without the wrappers around it, and as if it were the first of its kind."""
    return ".".join(part.partition("__")[0] for part in name.split(".") if part != "base")


def hang(module: nn.Module, name: str, child: nn.Module) -> str:
    """Put `child` into `module` as `name`, or as `name__2` and so on where others hang already; returns its name."""
    taken, free = 1, name
    while free in module._modules:
        taken += 1
        free = f"{name}__{taken}"
    module.add_module(free, child)
    return free


def under(layer: nn.Module) -> nn.Module:
    """The base layer, however many stand around it."""
    while isinstance(layer, Wrapper):
        layer = layer.base
    return layer
