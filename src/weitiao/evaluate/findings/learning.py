"""What the curves tell: nothing moved, too little was learnt, or too much by heart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.evaluate.findings.beside import baseline_better
from weitiao.evaluate.findings.evidence import BEYOND, FEWEST, Evidence, Numbers, apart

SAME = 1e-6
"""Answers that differ by no more, relative to their size, are the same: half the digits that float32 has."""
MANY = 5
"""So many looks tell by themselves how noisy they are."""
LEFT = 0.5
"""A model that keeps more than this share of the loss it began with has not learnt most of what there is."""
FALLING = 0.15
"""The last look brought more than this share of all that was gained: more would have come."""


def nothing_moved(e: Evidence) -> Numbers | None:
    """Tuned and untuned answer all rows alike, to the last digits."""
    if "untuned" not in e.systems or not e.systems["untuned"]:
        return None
    pairs = zip(e.systems["tuned"], e.systems["untuned"], strict=True)
    both = [(one, other) for tuned, untuned in pairs for one, other in _pairs(tuned, untuned)]
    numbers = [pair for pair in both if all(isinstance(one, float) for one in pair)]
    if not numbers or any(one != other for one, other in both if not isinstance(one, float)):
        return None
    if any(abs(one - other) > SAME * max(abs(one), abs(other)) for one, other in numbers):
        return None
    rates = [line["learning_rate"] for line in e.log if line["event"] == "step"]
    return {"rows": len(e.references), "steps": len(rates), "learning_rate": max(rates, default=0.0)}


def no_gradient(e: Evidence) -> Numbers | None:
    """No step had a gradient: whatever trains has no part in the loss, or nothing trains."""
    norms = [line["grad_norm"] for line in e.log if line["event"] == "step"]
    return {"steps": len(norms)} if norms and not any(norms) else None


def over_fitting(e: Evidence) -> Numbers | None:
    """Behind the best look the validation loss rose while the training loss fell."""
    if len(e.looks) < 3:
        return None
    best, least, error = min(e.looks, key=lambda look: look[1])
    last, loss, _ = e.looks[-1]
    if best > last * 2 / 3 or not _rose(least, error, [look for look in e.looks if look[0] > best]):
        return None
    size = min(best, last - best)
    before, after = e.steps[best - size : best], e.steps[-size:]
    if apart(before, after) <= 2:
        return None
    return {
        "best_step": best,
        "last_step": last,
        "best_loss": least,
        "last_loss": loss,
        "train_before": float(before.mean()),
        "train_after": float(after.mean()),
    }


def _rose(least: float, error: float, later: Sequence[tuple[int, float, float]]) -> bool:
    """Is the loss of the later looks above the least one, beyond noise?

    The same rows are asked every time, so that twice the standard error of a look is wider than the noise of a
    difference; where there are many looks, how far each is from the next tells how wide that is.
    """
    losses = np.array([loss for _, loss, _ in later])
    rise = float(losses[len(losses) // 2 :].mean()) - least
    error = max(error, *(each for _, _, each in later))
    if len(later) < MANY:
        return rise > 2 * error
    jump = float(np.diff(losses).std(ddof=1)) / math.sqrt(2)
    return rise > 2 * error or rise > max(error, 4 * jump)


def barely_moved(e: Evidence) -> Numbers | None:
    """The training loss fell by no more than its noise, and the test rows show no gain."""
    quarter = len(e.steps) // 4
    if quarter < FEWEST or e.against("untuned") == "above":
        return None
    first, last = e.steps[:quarter], e.steps[-quarter:]
    if apart(first, last) > BEYOND:
        return None
    return {"first": float(first.mean()), "last": float(last.mean()), "steps": len(e.steps)}


def still_falling(e: Evidence) -> Numbers | None:
    """Training ended while both losses were falling, far from the end of the way."""
    quarter = len(e.steps) // 4
    if quarter < FEWEST or len(e.looks) < 3:
        return None
    first, third, last = e.steps[:quarter], e.steps[-2 * quarter : -quarter], e.steps[-quarter:]
    (_, begun, _), (_, before, _), (step, after, error) = e.looks[0], e.looks[-2], e.looks[-1]
    falling = apart(third, last) > BEYOND and after == min(loss for _, loss, _ in e.looks)
    much = before - after > max(error, FALLING * (begun - after))
    if not falling or not much or after <= LEFT * float(first.mean()):
        return None
    return {"step": step, "before": before, "after": after, "first": float(first.mean())}


def never_taught(e: Evidence) -> Numbers | None:
    """The base writes no better than if it drew from all its words alike, and what it was taught since is not enough."""
    told = [row for row in e.systems.get("untuned", ()) if "loss" in row and row.get("tokens")]
    if not told or not e.vocabulary or baseline_better(e) is None:
        return None
    loss = sum(row["loss"] for row in told) / sum(row["tokens"] for row in told)
    if loss < math.log(e.vocabulary):
        return None
    return {"perplexity": math.exp(min(loss, 700)), "words": e.vocabulary}


def _pairs(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """Leaves of two answers that stand in the same place; numbers as floats."""
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        for key in one:
            yield from _pairs(one[key], other[key])
    elif _listed(one) and _listed(other) and len(one) == len(other):
        for mine, its in zip(one, other, strict=True):
            yield from _pairs(mine, its)
    elif all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (one, other)):
        yield float(one), float(other)
    else:
        yield str(one), str(other)


def _listed(one: Any) -> bool:
    return isinstance(one, Sequence) and not isinstance(one, str)
