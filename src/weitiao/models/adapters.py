"""Several saved adapters on one base: listed, switched, stacked, turned off, taken off again.

    held = Adapters(load(ref, task));  held.add("reviews", Path("runs/reviews/model"), method)
    held.use("reviews")  ->  loaded.model answers as that adapter does;   held.use()  ->  as the base does

What an adapter changed of the base itself (a head, norms) is kept beside it and put in when it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from weitiao.core.contracts import Inserted, Method
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.why import because
from weitiao.models import store
from weitiao.models.load import Loaded
from weitiao.models.opening import fingerprint
from weitiao.models.wrap import Wrapper, plain


@dataclass
class Held:
    """One adapter."""

    method: Method
    modules: list[Inserted]
    """What it has put into the model."""
    own: dict[str, Tensor]
    """Parameters of the base that it changed, by name: its head, its norms."""


class Adapters:
    """The adapters that lie on one base; none of them trains."""

    def __init__(self, loaded: Loaded, *, known: str = ""):
        """`known`: the base's fingerprint, of whoever has found it by that; else its files are looked through."""
        self.fingerprint = known or fingerprint(loaded.source)
        loaded.model.requires_grad_(False)
        self.loaded = loaded
        self._base = {name: weight.data for name, weight in loaded.model.named_parameters()}
        self._names = {id(weight): name for name, weight in loaded.model.named_parameters()}
        self._held: dict[str, Held] = {}
        self.active: tuple[str, ...] = ()
        """Names of those in use, from the base outwards."""

    @property
    def names(self) -> list[str]:
        """All that were added, in order."""
        return list(self._held)

    def add(self, name: str, folder: Path, method: Method) -> None:
        """Put a saved adapter onto the base, turned off.

        Raises:
            WeitiaoError: `wrong_base` when it was tuned on another one; `broken_model` when a weight is missing, left
                over or changed; `wrong_usage` when the name is taken or the folder holds a whole model.
        """
        if name in self._held:
            raise fault("wrong_usage", **because("adapter_there", name=name))
        card = store.read_card(folder)
        if method.layout == "pretrained":
            raise fault("wrong_usage", **because("whole_model", path=folder))
        if self.fingerprint != card["base"]["fingerprint"]:
            raise fault("wrong_base", path=folder, ref=self.loaded.source, tuned_on=card["base"]["source"])
        model, head = self.loaded.model, self.loaded.head
        there = {id(part) for part in (*model.modules(), *model.parameters())}
        model = method.attach(model, head, store.tokenizer(self.loaded.processor))
        modules: list[Inserted] = [
            m for m in model.modules() if isinstance(m, Inserted) and id(m) not in there
        ]
        sizes = _saved_sizes(folder)
        fresh, touched = {}, {}
        for path, weight in model.named_parameters():
            base = self._names.get(id(weight))
            if base is not None and method.trains(path, weight, head):
                # A head of its own size: another adapter's task may have more labels.
                size = sizes.get(plain(path), weight.shape) if path in head else weight.shape
                touched[path] = nn.Parameter(weight.new_empty(size, dtype=torch.float32), requires_grad=False)
            elif id(weight) not in there:
                fresh[path] = weight
        store.fill(folder, self.loaded, method, trained=fresh | touched)
        model.requires_grad_(False)
        own = {plain(path): weight.data for path, weight in touched.items()}
        self._held[name] = Held(method, modules, own)
        self.use(*self.active)

    def use(self, *names: str) -> None:
        """Turn these on and all others off; several are stacked, and the head is the last one's.

        Raises:
            WeitiaoError: `unknown_name`, with the nearest one; `wrong_usage` when a method works only alone.
        """
        for name in names:
            self.refuse_unknown(name)
        if len(set(names)) < len(names):
            raise fault("wrong_usage", **because("adapter_named_twice"))
        lonely = [name for name in names if self._held[name].method.alone]
        if lonely and len(names) > 1:
            raise fault("wrong_usage", **because("adapter_alone", name=lonely[0]))
        for name, held in self._held.items():
            for module in held.modules:
                module.enabled = name in names
        changed: dict[str, Tensor] = {}
        for name in names:
            changed |= self._held[name].own
        for path, weight in self.loaded.model.named_parameters():
            if (base := self._names.get(id(weight))) is not None:
                weight.data = changed.get(plain(path), self._base[base])
        self.active = names

    def remove(self, name: str) -> None:
        """Take an adapter off; the others stay as they are.

        Raises:
            WeitiaoError: `unknown_name`.
        """
        self.refuse_unknown(name)
        self.use(*(other for other in self.active if other != name))
        gone = {id(module) for module in self._held.pop(name).modules}
        for module in list(self.loaded.model.modules()):
            for leaf, child in list(module.named_children()):
                left: nn.Module | None = child
                while left is not None and id(left) in gone:
                    left = left.base if isinstance(left, Wrapper) else None
                if left is None:
                    del module._modules[leaf]
                elif left is not child:
                    setattr(module, leaf, left)

    def refuse_unknown(self, name: str) -> None:
        """Is there an adapter of that name?

        Raises:
            WeitiaoError: `unknown_name`, with the nearest one.
        """
        if name not in self._held:
            hint, known = did_you_mean(name, self._held), ", ".join(self._held) or "-"
            raise fault("unknown_name", shelf="adapter", name=name, hint=hint, known=known)


def _saved_sizes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Shapes in an adapter's file by the parameters' own names; PEFT puts a head under one prefix or the other."""
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        return {
            name.removeprefix("base_model.").removeprefix("model."): tuple(file.get_slice(name).get_shape())
            for name in file.keys()  # noqa: SIM118 - a safetensors file is no mapping
        }
