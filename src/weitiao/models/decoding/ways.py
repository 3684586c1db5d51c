"""Which rows a model can continue together: measured, not believed of its family.

measure(model, processor)  ->  Way.RAGGED, Way.ALIKE or Way.ALONE

Rows of a few words are continued by given words, each alone in one pass without a cache; then together as `Together`
does it: one joins later, another leaves, one is longer than all that is there.  The first way whose scores are the same
is taken.  Windows are made short meanwhile, else nothing would be seen of them (`models.reach`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from weitiao.core.errors import language
from weitiao.models import examine, reach
from weitiao.models.decoding.together import Together
from weitiao.models.memory_ran_out import ran_out


class Way(StrEnum):
    """From what is cheapest to what every model can do."""

    RAGGED = "ragged"
    """Rows of any length share a pass, and others join when one has ended."""
    ALIKE = "alike"
    """Rows whose prompts have one length share a pass."""
    ALONE = "alone"
    """One row after the other."""

    def notices(self, ref: str) -> list[str]:
        """What a user should know of how prompts are answered, in their language; nothing of the usual way."""
        return [] if self is Way.RAGGED else [_WORDS[language()][self].format(ref=ref)]


_WORDS = {
    "en": {
        "alike": "{ref}: prompts of unlike length beside each other get other scores than alone, as measured; only those "
        "of one length are answered together",
        "alone": "{ref}: prompts beside each other get other scores than alone, or cannot be, as measured; they are "
        "answered one by one",
    },
    "zh": {
        "alike": "{ref}：实测表明，不同长度的提示放在一起与单独计算的结果不同；只有等长的提示一起生成回答",
        "alone": "{ref}：实测表明，提示放在一起与单独计算的结果不同，或无法放在一起；逐条生成回答",
    },
}


def measure(model: Any, processor: Any, *, longest: int) -> Way:
    """The first way that gives this model's own scores.

    Args:
        model: on its device, with whatever a method has put into it.
        processor: its tokenizer.
        longest: tokens of the longest row, answer included, that it will read.
    """
    if model.config.is_encoder_decoder:
        return Way.ALONE
    halves = any(weight.dtype in examine.HALVES for weight in model.parameters())
    device = next(model.parameters()).device.type
    given = _given(examine.plain_words(model.config, processor))
    padding = (processor.pad_token_id or 0) if processor is not None else 0
    with (
        torch.autocast(device, enabled=False),
        examine.examined(model),
        examine.Exactly() if halves else nullcontext(),
        reach.shortened(model, to=SIZES["b"], longest=longest),
    ):
        truth = _Truth(model, given)
        ways = (way for way, script in SCRIPTS.items() if _holds(model, padding, given, truth, script))
        return next(ways, Way.ALONE)


SIZES = {"a": 7, "b": 4, "c": 12, "d": 7}
"""Words of each prompt."""
MORE = 4
"""Words by which each is continued."""
SCRIPTS = {
    Way.RAGGED: ("+ab", "", "+c", "", "-a", "", "+d", "", "-cb", ""),
    Way.ALIKE: ("+ad", "", "-a", "", ""),
}
"""Who joins (+) and who leaves (-), with steps of all that are there between."""


def _given(words: Sequence[int]) -> dict[str, list[int]]:
    """Every prompt with the words that follow it."""
    given, first = {}, 0
    for name, size in SIZES.items():
        given[name] = [words[place % len(words)] for place in range(first, first + size + MORE)]
        first += size
    return given


def _holds(
    model: Any, padding: int, given: Mapping[str, Sequence[int]], truth: _Truth, script: Sequence[str]
) -> bool:
    """Are the scores those that every row gets alone?"""
    together, read = Together(model, padding=padding), dict(SIZES)
    try:
        for line in script:
            if line.startswith("-"):
                together.leave(line[1:])
                continue
            if line.startswith("+"):
                names, scores = line[1:], together.join(line[1:], [given[n][: SIZES[n]] for n in line[1:]])
            else:
                scores = together.step([given[str(name)][read[str(name)]] for name in together.names])
                names = "".join(map(str, together.names))
                read |= {name: read[name] + 1 for name in names}
            for name, score in zip(names, scores, strict=True):
                if not examine.distance(score[None], truth.of(name, read[name])) <= examine.SAME:
                    return False
    except Exception as error:  # a model's own code, asked as it may not know it
        if ran_out(error):
            raise  # it would be asked one by one for ever after
        return False
    return True


class _Truth:
    """What each row gets alone, in one pass without a cache; asked once."""

    def __init__(self, model: Any, given: Mapping[str, Sequence[int]]):
        self._model, self._given = model, given
        self._told: dict[str, Tensor] = {}

    def of(self, name: str, read: int) -> Tensor:
        """Scores (1, V) of what follows the first `read` words of a row."""
        if name not in self._told:
            ids = torch.tensor([self._given[name]], device=next(self._model.parameters()).device)
            self._told[name] = self._model(input_ids=ids, use_cache=False).logits[0].float()
        return self._told[name][read - 1 : read]
