"""A text, or a pair, that is longer than the model reads, as one example that fits; and its scores.

    windows    [CLS] a b c d e f g [SEP]  ->  [CLS] a b c [SEP] [CLS] c d e [SEP] [CLS] e f g [SEP]    one row, three passes
    head_tail  [CLS] a b c d e f g [SEP]  ->  [CLS] a e f g [SEP]                  Sun et al. 2019, arXiv 1905.05583

    pooled(scores of all passes (K, L), [3, 1], how="mean")  ->  scores of the rows (B, L)

Of a pair the longer text goes on, beside the whole of the shorter.  The passes of a row lie one behind the other in its
`input_ids`, and `windows` says how long each is: such a row is drawn, counted and kept like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from weitiao.core.contracts import Example
from weitiao.core.why import reason
from weitiao.data.around import around
from weitiao.tasks.parts.windows import spread

if TYPE_CHECKING:
    from torch import Tensor

Pooling: TypeAlias = Literal["mean", "max"]

SIZES = "windows"
"""The input that says how long each pass of an example is."""
HEAD = 4
"""One of so many parts of what is read is the beginning: of 510 tokens the 128 of Sun et al., who take 382 of the end."""
BESIDE = 4
"""One of so many parts, at least, is left to the longer text of a pair."""


def fitted(
    whole: Example, processor: Any, *, first: int | None, limit: int, overlong: str, max_windows: int
) -> Example:
    """A row as one example of passes of at most `limit` tokens each.

    Args:
        whole: all of it encoded.
        processor: the tokenizer that did.
        first: how many tokens of its own the first of two texts has; None for a text alone.
        limit: tokens that the model reads at once.
        overlong: `windows` or `head_tail`.
        max_windows: passes at most; what is behind them is lost, and counted.
    """
    length, inputs = len(whole), whole.inputs
    windows = overlong == "windows"
    if length <= limit:
        return replace(whole, inputs={**inputs, SIZES: [length]}) if windows else whole
    marks = around(processor, texts=1 if first is None else 2)
    room = limit - sum(map(len, marks))
    texts = _texts(length, marks, first)
    if room < len(texts):
        return Example({}, refused=reason("no_word_left", length=length, limit=limit))
    longer = int(np.argmax([len(text) for text in texts]))
    own = texts[longer]
    beside = [text[: room - max(1, room // BESIDE)] for n, text in enumerate(texts) if n != longer]
    space = room - sum(map(len, beside))
    if windows:
        own = own[: space * max_windows]
        parts = [own[begin : begin + space] for begin in spread(len(own), room=space)]
    else:
        head = -(-space // HEAD)
        own = np.concatenate([own[:head], own[len(own) - space + head :]])
        parts = [own]
    special = np.setdiff1d(np.arange(length), np.concatenate(texts))
    places = [np.sort(np.concatenate([special, part, *beside])) for part in parts]
    lost = sum(map(len, texts)) - len(own) - sum(map(len, beside))
    shown: dict[str, Any] = {SIZES: [len(part) for part in places]} if windows else {}
    return replace(whole, inputs={**_taken(inputs, np.concatenate(places)), **shown}, tokens_lost=lost)


def _texts(length: int, marks: Sequence[Sequence[int]], first: int | None) -> list[Any]:
    """The places of each text's own tokens."""
    before, behind = len(marks[0]), len(marks[-1])
    if first is None:
        return [np.arange(before, length - behind)]
    second = before + first + len(marks[1])
    return [np.arange(before, before + first), np.arange(second, length - behind)]


def _taken(inputs: Mapping[str, Any], places: Any) -> dict[str, Any]:
    return {name: np.asarray(values)[places].tolist() for name, values in inputs.items()}


def passes(examples: Sequence[Example]) -> tuple[list[Example], list[int] | None]:
    """Every pass as an example, and how many each row has; None where each is read at once."""
    if SIZES not in examples[0].inputs:
        return list(examples), None
    found, counts = [], []
    for example in examples:
        ends = np.cumsum(example.inputs[SIZES])
        counts.append(len(ends))
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            inputs = {name: values[start:end] for name, values in example.inputs.items() if name != SIZES}
            found.append(Example(inputs, target=example.target))
    return found, counts


def pooled(scores_KL: Tensor, counts: Sequence[int] | None, *, how: Pooling) -> Tensor:
    """The scores of every row (B, L) from those of its passes."""
    import torch

    if counts is None:
        return scores_KL
    rows = scores_KL.split(list(counts))
    return torch.stack([part.mean(0) if how == "mean" else part.amax(0) for part in rows])
