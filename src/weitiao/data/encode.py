"""Records in, examples out, and the ledger knows what was cut.

list[Record]  ->  encode(records, task, processor, ...)  ->  (records, examples) that go on together
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weitiao.core.contracts import Example, Record, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Data
from weitiao.data.check import Ledger
from weitiao.data.formats import Unusable


def encode(
    records: Sequence[Record], task: Task, processor: Any, *, data: Data, limit: int, ledger: Ledger
) -> tuple[list[Record], list[Example]]:
    """Encode records and deal with those longer than `limit` tokens as `data.overlong` says.

    Returns:
        The records that stay and their examples, in the same order.

    Raises:
        WeitiaoError: `overlong_rows` when some are too long and `data.overlong` is `fail`; what the task raises.
    """
    kept: list[Record] = []
    examples: list[Example] = []
    overlong: list[tuple[str, int]] = []
    encoded = task.encode(records, processor, limit=limit)
    for record in records:
        try:
            example = next(encoded)
        except Unusable as error:  # the row's own fault; the iterator goes on with the next
            ledger.note(record.file, record.line, "dropped", str(error))
            continue
        lost = example.tokens_lost
        if lost and data.overlong == "fail":
            overlong.append((record.place, len(example) + lost))
        elif lost and (data.overlong == "drop" or not example.trained):
            why = f"{len(example) + lost} tokens, {limit} fit"
            why += "" if example.trained else ", and nothing to train on would be left"
            ledger.note(record.file, record.line, "dropped", why)
        elif not example.trained:
            ledger.note(record.file, record.line, "dropped", "there is nothing to train on")
        else:
            if lost:
                why = f"{lost} tokens lost, {example.trained_lost} of them trained on"
                ledger.note(record.file, record.line, "truncated", why)
            kept.append(record)
            examples.append(example)
    if overlong:
        place, length = overlong[0]
        raise fault("overlong_rows", count=len(overlong), limit=limit, place=place, length=length)
    return kept, examples


def token_table(examples: Sequence[Example], *, limit: int) -> dict[str, Any]:
    """Lengths in tokens, for the ledger."""
    import numpy as np

    lengths = [len(example) for example in examples]
    cut = [example for example in examples if example.tokens_lost]
    return {
        "limit": limit,
        "median": int(np.median(lengths)),
        "p95": int(np.percentile(lengths, 95)),
        "max": max(lengths),
        "truncated_rows": len(cut),
        "truncated_tokens": sum(example.tokens_lost for example in cut),
        "truncated_trained_tokens": sum(example.trained_lost for example in cut),
    }
