"""The labels that a task tells apart: their order, and labels that are none of them.

ordered(["10", "b", "2"])                         ->  words by code point, numbers by their size
in_order_of(("neg", "pos"), ["POS", "NEG"])       ->  ("pos", "neg")
refuse_unknown(record, ["postive"], ("positive",))  ->  the error that a user meets
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.why import reason


def ordered(labels: Collection[str]) -> tuple[str, ...]:
    """Numbers in their own order (2 before 10), words by code point."""
    return tuple(sorted(labels, key=float) if all(map(is_number, labels)) else sorted(labels))


def is_number(label: str) -> bool:
    """Does it spell a finite number?"""
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False


def in_order_of(labels: tuple[str, ...], outputs: Sequence[str]) -> tuple[str, ...]:
    """The labels in the order of a base's outputs, when these are the same but for case: then its head knows them."""
    ours = {label.casefold(): label for label in labels}
    order = [name.casefold() for name in outputs]
    if len(ours) < len(labels) or sorted(ours) != sorted(order):
        return labels
    return tuple(ours[name] for name in order)


def outputs(labels: Sequence[str]) -> dict[str, Any]:
    """What `from_pretrained` is told of a head with an output for each label: how many, and their names."""
    names = dict(enumerate(labels))
    return {"num_labels": len(names), "id2label": names, "label2id": {v: k for k, v in names.items()}}


def refuse_two_cases(counts: Mapping[str, int]) -> None:
    """Labels must differ by more than their capital letters.

    Args:
        counts: how often each is there.

    Raises:
        WeitiaoError: `label_in_two_cases`.
    """
    met: dict[str, str] = {}
    for label in sorted(counts):
        other = met.setdefault(label.casefold(), label)
        if other != label:
            raise fault("label_in_two_cases", label=label, other=other, rows=counts[label])


def refuse_unknown(record: Record, carried: Iterable[str], labels: Sequence[str]) -> None:
    """Every label that a row carries must be one.

    Raises:
        WeitiaoError: `unknown_label`, with the place of the row.
    """
    for label in carried:
        if label not in labels:
            hint, known = did_you_mean(label, labels), ", ".join(labels)
            raise fault("unknown_label", place=record.place, label=label, known=known, hint=hint)


def unknown(carried: Iterable[str], labels: Collection[str]) -> str:
    """Why a row of new data cannot be judged by a model that does not know its label; empty when it can."""
    strange = next((label for label in carried if label not in labels), None)
    return "" if strange is None else reason("no_such_label", label=strange, known=", ".join(labels))
