"""Batch normalisation goes by the statistics that the base was pretrained with, in training too.

With those of the batch, what is said of a picture would hang on its neighbours: a batch cut in two would have another gradient than
a whole one, two processes another than one, and a frozen trunk would not stay what it was.  Scale and shift train like any weights.

A base that nobody has trained has no statistics: a mean of 0 and a variance of 1 everywhere normalise nothing, and it hardly learns
(notes/LOG.md).  Layers of it that train go by the micro-batch while they learn, as everybody's do, and what they will be asked with
follows the rows of whole steps:

    Following(layers).hears()  ->  take  ->  follow

So two processes are one with twice the accumulation, and a run goes on exactly; only how large a micro-batch is matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

KINDS = ("running_mean", "running_var")
RATE = 0.1
"""How far statistics go to those of a step (torch's own momentum)."""


def hold(model: nn.Module) -> None:
    """Let every such layer of a model compute as when it is asked, whatever mode the model is in."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.register_forward_pre_hook(_as_asked)
            module.register_forward_hook(_in_order)


def _as_asked(module: nn.Module, args: Any) -> None:
    module.training = False


def _in_order(module: nn.Module, args: Any, out: Any) -> None:
    # Of one picture alone, torch 2.13 on a CPU adds up the gradient of scale and shift in the wrong places where it comes with
    # other strides than a picture's (as from positions side by side).
    if out.requires_grad:
        out.register_hook(lambda gradient: gradient.contiguous())


def untaught(model: nn.Module) -> dict[str, nn.Module]:
    """By name, the layers whose statistics nobody has ever taken."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.running_mean is not None
        and not module.running_mean.is_meta
        and _blank(module)
    }


def following(model: nn.Module) -> Following | None:
    """Those that train among them; none where every layer has statistics, or rests."""
    layers = {
        name: layer
        for name, layer in untaught(model).items()
        if any(weight.requires_grad for weight in layer.parameters())
    }
    return Following(layers) if layers else None


def take_over(model: nn.Module, other: nn.Module) -> None:
    """Give the layers of a model that have none the statistics that those of another one have, of the same names."""
    theirs: dict[str, Any] = dict(other.named_modules())
    with torch.no_grad():
        for name, layer in untaught(model).items():
            for kind in KINDS:
                getattr(layer, kind).copy_(getattr(theirs[name], kind))


class Following:
    """Layers that nobody has trained: they learn by their batches, and their statistics follow."""

    def __init__(self, layers: Mapping[str, Any]):
        self.layers = layers
        self._heard: dict[str, list[tuple[int, Tensor, Tensor]]] = {}
        self._step: dict[str, list[Any]] = {}

    @property
    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: the statistics themselves, by name."""
        return {
            f"{name}.{kind}": getattr(layer, kind) for name, layer in self.layers.items() for kind in KINDS
        }

    @contextmanager
    def hears(self) -> Iterator[None]:
        """While it lasts, passes that are learnt from are normalised by themselves, and looked at."""
        with ExitStack() as held:
            for name, layer in self.layers.items():
                held.callback(layer.register_forward_pre_hook(partial(self._hear, name)).remove)
                held.callback(
                    _set, layer, momentum=layer.momentum, num_batches_tracked=layer.num_batches_tracked
                )
                _set(layer, momentum=0.0, num_batches_tracked=None)  # torch is to move nothing itself
            yield

    def _hear(self, name: str, module: nn.Module, args: tuple[Tensor]) -> None:
        values_CN = args[0].detach().float().transpose(0, 1).flatten(1)
        # One value alone is its own mean.
        module.training = torch.is_grad_enabled() and values_CN.shape[1] > 1
        if module.training:
            variance_C, mean_C = torch.var_mean(values_CN, dim=1, correction=0)
            self._heard.setdefault(name, []).append((values_CN.shape[1], mean_C, variance_C))

    def take(self, *, counts: bool) -> None:
        """A micro-batch is through, forwards and backwards.

        Args:
            counts: are its rows of the step?  Those that only keep other processes company are not.
        """
        for name, calls in self._heard.items() if counts else ():
            # Whoever computes a pass again hears the same again.
            size = sum(count for count, _, _ in calls) / len(calls)
            mean_C = torch.stack([mean.double().cpu() for _, mean, _ in calls]).mean(0)
            square_C = torch.stack([(own + mean**2).double().cpu() for _, mean, own in calls]).mean(0)
            sums = self._step.setdefault(name, [0.0, 0.0, 0.0])
            for place, one in enumerate((size, size * mean_C, size * square_C)):
                sums[place] = sums[place] + one
        self._heard = {}

    def follow(self, sums: Callable[..., list[float]]) -> None:
        """The step is taken: its rows count.

        Args:
            sums: adds numbers up over all processes (`World.sums`).
        """
        for name, layer in self.layers.items():
            none_C = torch.zeros(len(layer.running_mean))
            size, mean_C, square_C = self._step.get(name) or (0.0, none_C, none_C)
            size, *rest = sums(size, *mean_C.tolist(), *square_C.tolist())
            if not size:
                continue
            mean_C, square_C = (torch.tensor(rest, dtype=torch.float64) / size).chunk(2)
            rate = 1.0 if _blank(layer) else RATE
            with torch.no_grad():
                layer.running_mean.lerp_(mean_C.to(layer.running_mean), rate)
                variance_C = (square_C - mean_C**2).clamp(min=0)
                layer.running_var.lerp_(variance_C.to(layer.running_var), rate)
        self.forget()

    def forget(self) -> None:
        """The step is not taken."""
        self._heard, self._step = {}, {}


def _blank(layer: Any) -> bool:
    return not layer.running_mean.any() and bool((layer.running_var == 1).all())


def _set(layer: nn.Module, **values: Any) -> None:
    for name, value in values.items():
        setattr(layer, name, value)
