"""Which labels are taken for which, with rows to look at.

rows, what was said  ->  pairs  ->  [{"true": "bad", "said": "good", "rows": 31, "examples": [...]}, ...], the most frequent first
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from weitiao.core.contracts import Told, both
from weitiao.core.contracts.section import Fact, Row, Rows
from weitiao.evaluate.worst import PREDICTED, TRUE, place, text

PAIRS = 5
EXAMPLES = 3
NOTHING = "–"
"""In the place of a label, where there is none."""


def pairs(rows: Told, told: Told) -> list[dict[str, Any]]:
    """The pairs that are mistaken most often, each with the rows of which the model was surest.

    Of rows with several labels each one that is missed is paired with each that is said instead; where nothing is, or nothing
    is missed, the other side is empty.

    Args:
        rows: with a `label` each, or `labels`.
        told: what the model says of them.
    """
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row, (true, said) in enumerate(zip(rows, told, strict=True)):
        for pair in _mistaken(true, said):
            found[pair].append(row)
    most = sorted(found.items(), key=lambda pair: -len(pair[1]))[:PAIRS]
    return [
        {
            "true": true,
            "said": said,
            "rows": len(wrong),
            "examples": [
                {"text": text(rows[row]), "place": place(rows[row]), "score": _sure(told[row], true, said)}
                for row in sorted(wrong, key=lambda row: -(_sure(told[row], true, said) or 0.0))[:EXAMPLES]
            ],
        }
        for (true, said), wrong in most
    ]


def _mistaken(true: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "labels" not in true:
        yield from [(true["label"], said["label"])] if true["label"] != said["label"] else []
        return
    missed = [label for label in true["labels"] if label not in said["labels"]]
    extra = [label for label in said["labels"] if label not in true["labels"]]
    if missed or extra:
        yield from product(missed or [""], extra or [""])


def _sure(said: Mapping[str, Any], true: str, other: str) -> float | None:
    """How sure the model is of the mistake."""
    if "labels" not in said:
        return said.get("score")
    scores = said.get("scores") or {}
    return scores.get(other) if other else 1 - scores[true] if true in scores else None


def section(found: Sequence[Mapping[str, Any]]) -> Rows | None:
    """The examples, pair by pair; none where no row is wrong."""
    if not found:
        return None
    return Rows(
        title=both("Confused labels", "易混淆的类别"),
        note=both(
            "Of the labels that are mistaken for one another most often, the rows of which the model was surest.",
            "最常被混淆的类别中，模型最有把握的几行。",
        ),
        rows=[
            Row(
                text=example["text"],
                place=example["place"],
                facts=[
                    Fact(name=TRUE, value=one["true"] or NOTHING, tone="want"),
                    Fact(name=PREDICTED, value=one["said"] or NOTHING, number=example["score"], tone="got"),
                    Fact(name=both("such rows", "此类行数"), value=one["rows"]),
                ],
            )
            for one in found
            for example in one["examples"]
        ],
    )
