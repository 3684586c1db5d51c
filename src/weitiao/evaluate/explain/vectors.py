"""A model whose word vectors are handed in, whichever way it looks them up.

    with followed.seen(): model(...)              ids (P, T) and vectors (P, T, D) of the row that it read
    with followed.given(vectors_PTD): model(...)  the same, had its words these vectors

Hooks stand at the tables of words themselves, so positions, virtual tokens of prompt methods and everything else is made
as ever.  A decoder that reads the same words one place later gets their vectors, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from weitiao.core.errors import fault
from weitiao.core.why import reason


class Followed:
    """A model and its tables of words.

    Args:
        model: any with `get_input_embeddings`.

    Raises:
        WeitiaoError: `not_followed` for one without.
    """

    def __init__(self, model: Any):
        self.model = model
        try:
            table = model.get_input_embeddings()
        except (AttributeError, NotImplementedError):
            table = None
        if not isinstance(table, nn.Module):
            raise fault("not_followed", why=reason("no_word_table"))
        weight = getattr(table, "weight", None)
        tied = [each for each in model.modules() if each is not table and _same(each, weight)]
        self.table, self._tables = table, [table, *tied]
        self.ids: Tensor | None = None
        self.vectors: Tensor | None = None

    @contextmanager
    def seen(self) -> Iterator[None]:
        """Notes what is looked up first."""
        self.ids = self.vectors = None

        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            if self.ids is None and _words(args, output):
                self.ids, self.vectors = args[0].detach(), output.detach()

        with self._hooked(hook):
            yield

    @contextmanager
    def given(self, vectors_PTD: Tensor) -> Iterator[None]:
        """Vectors in the place of those that are looked up."""
        first: list[Tensor] = []

        def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
            if not _words(args, output):
                return None
            ids = args[0]
            if not first and output.shape == vectors_PTD.shape:
                first.append(ids)
                return vectors_PTD.to(output.dtype)
            if first and ids.shape == first[0].shape and bool((ids[:, 1:] == first[0][:, :-1]).all()):
                return torch.cat([output[:, :1], vectors_PTD[:, :-1].to(output.dtype)], 1)
            return None

        with self._hooked(hook):
            yield

    @contextmanager
    def _hooked(self, hook: Any) -> Iterator[None]:
        handles = [table.register_forward_hook(hook) for table in self._tables]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def baseline(self, processor: Any) -> tuple[Tensor, str]:
        """The vector (D,) of a word that says nothing, and its name: that of the mask token, else of padding or the end
        token, whichever is not zero; else the mean of all words."""
        weight = next(self.table.parameters())
        for name in ("mask_token", "pad_token", "eos_token"):
            token = getattr(processor, f"{name}_id", None)
            if token is None:
                continue
            with torch.no_grad():
                vector = self.table(torch.tensor([[token]], device=weight.device))[0, 0].float()
            if bool(vector.abs().sum() > 0):
                return vector, str(getattr(processor, name))
        with torch.no_grad():
            ids = torch.arange(len(processor), device=weight.device)[None]
            return self.table(ids)[0].float().mean(0), reason("mean_of_words")


def _same(module: nn.Module, weight: Any) -> bool:
    own = getattr(module, "weight", None)
    return own is not None and own is weight


def _words(args: Any, output: Any) -> bool:
    """Was it asked with the numbers of words?  A tied head is asked with vectors."""
    return bool(args) and not args[0].is_floating_point() and args[0].dim() == 2 and output.dim() == 3
