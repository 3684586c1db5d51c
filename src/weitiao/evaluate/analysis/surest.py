"""How often the rows are wrong of which the model is surest (risk over coverage: El-Yaniv & Wiener 2010, JMLR 11, 1605-1641).

confidence, wrong  ->  surest  ->  the share that is wrong among the surest 10 %, 20 % ... of the rows, and the mean over all shares

Confidence is the probability of what is said; of several labels that of the least sure one.  Rows of one confidence stay
together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core.contracts import both
from weitiao.core.contracts.section import Curve, Line
from weitiao.evaluate import judge
from weitiao.evaluate.analysis.chances import Chances
from weitiao.evaluate.metrics.accuracy import Accuracy

STEPS = 10


def surest(
    chances: Chances, wrong_N: Any, groups: Sequence[int], *, confidence: float, resamples: int, seed: int
) -> dict[str, Any]:
    """The share of wrong rows among the surest, with intervals.

    Args:
        chances: probabilities of the rows.
        wrong_N: whether what is said of a row is wrong.
        groups: which group each row is of.
        confidence: of intervals.
        resamples: draws behind those of groups.
        seed: of the draws.
    """
    sure_N = certainty(chances)
    order = np.argsort(-sure_N, kind="stable")
    wrong, sure, group = wrong_N[order].astype(float), sure_N[order], np.asarray(groups)[order]
    found: list[dict[str, Any]] = []
    for step in range(1, STEPS + 1):
        least = sure[max(0, int(np.ceil(step * len(sure) / STEPS)) - 1)]
        rows = int((sure >= least).sum())
        if found and found[-1]["rows"] == rows:
            continue
        told = np.stack([wrong[:rows], np.ones(rows)], axis=1)
        words: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
        error = judge.around(Accuracy(), told, group[:rows].tolist(), **words)
        found.append({"share": rows / len(sure), "rows": rows, "confidence": float(least), "error": error})
    # Rows of one confidence share what is wrong of them, in whatever order they stand.
    _, place, counts = np.unique(-sure, return_inverse=True, return_counts=True)
    shared = (np.bincount(place, weights=wrong) / counts)[place]
    risk_N = np.cumsum(shared) / np.arange(1, len(wrong) + 1)
    return {"rows": len(sure), "error": float(wrong.mean()), "area": float(risk_N.mean()), "surest": found}


def certainty(chances: Chances) -> Any:
    """How sure the model is of each row (N,)."""
    scores = chances.scores
    return np.maximum(scores, 1 - scores).min(1) if chances.several else scores.max(1)


def section(found: Mapping[str, Any]) -> Curve | None:
    """A curve; none where all rows are equally sure, or right."""
    points = [one for one in found["surest"] if one["error"]["low"] is not None]
    if len(points) < 2 or not found["error"]:
        return None
    half = min(found["surest"], key=lambda one: abs(one["share"] - 0.5))
    share, wrong, all_wrong = f"{100 * half['share']:.0f} %", half["error"]["value"], found["error"]
    return Curve(
        title=both("Errors by confidence", "错误与把握"),
        note=both(
            "The share of wrong rows among those of which the model is surest. Where it rises late, rows below a probability can be "
            "left to people.",
            "模型最有把握的那部分行中判错的比例。若很晚才上升，可将低于某一概率的行交由人工处理。",
        ),
        foot=both(
            f"Of the surest {share} of the rows {100 * wrong:.1f} % are wrong, of all {100 * all_wrong:.1f} %.",
            f"最有把握的 {share} 的行中判错 {100 * wrong:.1f} %，全部行中为 {100 * all_wrong:.1f} %。",
        ),
        x=both("share of the rows, the surest first", "行的比例，最有把握的在前"),
        y=both("share that is wrong", "判错的比例"),
        lines=[
            Line(
                name=both("tuned", "微调后"),
                x=[one["share"] for one in points],
                y=[one["error"]["value"] for one in points],
                low=[one["error"]["low"] for one in points],
                high=[one["error"]["high"] for one in points],
            )
        ],
        x_range=(0.0, 1.02),
    )
