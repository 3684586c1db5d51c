"""Which rows of its tables a model asks for, found on a model of shapes.

Lookups(skeleton).rows([9, 7, 5])  ->  [(514, 2)], tables of which consecutive rows were asked for: their size, the first row
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from weitiao.models.quiet import quiet
from weitiao.models.shapes import Shapes, materialise


class _Enough(Exception):
    """Every table was asked."""


class Lookups(Shapes):
    """Notes what is looked up while a model reads a row; the model's tensors are made fake."""

    def __init__(self, model: Any):
        super().__init__()
        self._model = model.eval()
        self._tables = sum(isinstance(module, nn.Embedding) for module in model.modules())
        self._seen: dict[int, tuple[int, Tensor | None]] = {}
        materialise(model, self, "cpu")

    def rows(self, words: list[int]) -> list[tuple[int, int]]:
        """(rows of the table, first row asked for) of every table that is asked for as many rows as there are words,
        each behind the one before it."""
        with torch.device("cpu"):  # whoever asks may be making another model on `meta`
            return self._rows(words)

    def _rows(self, words: list[int]) -> list[tuple[int, int]]:
        self._seen = {}
        ids_BT = torch.tensor([words])
        inputs = {"input_ids": ids_BT, "attention_mask": torch.ones_like(ids_BT)}
        if self._model.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = ids_BT
        # Tables are asked first.  What follows may want numbers, or more than words: that is another matter.
        with suppress(Exception), quiet(), self, torch.no_grad():
            self._model(**inputs)
        found = []
        for size, places in self._seen.values():
            if places is None:
                continue
            read_NT = places.reshape(-1, places.shape[-1])[:, : len(words)]
            rising_T = read_NT[0, 0] + torch.arange(len(words))
            if read_NT.shape[1] == len(words) and bool((read_NT == rising_T).all()):
                found.append((size, int(read_NT[0, 0])))
        return found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """As `Shapes`, until every table was asked."""
        if func.overloadpacket is torch.ops.aten.embedding:
            table, places = args[:2]
            known = type(places) is Tensor and places.dim()  # a fake one has no numbers
            self._seen.setdefault(id(table), (table.shape[0], places.clone() if known else None))
            if len(self._seen) == self._tables:
                raise _Enough
        return super().__torch_dispatch__(func, types, args, kwargs)
