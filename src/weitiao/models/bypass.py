"""Layers that a model's code passes by: it hands their weights to fused code and does not call them.

passed_by(model, ["layers.0.mixer.in_proj", "layers.0.mixer.out_proj"])  ->  {"layers.0.mixer.out_proj"}

What lies around such a layer is never asked, with Mamba's kernels on a GPU as in torch's own multi-head attention,
and PEFT refuses those of Mamba.  Which path runs hangs on the machine, so not a pass but the code is looked at.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable
from functools import cache
from typing import Any

from torch import nn

from weitiao.models.wrap import plain, under


def passed_by(model: nn.Module, names: Iterable[str]) -> set[str]:
    """Those of the layers whose weight the module that holds them hands on."""
    return {name for name in names if plain(name).rpartition(".")[2] in _handed_on(_holder(model, name))}


def _holder(model: nn.Module, name: str) -> Any:
    node = model
    for part in plain(name).split(".")[:-1]:
        node = under(node).get_submodule(part)
    return type(under(node))


@cache
def _handed_on(kind: Any) -> frozenset[str]:
    """Names X of which a class's code says `function(..., self.X.weight, ...)`."""
    found: set[str] = set()
    for owner in kind.__mro__:
        for method in vars(owner).values() if owner is not nn.Module else ():
            code = getattr(inspect.unwrap(method) if callable(method) else method, "__code__", None)
            if code is None or "weight" not in code.co_names:
                continue
            try:
                tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
            except (OSError, SyntaxError):  # code without its text
                continue
            calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
            found |= {name for call in calls if not _looks_only(call) for name in _weights(call)}
    return frozenset(found)


def _looks_only(call: ast.Call) -> bool:
    """`isinstance(self.X.weight, Tensor)` and `init.normal_(self.X.weight)` compute nothing of a row."""
    function = ast.unparse(call.func)
    return function in ("isinstance", "hasattr", "getattr") or "init" in function


def _weights(call: ast.Call) -> set[str]:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    words = (ast.unparse(value).split(".") for value in given if isinstance(value, ast.Attribute))
    return {parts[1] for parts in words if len(parts) == 3 and parts[0] == "self" and parts[2] == "weight"}
