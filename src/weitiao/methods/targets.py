"""Which linear layers a method changes, chosen as in PEFT.

chosen(model, head, ["query", "value"])  ->  {"encoder.layer.0.attention.self.query": Linear, ...}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from weitiao.core.errors import did_you_mean, fault
from weitiao.core.why import because, reason
from weitiao.models import anatomy, linear
from weitiao.models.bypass import passed_by
from weitiao.models.wrap import Wrapper, plain


def chosen(
    model: nn.Module,
    head: frozenset[str],
    asked: str | list[str],
    *,
    rank: int = 1,
    beside: Mapping[str, nn.Module] | None = None,
) -> dict[str, nn.Module]:
    """The linear layers that are asked for, by full name.

    Args:
        model: any Transformers model.
        head: names of the task's new output layer, whose layers are never chosen.
        asked: `all-linear`, one regular expression for full names, or a list of name endings.
        rank: of the change; `all-linear` leaves out what `left_out` names.
        beside: other layers that may be named; `all-linear` takes those as wide as the rank where no layer is linear.

    Raises:
        WeitiaoError: `no_such_modules` when a name ending or the expression matches none; `unfit_setting` for none;
            `bypassed_layers` for a layer that the model's code passes by (`models.bypass`).
    """
    if not asked:
        raise fault("unfit_setting", key="target_modules", value=asked, **because("names_no_layer"))
    every = anatomy.linears(model, head)
    if beside and asked == "all-linear" and not every:
        wide = {name: layer for name, layer in beside.items() if min(linear.sizes(layer)) >= max(2, rank)}
        return wide or dict(beside)
    if beside and asked != "all-linear":
        every = {**every, **beside}
    if asked == "all-linear":
        out, words = set(left_out(model, head, rank=rank)), anatomy.language(model)
        rest = {n: layer for n, layer in every.items() if n not in out and plain(n).startswith(words)}
        # Where no layer is as wide as the rank, the rank is what is wrong.
        return _some(rest or {n: m for n, m in every.items() if min(linear.sizes(m)) > 1}, asked, every)
    found = _named(asked, every)
    if idle := passed_by(model, found):
        endings = sorted({plain(name).rpartition(".")[2] for name in idle})
        others = sorted({plain(name).rpartition(".")[2] for name in every.keys() - passed_by(model, every)})
        raise fault(
            "bypassed_layers",
            asked=", ".join(endings),
            count=len(idle),
            kind=type(model).__name__,
            others=", ".join(others),
        )
    return found


def _named(asked: str | list[str], every: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    if isinstance(asked, str):
        try:
            return _some({n: m for n, m in every.items() if re.fullmatch(asked, plain(n))}, asked, every)
        except re.error as error:
            broken = because("no_expression", error=error)
            raise fault("unfit_setting", key="target_modules", value=asked, **broken) from None
    found: dict[str, nn.Module] = {}
    for ending in asked:
        ends = {n: m for n, m in every.items() if f".{plain(n)}".endswith(f".{ending}")}
        found |= _some(ends, ending, every)
    return found


def left_out(model: nn.Module, head: frozenset[str], *, rank: int) -> list[str]:
    """Layers that `all-linear` does without: side layers narrower than the rank, and layers that are never called.

    A row of numbers (the gate of a shared expert) has no smaller change than itself, whatever the rank.
    """
    every = anatomy.linears(model, head)
    narrow = {name for name, layer in every.items() if min(linear.sizes(layer)) < max(2, rank)}
    return sorted((narrow | passed_by(model, every)) if len(narrow) < len(every) else passed_by(model, every))


def told(model: nn.Module, head: frozenset[str], asked: str | list[str], *, rank: int) -> list[str]:
    """One sentence about what `all-linear` leaves out; none where it is nothing, or the layers are named."""
    names = left_out(model, head, rank=rank) if asked == "all-linear" else []
    endings = sorted({".".join(plain(name).split(".")[-2:]) for name in names})
    return [reason("layers_left_out", names=", ".join(endings), count=len(names), rank=rank)] if names else []


def _some(matches: dict[str, nn.Module], asked: str, every: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    if not matches:
        endings = sorted({plain(name).rpartition(".")[2] for name in every})
        hint = (
            " -> all-linear" if asked in ("all", "linear") else did_you_mean(asked, [*endings, "all-linear"])
        )
        raise fault("no_such_modules", asked=asked, hint=hint, known=", ".join(endings))
    return matches


def ranks(targets: Mapping[str, nn.Module], r: int, pattern: Mapping[str, int]) -> dict[str, int]:
    """The rank of each layer, by PEFT's rule: that of the first key that its name ends with, as a whole or behind a dot.

    Raises:
        WeitiaoError: `no_such_modules` for a key that no layer's name ends with; `unfit_setting` for no expression.
    """
    found = dict.fromkeys(targets, r)
    left = {plain(name): name for name in targets}
    for key, rank in pattern.items():
        try:
            wanted = re.compile(rf"(.*\.)?({key})$")
        except re.error as error:
            broken = because("no_expression", error=error)
            raise fault("unfit_setting", key="rank_pattern", value=key, **broken) from None
        if not any(wanted.match(plain(name)) for name in targets):
            _some({}, key, targets)
        for name in [name for name in left if wanted.match(name)]:
            found[left.pop(name)] = rank
    return found


def refuse_large_rank(targets: Mapping[str, nn.Module], r: int, *, key: str) -> None:
    """A rank above either side of a matrix only costs: the change cannot have it.

    Raises:
        WeitiaoError: `unfit_setting`, with the smallest side.
    """
    if not targets:
        return
    name = min(targets, key=lambda name: min(linear.sizes(targets[name])))
    side = min(linear.sizes(targets[name]))
    if r > side:
        before, after = linear.sizes(targets[name])
        small = because("narrower", name=name, before=before, after=after, most=side)
        raise fault("unfit_setting", key=key, value=r, **small)


def saved_layers(model: nn.Module, head: frozenset[str], layers: Mapping[str, Wrapper]) -> dict[str, Any]:
    """What every configuration of PEFT says of the layers that it changes, and of the head beside them."""
    return {
        "target_modules": sorted(map(plain, layers)),
        "fan_in_fan_out": any(type(layer.base).__name__ == "Conv1D" for layer in layers.values()),
        "modules_to_save": anatomy.head_modules(model, head) or None,
    }
