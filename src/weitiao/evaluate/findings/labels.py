"""What labels tell: classes that never come, labels that stand for others, labels that the texts know nothing of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from weitiao.core.contracts import Told
from weitiao.evaluate.arrays import confusion
from weitiao.evaluate.findings.evidence import BEYOND, Evidence, Numbers, apart
from weitiao.evaluate.paired import mcnemar

SUPPORT = 5
"""A class that stands in so many test rows should be said once."""
ROWS = 20
"""Of fewer rows it cannot be said that their labels are by chance."""
RARE = 1e-3
"""So seldom a renaming of labels would look that good by chance."""


def nothing_said(e: Evidence) -> Numbers | None:
    """No span, or no label, is said of any row, though there are some in several."""
    true, said = _counts(e.references), _counts(e.systems["tuned"])
    if said or not true or max(true.values()) < SUPPORT:
        return None
    return {"rows": len(e.references), "held": sum(bool(_counts([row])) for row in e.references)}


def one_class(e: Evidence) -> Numbers | None:
    """Every row is given the same class, though there are several."""
    true, said = _counts(e.references), _counts(e.systems["tuned"])
    if not true or sum(count >= SUPPORT for count in true.values()) < 2 or len(said) > 1:
        return None
    return {"label": next(iter(said), "-"), "rows": len(e.references), "classes": len(true)}


def missing_classes(e: Evidence) -> Numbers | None:
    """Classes that stand in several test rows and are never said."""
    true, said = _counts(e.references), _counts(e.systems["tuned"])
    never = sorted(label for label, count in true.items() if count >= SUPPORT and label not in said)
    if not never:
        return None
    return {"labels": ", ".join(never), "count": len(never), "rows": sum(true[label] for label in never)}


def swapped_labels(e: Evidence) -> Numbers | None:
    """Read under other names, the answers would be right far more often."""
    from scipy.optimize import linear_sum_assignment

    labels = e.results.get("labels")
    if not labels or not e.told("label"):
        return None
    matrix = confusion(e.references, e.systems["tuned"], labels)
    true, said = linear_sum_assignment(-matrix)
    moved = [(i, j) for i, j in zip(true.tolist(), said.tolist(), strict=True) if i != j]
    gained = int(sum(matrix[i, j] for i, j in moved))
    lost = int(sum(matrix[i, i] for i, _ in moved))
    if gained <= lost or gained + lost == 0:
        return None
    from scipy import stats

    # The best of all ways to rename so many of the labels was looked for: p of a sign test times their number.
    ways = math.lgamma(len(labels) + 1) - math.lgamma(len(labels) - len(moved) + 1)
    chance = float(stats.binom.logsf(gained - 1, gained + lost, 0.5))
    if ways + chance > math.log(RARE):
        return None
    rows = int(matrix.sum())
    return {
        "pairs": ", ".join(f"{labels[j]} -> {labels[i]}" for i, j in moved),
        "accuracy": float(np.trace(matrix)) / rows,
        "renamed": (float(np.trace(matrix)) + gained - lost) / rows,
    }


def unrelated_labels(e: Evidence) -> Numbers | None:
    """Neither the model nor a baseline does better than who looks at no text."""
    if not e.told("label") or len(e.references) < ROWS or len({row["label"] for row in e.references}) < 2:
        return None
    blind = e.systems.get("majority") or _commonest(e.references)
    if _beats(e, e.systems["tuned"], blind, 1.96):
        return None
    counts = np.array(list(Counter(row["label"] for row in e.references).values()), dtype=float)
    prior = float(-(counts / counts.sum() * np.log(counts / counts.sum())).sum())
    # A model that tells anything apart says so in its probabilities first.
    if any(loss < prior - 2 * error for _, loss, error in e.looks):
        return None
    readers = [
        told for name, told in e.systems.items() if name not in ("tuned", "untuned", "majority") and told
    ]
    by_heart = (
        len(e.steps) > 1 and apart(np.full(2 * len(e.steps), prior), e.steps[len(e.steps) // 2 :]) > BEYOND
    )
    if any(_beats(e, told, blind, 1.28) for told in readers) or not (readers or by_heart):
        return None
    hits = _hits(e.references, e.systems["tuned"])
    return {
        "rows": len(e.references),
        "accuracy": float(hits.mean()),
        "blind": float(_hits(e.references, blind).mean()),
    }


def _beats(e: Evidence, told: Told, blind: Told, errors: float) -> bool:
    """Is it ahead by more than so many standard errors of the difference?"""
    found = mcnemar(_hits(e.references, told), _hits(e.references, blind))
    return bool(found["gained"] - found["lost"] > errors * math.sqrt(found["gained"] + found["lost"]))


def _commonest(references: Told) -> list[Mapping[str, Any]]:
    (label, _), *_ = Counter(row["label"] for row in references).most_common()
    return [{"label": label}] * len(references)


def _hits(references: Told, told: Told) -> Any:
    return np.array([row["label"] == one["label"] for row, one in zip(references, told, strict=True)])


def _counts(rows: Told) -> Counter[str]:
    """In how many rows each class stands: their label, their labels, or the types of their spans."""
    found: Counter[str] = Counter()
    for row in rows:
        if "label" in row:
            found[row["label"]] += 1
        elif "labels" in row:
            found.update(set(row["labels"]))
        elif "spans" in row:
            found.update({span["type"] for span in row["spans"]})
    return found
