"""From which probability on a label is said, for a wished precision or recall.

precision >= wish: the lowest threshold that has it on the validation rows, so that most are found
recall    >= wish: the highest one, so that fewest are false

Each label stands against all others.  The threshold lies in the middle between the last score that is said and the next one;
what it gives is counted on the test rows, which choose nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core.contracts import both
from weitiao.core.contracts.section import Column, Table, TableRow, estimated
from weitiao.core.why import reason
from weitiao.evaluate import judge
from weitiao.evaluate.analysis.chances import Chances
from weitiao.evaluate.metrics.accuracy import Accuracy

WISHES = (("precision", 0.9), ("precision", 0.95), ("recall", 0.9), ("recall", 0.95))
SHOWN = 24
"""Lines of the table, those of the labels that most validation rows carry."""
CALLED = {"precision": both("precision", "精确率"), "recall": both("recall", "召回率")}


def thresholds(
    labels: Sequence[str],
    validation: Chances,
    test: Chances,
    groups: Sequence[int],
    wishes: Sequence[tuple[str, float]] = WISHES,
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """A threshold a label and wish, and what it gives.

    Args:
        labels: in the order of the scores.
        validation: rows that choose.
        test: rows on which is counted.
        groups: which group each test row is of.
        wishes: `precision` or `recall`, and how much of it at least.
        confidence: of intervals.
        resamples: draws behind those of groups.
        seed: of the draws.
    """
    words: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    found = []
    for place in np.argsort(-validation.true.sum(0), kind="stable").tolist():
        scores, true = validation.scores[:, place], validation.true[:, place] > 0
        for kind, wish in wishes:
            one: dict[str, Any] = {"label": labels[place], "wished": kind, "at_least": wish}
            chosen = choose(scores, true, kind, wish)
            if isinstance(chosen, str):
                found.append({**one, "why": chosen})
                continue
            said = scores >= chosen
            hits = int((said & true).sum())
            found.append(
                {
                    **one,
                    "threshold": chosen,
                    "validation": {
                        "precision": hits / int(said.sum()),
                        "recall": hits / int(true.sum()),
                        "said": int(said.sum()),
                        "true": int(true.sum()),
                    },
                    "test": _counted(
                        test.scores[:, place] >= chosen, test.true[:, place] > 0, groups, **words
                    ),
                }
            )
    return {"rows": len(validation.true), "thresholds": found}


def choose(scores_N: Any, true_N: Any, kind: str, wish: float) -> float | str:
    """The threshold, or why there is none.

    Args:
        scores_N: the probability of a label in each row.
        true_N: whether the row carries it.
        kind: `precision` or `recall`.
        wish: how much of it at least.
    """
    if not true_N.any():
        return reason("label_not_in_validation")
    order = np.argsort(-scores_N, kind="stable")
    scores, hits = scores_N[order], np.cumsum(true_N[order])
    # Rows of one score are said together, or not at all.
    ends = np.flatnonzero(np.append(scores[:-1] > scores[1:], True))
    if kind == "precision":
        fine = ends[hits[ends] >= wish * (ends + 1)]
        last = int(fine[-1]) if len(fine) else -1
    else:
        last = int(ends[hits[ends] >= wish * hits[-1]][0])
    if last < 0:
        return reason("threshold_out_of_reach", best=f"{(hits[ends] / (ends + 1)).max():.3f}")
    below = scores[last + 1] if last + 1 < len(scores) else 0.0
    return float((scores[last] + below) / 2)


def _counted(said_N: Any, true_N: Any, groups: Sequence[int], **words: Any) -> dict[str, Any]:
    group_N, hit_N = np.asarray(groups), said_N & true_N
    return {
        "precision": _share(hit_N[said_N], group_N[said_N], reason("none_reaches_threshold"), **words),
        "recall": _share(hit_N[true_N], group_N[true_N], reason("label_not_in_test"), **words),
        "said": int(said_N.sum()),
        "true": int(true_N.sum()),
    }


def _share(hit_M: Any, group_M: Any, otherwise: str, **words: Any) -> dict[str, Any]:
    if not len(hit_M):
        return {"value": None, "low": None, "high": None, "why": otherwise}
    rows_MK = np.stack([hit_M.astype(float), np.ones(len(hit_M))], axis=1)
    return judge.around(Accuracy(), rows_MK, group_M, **words)


def section(found: Mapping[str, Any]) -> Table | None:
    """Thresholds with what they give on the test rows; none where there are none."""
    lines = found.get("thresholds", [])
    shown = lines[:SHOWN]
    reached = [one for one in shown if "threshold" in one]
    if not reached:
        return None
    kept = sum(_kept(one) for one in lines if "threshold" in one)
    count = sum("threshold" in one for one in lines)
    return Table(
        title=both("Thresholds", "阈值"),
        note=both(
            "From which probability on a label is to be said, chosen by the validation rows alone; what that gives on the test rows.",
            "概率达到多少才给出该类别，仅由验证数据选定；以及其在测试数据上的结果。",
        ),
        foot=both(
            f"{count:,} of {len(lines):,} wishes can be met on {found['rows']:,} validation rows; {kept:,} of them are met on the test rows.",
            f"{len(lines):,} 个目标中有 {count:,} 个可在 {found['rows']:,} 行验证数据上达到，其中 {kept:,} 个在测试数据上也达到。",
        ),
        head=both("label and wish", "类别与目标"),
        columns=[
            Column(title=both("threshold", "阈值")),
            Column(title=CALLED["precision"]),
            Column(title=CALLED["recall"]),
            Column(title=both("rows said", "给出的行数")),
        ],
        rows=[
            TableRow(
                name=_named(one),
                values=[
                    one["threshold"],
                    estimated(one["test"]["precision"]),
                    estimated(one["test"]["recall"]),
                    one["test"]["said"],
                ]
                if "threshold" in one
                else [one["why"], None, None, None],
            )
            for one in shown
        ],
    )


def _kept(one: Mapping[str, Any]) -> bool:
    value = one["test"][one["wished"]]["value"]
    return value is not None and value >= one["at_least"]


def _named(one: Mapping[str, Any]) -> Any:
    wished, goal = CALLED[one["wished"]], f"{100 * one['at_least']:g} %"
    return both(
        f"\u2068{one['label']}\u2069: {wished.en} ≥ {goal}",
        f"\u2068{one['label']}\u2069：{wished.zh} ≥ {goal}",
    )
