"""The frozen trunk of a model: its lowest blocks, as far as nothing that trains is heard there, and stand-ins for them.

    trunk = find(model, ask, real_BT)             `ask()` sends a few rows through the model
    trunk.reach(ask)                              ->  hidden states (B, T, D) that leave it; no block above is computed
    with trunk.standing_in(states_BTD): ask()     the blocks above and the head, as if the trunk had given these states

Autograd says what the trunk is, for any method: hidden states that need no gradient depend on nothing that trains.
Stand-ins are put into the places of its blocks, and of the embeddings, for as long as the context lasts; all else,
such as masks, positions, the pooler and the head, is the model's own forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from weitiao.core.contracts import Inserted
from weitiao.core.errors import WeitiaoError
from weitiao.core.why import reason
from weitiao.models import anatomy, inputs

Ask = Callable[[], Any]
CLOSE, CLOSE_HALF = 1e-4, 0.03
"""How far a pass with stand-ins may be from a whole one, in shares of the largest number; where products are halved."""


class NoTrunk(Exception):
    """Why there is none, or none that stand-ins can replace."""


class StandIn(nn.Module):
    """Stands where a module of the trunk stood and answers with given states; all else is asked of that module."""

    def __init__(self, module: nn.Module, *, answer: Callable[[Any], Any]):
        super().__init__()
        self._of = (module,)  # in a tuple, so that its parameters are not the stand-in's
        self._answer = answer
        self.states_BTD: Tensor | None = None

    def forward(self, *_: Any, **__: Any) -> Any:
        """The states as the module gave them, whatever comes in."""
        return self._answer(self.states_BTD)

    def __getattr__(self, name: str) -> Any:
        """Models look at their blocks (`attention_type`): they find what the block has."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_of"][0], name)


class _Reached(Exception):
    """Ends a forward pass at the top of the trunk."""


@dataclass
class Trunk:
    """What stand-ins replace."""

    places: list[tuple[nn.Module, str, StandIn]]
    """Module, name of its child, and who stands in for that child."""
    top: nn.Module
    """The uppermost of its blocks."""
    blocks: int
    """How many blocks it has; 0 where it is the whole body."""
    of: int
    """How many there are in all; 0 where it is the whole body."""
    width: int
    """Of the hidden states."""
    dtype: torch.dtype
    """Of the hidden states."""
    leaving: Callable[[Any], Tensor] = lambda output: output[0] if isinstance(output, tuple) else output
    """What is kept of what the uppermost block gives."""

    @contextmanager
    def standing_in(self, states_BTD: Tensor) -> Iterator[None]:
        """The blocks above begin with these states; afterwards the model is whole again."""
        own = [module._modules[name] for module, name, _ in self.places]
        try:
            for module, name, stand_in in self.places:
                stand_in.states_BTD = states_BTD
                module._modules[name] = stand_in
            yield
        finally:
            for (module, name, stand_in), before in zip(self.places, own, strict=True):
                module._modules[name] = before
                stand_in.states_BTD = None

    def reach(self, ask: Ask) -> Tensor:
        """The states that leave the trunk; the pass ends there."""
        reached: list[Tensor] = []

        def note(module: nn.Module, args: Any, output: Any) -> None:
            reached.append(self.leaving(output))
            raise _Reached

        handle = self.top.register_forward_hook(note)
        try:
            ask()
        except _Reached:
            pass
        finally:
            handle.remove()
        return reached[0].detach()


def lowest_trains(model: nn.Module) -> str:
    """Why there is no trunk, whatever goes through the model; empty when there may be one."""
    try:
        blocks = anatomy.blocks(model)
    except WeitiaoError:
        return reason("blocks_unknown")
    lowest = blocks[0].module.parameters()
    return reason("lowest_trains") if any(weight.requires_grad for weight in lowest) else ""


def find(model: nn.Module, ask: Ask, real_BT: Tensor) -> Trunk:
    """The trunk of a model in evaluation mode, tried on a few rows.

    Args:
        model: its parameters say whether they train.
        ask: sends the rows through the model, and gives numbers in lists and dicts.
        real_BT: which places of the rows hold tokens.

    Raises:
        NoTrunk: with the reason.
    """
    if why := lowest_trains(model):
        raise NoTrunk(why)
    blocks = anatomy.blocks(model)
    embedding = _embedding(model, blocks)
    modules = [block.module for block in blocks]
    with (
        torch.enable_grad(),
        _watched([*modules, *([model.get_submodule(embedding)] if embedding else [])]) as seen,
    ):
        whole = _numbers(ask())
    passed = [each for each in seen if each.number < len(blocks)]
    if [each.number for each in passed] != list(range(len(blocks))):
        raise NoTrunk(reason("blocks_not_once"))
    count = 0
    for each in passed:
        put_in = any(isinstance(module, Inserted) for module in modules[each.number].modules())
        if each.states.requires_grad or put_in:
            break
        count += 1
    if not count:
        raise NoTrunk(reason("lowest_or_before"))
    leaving = passed[count - 1]
    states_BTD = leaving.states.detach()
    if states_BTD.shape[:2] != real_BT.shape:
        raise NoTrunk(reason("states_elsewhere"))
    names = [(block.name, leaving.parts) for block in blocks[:count]]
    embedded = [each.states.shape for each in seen if each.number == len(blocks)]
    if embedded == [states_BTD.shape]:
        names.append((embedding, 0))
    places = [_place(model, name, answer=partial(_in_parts, parts)) for name, parts in names]
    trunk = Trunk(places, modules[count - 1], count, len(blocks), states_BTD.shape[-1], states_BTD.dtype)
    # Where there is padding, what is kept holds nothing.
    kept_BTD = states_BTD * real_BT[..., None]
    try:
        with trunk.standing_in(kept_BTD), torch.no_grad(), _watched(modules[count:]) as again:
            numbers = _numbers(ask())
    except (
        AttributeError,
        TypeError,
        ValueError,
        IndexError,
    ) as error:  # a model's own code, on what it did not expect
        raise NoTrunk(reason("blocks_need_more")) from error
    pairs = [(torch.tensor(numbers), torch.tensor(whole))]
    pairs += [(a.states[real_BT], b.states[real_BT]) for a, b in zip(again, passed[count:], strict=True)]
    halved = torch.is_autocast_enabled(states_BTD.device.type) or states_BTD.dtype != torch.float32
    if not all(_close(a, b, within=CLOSE_HALF if halved else CLOSE) for a, b in pairs):
        raise NoTrunk(reason("blocks_hear_more"))
    return trunk


def whole_body(model: Any, ask: Ask) -> Trunk:
    """Everything below the head as the trunk, of a model that reads no words: rows have one state each, (B, 1, D).

    What the head hears is measured: the smallest tensor of the body's output with which alone the answers are the same.

    Args:
        model: in evaluation mode; nothing of its body trains.
        ask: sends a few rows through the model, and gives numbers in lists and dicts.

    Raises:
        NoTrunk: with the reason.
    """
    if why := body_trains(model):
        raise NoTrunk(why)
    body, given = model.base_model, []
    handle = body.register_forward_hook(lambda module, args, output: given.append(output))
    try:
        with torch.no_grad():
            whole = torch.tensor(_numbers(ask()))
    finally:
        handle.remove()
    if len(given) != 1 or not isinstance(given[0], dict):
        raise NoTrunk(reason("body_not_once"))
    kind, output = type(given[0]), given[0]
    held = {name: each for name, each in output.items() if isinstance(each, Tensor)}
    for name, state in sorted(held.items(), key=lambda item: item[1].numel()):
        trunk = _of_body(model, kind, name, state)
        try:
            with trunk.standing_in(state.flatten(1)[:, None]), torch.no_grad():
                again = torch.tensor(_numbers(ask()))
        except (
            AttributeError,
            TypeError,
            ValueError,
            IndexError,
            RuntimeError,
        ):  # the head asks for another one
            continue
        if torch.equal(again, whole):
            return trunk
    raise NoTrunk(reason("head_hears_more"))


def body_trains(model: Any) -> str:
    """Why the body of a model cannot be a trunk; empty when it may be one."""
    body = model.base_model
    if body is model:
        return reason("blocks_unknown")
    put_in = any(isinstance(module, Inserted) for module in body.modules())
    return reason("body_trains") if put_in or any(each.requires_grad for each in body.parameters()) else ""


def _of_body(model: Any, kind: type, name: str, state: Tensor) -> Trunk:
    where = next(known for known, module in model.named_modules() if module is model.base_model)
    shape = state.shape[1:]
    place = _place(model, where, answer=lambda kept_B1D: kind(**{name: kept_B1D.reshape(-1, *shape)}))
    return Trunk(
        [place],
        top=model.base_model,
        blocks=0,
        of=0,
        width=shape.numel(),
        dtype=state.dtype,
        leaving=lambda output: output[name].flatten(1)[:, None],
    )


@dataclass
class _Output:
    number: int
    """Which module."""
    states: Tensor
    parts: int
    """How long the tuple was in which they came; 0 without one."""


@contextmanager
def _watched(modules: list[nn.Module]) -> Iterator[list[_Output]]:
    """What the modules give, in the order of their calls."""
    seen: list[_Output] = []

    def note(number: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            parts = len(output) if isinstance(output, tuple) else 0
            seen.append(_Output(number, output[0] if parts else output, parts))

        return hook

    handles = [module.register_forward_hook(note(number)) for number, module in enumerate(modules)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _embedding(model: Any, blocks: list[anatomy.Block]) -> str:
    """Name of the module beside the blocks that turns ids into vectors (with its norm, where it holds one)."""
    body = inputs.text_model(model)
    word: Any = inputs.embeddings(body)
    held = {id(block.module) for block in blocks}
    for child in body.children():
        within = {id(module) for module in child.modules()}
        if id(word) in within and not within & held:
            return next(name for name, module in model.named_modules() if module is child)
    return ""


def _in_parts(parts: int, states_BTD: Any) -> Any:
    """Where a module gives a tuple, there is nothing else in it."""
    return (states_BTD, *[None] * (parts - 1)) if parts else states_BTD


def _place(model: nn.Module, name: str, *, answer: Callable[[Any], Any]) -> tuple[nn.Module, str, StandIn]:
    parent, _, leaf = name.rpartition(".")
    return model.get_submodule(parent), leaf, StandIn(model.get_submodule(name), answer=answer)


def _numbers(found: Any) -> list[float]:
    """All numbers in lists and dicts, in order."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list | tuple):
        return [number for each in found for number in _numbers(each)]
    return [float(found)] if isinstance(found, int | float) else []


def _close(a: Tensor, b: Tensor, *, within: float) -> bool:
    a, b = a.float(), b.float()
    return a.shape == b.shape and bool((a - b).abs().max() <= within * b.abs().max())
