"""What tasks share that read several texts, or pairs, of a row apart: how they lie in an example, and in a batch.

Example(input_ids of all, one behind the other, texts [5, 9])  ->  split    ->  the ids of each
Examples                                                       ->  stacked  ->  ids (K, T), the shortest first, and where each is
model, inputs                                                  ->  each     ->  parts of like length, hardly any padding
model, batch                                                   ->  outputs  ->  a number a text (K,)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import Batch, Example
from weitiao.data.pack import chunks, pad
from weitiao.tasks.parts.passes import SIZES

if TYPE_CHECKING:
    from torch import Tensor, nn

TEXTS = "texts"
"""The input that says how long each text of an example is."""
PART = 32
"""Texts of like length in one pass, where nothing else is asked for."""


def split(example: Example, name: str = "input_ids") -> list[Any]:
    """What an input holds of each text of an example."""
    ends = np.cumsum(example.inputs[TEXTS])
    return np.split(np.asarray(example.inputs[name], dtype=np.int64), ends[:-1])


def windows(example: Example) -> tuple[Example, list[int]]:
    """Every pass of a row as a text of its own, and how many each of its texts has: one where it is read at once."""
    if SIZES not in example.inputs:
        return example, [1] * len(example.inputs[TEXTS])
    sizes = example.inputs[SIZES]
    ends = np.searchsorted(np.cumsum(sizes), np.cumsum(example.inputs[TEXTS])) + 1
    inputs = {name: values for name, values in example.inputs.items() if name != SIZES}
    return replace(example, inputs={**inputs, TEXTS: sizes}), np.diff(ends, prepend=0).tolist()


def stacked(
    examples: Sequence[Example], padding: int, *, part: int = PART
) -> tuple[dict[str, Any], dict[str, Any], int]:
    """All texts of some examples.

    Args:
        examples: with `texts`.
        padding: what ids are filled up with.
        part: texts in one pass.

    Returns:
        Right-padded inputs and mask (K, T), by length; for the task itself `place`, where each text of the rows is among
        them (K,), `counts`, how many each row has, and `parts`, how many texts and tokens (k, t) each pass has; and how
        many numbers the passes fill up.
    """
    import torch

    names = [name for name in examples[0].inputs if name != TEXTS]
    texts = {name: [text for example in examples for text in split(example, name)] for name in names}
    sizes = np.array([len(text) for text in texts["input_ids"]])
    order = np.argsort(sizes, kind="stable")
    inputs = {
        name: pad([each[place] for place in order], padding if name == "input_ids" else 0)
        for name, each in texts.items()
    }
    inputs["attention_mask"] = pad([np.ones(sizes[place], dtype=np.int64) for place in order], 0)
    parts = [sizes[order[each]] for each in chunks(list(range(len(order))), part)]
    extra = {
        "place": torch.from_numpy(np.argsort(order)),
        "counts": [len(example.inputs[TEXTS]) for example in examples],
        "parts": [(len(each), int(each.max())) for each in parts],
    }
    return inputs, extra, sum(int(each.max()) * len(each) - int(each.sum()) for each in parts)


def each(inputs: Mapping[str, Tensor], parts: Sequence[tuple[int, int]]) -> Iterator[dict[str, Tensor]]:
    """The inputs of one pass after the other."""
    start = 0
    for count, width in parts:
        yield {name: tensor[start : start + count, :width] for name, tensor in inputs.items()}
        start += count


def outputs(model: nn.Module, batch: Batch) -> Tensor:
    """The single output of a classifier for every text (K,), at least float32, in the order of the rows."""
    import torch

    found = torch.cat([model(**part).logits[:, 0] for part in each(batch.inputs, batch.extra["parts"])])
    found = found.to(torch.promote_types(found.dtype, torch.float32))
    return found[batch.extra["place"].to(found.device)]
