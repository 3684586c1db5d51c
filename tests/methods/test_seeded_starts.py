"""One seed is one start, on whatever device the model lies: chance is drawn on the CPU.

No other device is needed to see it: a mode stands for one.  To the code that runs under it, all weights of the model
lie there, and so does what is made there; numbers drawn there are others, as on a real one.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tests.methods.toys import PAIRS, Toy
from weitiao.models import store

THERE = torch.device("cuda", 0)
CHANCE = {"normal_", "uniform_", "randn", "rand", "randint", "randperm", "bernoulli_", "trunc_normal_"}
CHANCE |= {"_rand_like", "randn_like", "rand_like", "randint_like", "exponential_", "random_", "bernoulli"}
CHANCE |= {f"{kind}_{law}_" for kind in ("kaiming", "xavier") for law in ("uniform", "normal")} | {
    "orthogonal_"
}


class Elsewhere(TorchFunctionMode):
    """Tensors that lie on a device that is not there; their numbers are kept on the CPU."""

    def __init__(self, tensors: Any):
        super().__init__()
        self.there = {_place(tensor): tensor for tensor in tensors}  # kept, so that no other takes its place
        self.drawn = 0

    def lies_there(self, tensor: Any) -> bool:
        return _place(tensor) in self.there

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if func == torch.Tensor.device.__get__ and self.lies_there(args[0]):
            return THERE
        asked = [value for value in (*args, kwargs.get("device")) if value == THERE and not _tensor(value)]
        from_there = any(self.lies_there(value) for value in (*args, *kwargs.values()) if _tensor(value))
        args = tuple("cpu" if not _tensor(value) and value == THERE else value for value in args)
        kwargs = {key: "cpu" if key == "device" and asked else value for key, value in kwargs.items()}
        if name in CHANCE and (asked or from_there):
            self.drawn += 1
            with torch.random.fork_rng():  # another generator, with another seed
                torch.manual_seed(99)
                found = func(*args, **kwargs)
        else:
            found = func(*args, **kwargs)
        if _tensor(found) and (asked or from_there) and found.device.type == "cpu":
            self.there[_place(found)] = found
        return found


def _tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def elsewhere(model: nn.Module) -> Elsewhere:
    return Elsewhere([*model.parameters(), *model.buffers()])


FIRST = {name: family for name, family in reversed(PAIRS)}


@pytest.mark.parametrize("name", FIRST)
def test_a_method_begins_alike_on_every_device(request, name):
    toy = Toy(request, name, FIRST[name])
    here, there = toy.load(), toy.load()
    store.prepare(here, toy.method, seed=0)
    with elsewhere(there.model) as mode:
        store.prepare(there, toy.method, seed=0)
    assert mode.drawn == 0
    one, two = (dict(loaded.model.named_parameters()) for loaded in (here, there))
    assert list(one) == list(two)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert {name for name, weight in one.items() if weight.requires_grad} == set(there.trained)


@pytest.mark.parametrize("init", ["default", "gaussian"])
def test_what_is_drawn_for_lora_is_what_pytorch_draws(request, init):
    """As it always was on a CPU: the layers' matrices in the order of the model, by the generator of the seed."""
    toy = Toy(request, "lora", "bert", init_lora_weights=init)
    found = toy.load()
    store.prepare(found, toy.method, seed=7)
    down = [weight for name, weight in found.model.named_parameters() if name.endswith("lora_A")]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        for weight in down:
            drawn = torch.empty(weight.shape)
            if init == "gaussian":
                drawn.normal_(std=1 / len(weight))
            else:
                drawn.uniform_(-(weight.shape[1] ** -0.5), weight.shape[1] ** -0.5)
            torch.testing.assert_close(weight.detach(), drawn, rtol=1e-6, atol=0)


def test_the_stand_in_notices_a_draw_on_a_device():
    """Else the tests above could not fail."""
    layer = nn.Linear(3, 2)
    with elsewhere(layer) as mode:
        assert layer.weight.device == THERE
        nn.init.normal_(nn.Parameter(torch.empty(2, 2, device=layer.weight.device)))
        torch.randn(2, 2, device=layer.weight.device)
    assert mode.drawn == 2
