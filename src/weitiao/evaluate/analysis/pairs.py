"""Which labels are taken for which, with rows to look at.

rows, what was said  ->  pairs  ->  [{"true": "bad", "said": "good", "rows": 31, "examples": [...]}, ...], the most frequent first
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.core.contracts import Told, both
from weitiao.core.contracts.section import Fact, Row, Rows
from weitiao.evaluate.worst import PREDICTED, TRUE, place, text

PAIRS = 5
EXAMPLES = 3


def pairs(rows: Told, told: Told) -> list[dict[str, Any]]:
    """The pairs that are mistaken most often, each with the rows of which the model was surest.

    Args:
        rows: with a `label` each.
        told: what the model says of them.
    """
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row, (true, said) in enumerate(zip(rows, told, strict=True)):
        if true["label"] != said["label"]:
            found[true["label"], said["label"]].append(row)
    most = sorted(found.items(), key=lambda pair: -len(pair[1]))[:PAIRS]
    return [
        {
            "true": true,
            "said": said,
            "rows": len(wrong),
            "examples": [
                {"text": text(rows[row]), "place": place(rows[row]), "score": told[row].get("score")}
                for row in sorted(wrong, key=lambda row: -(told[row].get("score") or 0.0))[:EXAMPLES]
            ],
        }
        for (true, said), wrong in most
    ]


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
                    Fact(name=TRUE, value=one["true"], tone="want"),
                    Fact(name=PREDICTED, value=one["said"], number=example["score"], tone="got"),
                    Fact(name=both("such rows", "此类行数"), value=one["rows"]),
                ],
            )
            for one in found
            for example in one["examples"]
        ],
    )
