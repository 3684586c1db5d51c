"""What tasks share that compare answers: every answer stands behind its prompt as a side of its own.

    rows  ->  encode(rows, processor, limit=512)  ->  Example(ids and labels of all sides, texts [12, 9]), ...

The sides of a row lie one behind the other in its example; `texts` says how long each is.  Of answers in the prompt nothing
is learnt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import Example, Record
from weitiao.core.why import reason
from weitiao.data import chat
from weitiao.data.formats import Unusable
from weitiao.tasks.parts import packed
from weitiao.tasks.parts.apart import TEXTS

if TYPE_CHECKING:
    from torch import Tensor

SIDES = ("chosen", "rejected")


def encode(
    records: Iterable[Record],
    processor: Any,
    *,
    limit: int,
    plain: bool,
    sides: Sequence[str] = SIDES,
    compared: bool = True,
    cut: Callable[..., Example] = packed.cut,
) -> Iterator[Example]:
    """One example a row, by the chat template; what is too long of a side is cut.

    A row that holds `messages` is one conversation, as it was asked and answered: one side.

    Args:
        records: rows with a `prompt` and the turns of every side.
        processor: a tokenizer with a chat template.
        limit: tokens of a side, at most.
        plain: is what somebody wrote characters, also where it spells a special token?
        sides: the columns of the answers.
        compared: are the sides set against each other?  Then a row is refused whose sides read alike.
        cut: (ids, labels, limit=...) -> a side that is no longer.
    """
    waiting: deque[int] = deque()

    def each() -> Iterator[Record]:
        for record in records:
            of_row = conversations(record, sides)
            waiting.append(len(of_row))
            yield from of_row

    rendered = chat.encode(each(), processor, plain=plain)
    while True:
        found: list[Example] = []
        refused = ""
        while not waiting or len(found) < waiting[0]:
            try:
                found.append(cut(*next(rendered), limit=limit))
            except StopIteration:
                return
            except Unusable as error:  # this side; the others are still asked for
                refused = refused or str(error)
                found.append(Example({}))
        waiting.popleft()
        yield Example({}, refused=refused) if refused else together(found, compared=compared)


def conversations(record: Record, sides: Sequence[str] = SIDES) -> list[Record]:
    """The prompt with each side; of the prompt no answer is learnt."""
    if "messages" in record.values:
        return [record]
    prompt = [
        {**turn, "weight": 0} if turn["role"] == "assistant" else turn for turn in record.values["prompt"]
    ]
    return [replace(record, values={"messages": [*prompt, *record.values[side]]}) for side in sides]


def compared(record: Record) -> dict[str, Any]:
    """The prompt, the chosen answer as what is compared with, and the rejected one."""
    chosen, rejected = (first_answer(record.values[side]) for side in SIDES)
    return {"prompt": record.values["prompt"], "reference": chosen, "rejected": rejected}


def together(sides: Sequence[Example], *, compared: bool = True) -> Example:
    """All sides as one example; a row of which a side has nothing left to be scored by says nothing."""
    ids = [list(side.inputs["input_ids"]) for side in sides]
    scored = all(side.trained for side in sides)
    if compared and scored and len(ids) == 2 and ids[0] == ids[1]:
        return Example({}, refused=reason("answers_read_alike"))
    inputs = {name: [one for side in sides for one in side.inputs[name]] for name in sides[0].inputs}
    return Example(
        {**inputs, TEXTS: [*map(len, ids)]},
        trained=sides[0].trained if len(sides) == 1 else int(scored),
        tokens_lost=sum(side.tokens_lost for side in sides),
        trained_lost=sum(side.trained_lost for side in sides),
    )


def apart(examples: Sequence[Example]) -> list[Example]:
    """Every side as a row of its own."""
    found = []
    for example in examples:
        ends = np.cumsum(example.inputs[TEXTS])
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            parts = {name: values[start:end] for name, values in example.inputs.items() if name != TEXTS}
            found.append(Example(parts))
    return found


def first_answer(turns: Sequence[Mapping[str, Any]]) -> str:
    """What is answered first in these turns; empty where nothing is."""
    said = (turn.get("content") or "" for turn in turns if turn["role"] == "assistant")
    return next(said, "")


def told(margins_B: Tensor, logps_B2: Tensor | None = None) -> dict[str, tuple[Any, float]]:
    """What a step of pairs tells the log, as sums and how many they are of, under TRL's names.

    Args:
        margins_B: the chosen side's reward less the rejected one's, without a gradient.
        logps_B2: log-probabilities of both sides.
    """
    pairs = len(margins_B)
    found: dict[str, tuple[Any, float]] = {
        "rewards/margins": (margins_B.sum(), pairs),
        "rewards/accuracies": ((margins_B.sign() + 1).sum() / 2, pairs),
    }
    if logps_B2 is not None:
        found |= {f"logps/{name}": (logps_B2[:, side].sum(), pairs) for side, name in enumerate(SIDES)}
    return found
