"""Which of the boxes that were told are there: the matching of COCO, picture by picture.

    [{"label", "box": [x, y, w, h], "crowd"?}] there, [{"label", "box", "score"}] told  ->  matched  ->  Matched

Boxes are told in the order of their scores; each takes the box of its class that it overlaps most and nobody took, if
they overlap enough.  A crowd (one box around many things) is neither found nor missed: whoever lies in it counts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST = 100
"""Boxes of a class in a picture that are looked at, those of the highest scores (COCO's maxDets)."""


@dataclass(frozen=True, slots=True)
class Matched:
    """A picture's boxes that were told, by class and falling score, D of them, under T thresholds."""

    label_D: Any
    score_D: Any
    hit_DT: Any
    """Whether each found a box of its own."""
    void_DT: Any
    """Whether it lies in a crowd, and counts nothing."""
    true_C: Any
    """Boxes of each class that are there, crowds left out; the last one is of all other classes."""


def overlaps(told_D4: Any, there_G4: Any, crowd_G: Any) -> Any:
    """Intersection over union of boxes [x, y, width, height] (D, G); over the told box alone, of a crowd; 0 where both are empty."""
    told_D4, there_G4 = np.asarray(told_D4, dtype=float), np.asarray(there_G4, dtype=float)
    ends_D12, ends_G2 = told_D4[:, None, :2] + told_D4[:, None, 2:], there_G4[:, :2] + there_G4[:, 2:]
    sides = np.minimum(ends_D12, ends_G2) - np.maximum(told_D4[:, None, :2], there_G4[:, :2])
    both_DG = np.clip(sides, 0, None).prod(-1)
    area_D1, area_G = told_D4[:, None, 2:].prod(-1), there_G4[:, 2:].prod(-1)
    union_DG = np.where(crowd_G, area_D1, area_D1 + area_G - both_DG)
    return np.divide(both_DG, union_DG, out=np.zeros_like(both_DG), where=union_DG > 0)


def matched(
    there: Sequence[Mapping[str, Any]],
    told: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
    thresholds: Sequence[float],
) -> Matched:
    """Match one picture.

    Args:
        there: its boxes; those with a true `crowd` are around many things.
        told: what a system says, with scores, in any order.
        labels: the classes.
        thresholds: of the overlap that a match needs.
    """
    place = {label: number for number, label in enumerate(labels)}
    sides = ([place.get(one["label"], len(labels)) for one in side] for side in (there, told))
    there_G, told_D = (np.array(side, dtype=int) for side in sides)
    crowd_G = np.array([bool(one.get("crowd")) for one in there], dtype=bool)
    true_C = np.bincount(there_G[~crowd_G], minlength=len(labels) + 1)
    score_D = np.array([one["score"] for one in told], dtype=float)
    parts = []
    for label in np.unique(told_D):
        own = np.flatnonzero(told_D == label)
        own = own[np.argsort(-score_D[own], kind="stable")][:MOST]
        # Crowds stand last: who finds a thing is not asked about them.
        goal = np.flatnonzero(there_G == label)
        goal = goal[np.argsort(crowd_G[goal], kind="stable")]
        overlap_DG = overlaps(_boxes(told, own), _boxes(there, goal), crowd_G[goal])
        parts.append((own, *_taken(overlap_DG, crowd_G[goal], np.asarray(thresholds))))
    if not parts:
        none_DT = np.zeros((0, len(thresholds)), dtype=bool)
        return Matched(told_D, score_D, none_DT, none_DT, true_C)
    order, hit_DT, void_DT = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Matched(told_D[order], score_D[order], hit_DT, void_DT, true_C)


def _boxes(side: Sequence[Mapping[str, Any]], which: Any) -> Any:
    return np.array([side[number]["box"] for number in which], dtype=float).reshape(-1, 4)


def _taken(overlap_DG: Any, crowd_G: Any, thresholds_T: Any) -> tuple[Any, Any]:
    """Who finds a thing, and who lies in a crowd: (D, T) each."""
    hit_DT = np.zeros((len(overlap_DG), len(thresholds_T)), dtype=bool)
    void_DT = np.zeros_like(hit_DT)
    # So that boxes which are the same match at a threshold of 1, too, as in pycocotools.
    least_T = np.minimum(thresholds_T, 1 - 1e-10)
    free_TG = np.ones((len(least_T), len(crowd_G)), dtype=bool)
    for told in np.flatnonzero((overlap_DG >= least_T.min()).any(1)):
        enough_TG = (overlap_DG[told] >= least_T[:, None]) & free_TG
        things_TG = np.where(enough_TG & ~crowd_G, overlap_DG[told], -1.0)
        # Of several that overlap alike the last is taken, as in pycocotools.
        best_T = things_TG.shape[1] - 1 - things_TG[:, ::-1].argmax(1)
        hit_DT[told] = things_TG.max(1) >= 0
        void_DT[told] = ~hit_DT[told] & (enough_TG & crowd_G).any(1)
        free_TG[np.flatnonzero(hit_DT[told]), best_T[hit_DT[told]]] = False
    return hit_DT, void_DT
