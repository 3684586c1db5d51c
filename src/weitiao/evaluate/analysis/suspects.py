"""Errors that are likely wrong labels: the tuned model counts the row under another label, and so does an independent judge.

rows, what the tuned model and a baseline say  ->  suspects  ->  [{"place": "reviews.csv:17", "label": "bad", "rather": "good"}, ...]

The tuned model counts a row under another label as the doctor does it before training (confident learning, Northcutt et al.
2021, `data/doctor/wrong_labels.py`); the judge is a baseline that has learnt from the training rows alone and has not seen the
row either.  Both may be wrong: a person should look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core.contracts import Told, both
from weitiao.core.contracts.section import Fact, Row, Rows
from weitiao.core.why import reason
from weitiao.data.doctor.wrong_labels import LEAST, confident
from weitiao.evaluate.analysis.chances import Chances
from weitiao.evaluate.analysis.pairs import NOTHING
from weitiao.evaluate.worst import TRUE, place, text

SHOWN = 20
MODELS = ("tuned", "untuned")


def judges(systems: Mapping[str, Told]) -> str:
    """The first system that is neither the model nor its base, and says more than one thing; empty where there is none."""
    for name, told in systems.items():
        if name not in MODELS and len({_all(one) for one in told}) > 1:
            return name
    return ""


def _all(said: Mapping[str, Any]) -> frozenset[Any]:
    """The labels of a row, one or several."""
    return frozenset(said["labels"] if "labels" in said else [said.get("label")])


def suspects(
    rows: Told, systems: Mapping[str, Told], chances: Chances, labels: Sequence[str]
) -> dict[str, Any]:
    """Rows with a likely wrong label, the most certain first.

    Args:
        rows: with a `label` each; or with `labels`, each of which is doubted by itself: one that is missing, or one that should
            not be there, has the other side empty.
        systems: by name what each says of them; `tuned` among them.
        chances: what the tuned model says, as probabilities.
        labels: in their order.
    """
    judge = judges(systems)
    if not judge:
        return {"why": reason("no_judge_of_labels")}
    if chances.known.sum() < LEAST:
        return {"why": reason("few_rows_for_labels", rows=int(chances.known.sum()), fewest=LEAST)}
    if chances.several:
        return _of_several(rows, systems, judge, chances, labels)
    known = np.flatnonzero(chances.known)
    given = chances.true[known].argmax(1)
    there, place_of = np.unique(given, return_inverse=True)  # a label that no row carries has no threshold
    found = []
    for at, other in confident(chances.scores[known][:, there], place_of):
        row, rather = int(known[at]), labels[int(there[other])]
        if systems[judge][row].get("label") != rather:
            continue
        found.append(
            {
                "place": place(rows[row]),
                "text": text(rows[row]),
                "label": rows[row]["label"],
                "rather": rather,
                "probability": float(chances.scores[row, there[other]]),
            }
        )
    alike = by_chance(rows, systems["tuned"], systems[judge])
    return {"judge": judge, "rows": len(known), "by_chance": alike, "suspects": found}


def _of_several(
    rows: Told, systems: Mapping[str, Told], judge: str, chances: Chances, labels: Sequence[str]
) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    alike = 0.0
    for at, label in enumerate(labels):
        given = chances.true[:, at].astype(int)
        if given.min() == given.max():
            continue  # on every row or on none: there is nothing to tell it from
        score_N = chances.scores[:, at]
        views = [
            [{"label": label in _all(one)} for one in told]
            for told in (rows, systems["tuned"], systems[judge])
        ]
        alike += by_chance(*views)
        for row, other in confident(np.stack([1 - score_N, score_N], axis=1), given):
            if views[2][row]["label"] != bool(other):
                continue
            found.append(
                {
                    "place": place(rows[row]),
                    "text": text(rows[row]),
                    "label": "" if other else label,
                    "rather": label if other else "",
                    "probability": float(score_N[row] if other else 1 - score_N[row]),
                }
            )
    found.sort(key=lambda one: -one["probability"])
    return {"judge": judge, "rows": len(rows), "by_chance": alike, "suspects": found}


def by_chance(rows: Told, ours: Told, others: Told) -> float:
    """How many rows two would give the same wrong label if every label were right and they erred independently of one another.

    sum over labels of rows with it times sum over other labels of (share that ours gives it) (share that others give it)
    """
    expected = 0.0
    for label in {row["label"] for row in rows}:
        with_it = [place for place, row in enumerate(rows) if row["label"] == label]
        one, other = (Counter(told[place]["label"] for place in with_it) for told in (ours, others))
        expected += sum(one[wrong] * other[wrong] for wrong in one if wrong != label) / len(with_it)
    return expected


def section(found: Mapping[str, Any]) -> Rows | None:
    """The rows; none where no label is doubted."""
    doubted = found.get("suspects", [])
    if not doubted:
        return None
    count, rows, alike = len(doubted), found["rows"], found["by_chance"]
    return Rows(
        title=both("Likely wrong labels", "可能标错的行"),
        note=both(
            f"The tuned model and {found['judge']}, neither of which has seen these rows, agree on another label than the one that stands "
            "there. Both may be wrong: look.",
            f"微调后的模型与 {found['judge']} 均未见过这些行，却一致给出与标注不同的类别。二者也可能都错，请人工查看。",
        ),
        foot=both(
            f"{count:,} doubts in {rows:,} test rows; were every label right, the two would agree on a wrong one in about {alike:.0f} by chance.",
            f"测试集 {rows:,} 行中有 {count:,} 处存疑；若标注全部正确，二者仅凭偶然也会在约 {alike:.0f} 处一致判错。",
        ),
        rows=[
            Row(
                text=one["text"],
                place=one["place"],
                facts=[
                    Fact(name=TRUE, value=one["label"] or NOTHING, tone="want"),
                    Fact(
                        name=both("rather", "更像"),
                        value=one["rather"] or NOTHING,
                        number=one["probability"],
                        tone="got",
                    ),
                ],
            )
            for one in doubted[:SHOWN]
        ],
    )
