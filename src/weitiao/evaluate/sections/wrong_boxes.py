"""Pictures in which things were missed, or found wrongly, the worst first, with both boxes drawn on them.

The kinds of mistakes are TIDE's (Bolya et al. 2020, arXiv 2008.08115), with its thresholds of overlap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Both, Fact, Rows
from weitiao.core.registry import register
from weitiao.data.pictures.drawn import outlined
from weitiao.evaluate.matching import overlaps
from weitiao.evaluate.worst import Case, worst, wrong_of

SIDE = 320
"""Pixels of a picture's longer side in the page."""
KINDS = {
    "missed": both("missed", "漏检"),
    "label": both("wrong label", "类别错误"),
    "place": both("badly placed", "位置偏差"),
    "twice": both("found twice", "重复"),
    "nothing": both("nothing there", "误检"),
}


class Mistake(NamedTuple):
    """Something that is there, something that was found, or both."""

    kind: str
    there: Mapping[str, Any] | None = None
    found: Mapping[str, Any] | None = None


@register("section", "wrong_boxes")
@dataclass(frozen=True)
class WrongBoxes(Analysis):
    """Of what whoever asks would have been told: what was missed, found twice, called or placed wrongly, or is not there."""

    overlap: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Intersection over union from which a box is on a thing."""
    least: Annotated[float, Field(ge=0, le=1)] = 0.1
    """From which it is near it."""

    summary: ClassVar[str] = "pictures with missed, doubled and wrong boxes, drawn on them"
    needs: ClassVar[tuple[str, ...]] = ("objects",)

    def section(self, judged: Judged) -> Rows | None:
        """The rows; none where all is found as it is."""
        pairs = zip(judged.rows, judged.systems["tuned"], strict=True)
        told = [(true["objects"], judged.sure(said)["objects"]) for true, said in pairs]
        found = {
            row: wrong for row, (there, said) in enumerate(told) if (wrong := self.mistakes(there, said))
        }
        if not found:
            return None
        order = sorted(found, key=lambda row: -len(found[row]))
        cases = [
            Case(
                row,
                facts=[_fact(one) for one in found[row]],
                mistake=row,
                drawn=partial(outlined, there=told[row][0], found=told[row][1], side=SIDE),
            )
            for row in order
        ]
        return Rows(
            title=both("Worst pictures", "错误最多的图片"),
            note=wrong_of(len(found), len(told), _counted(found)),
            rows=worst(judged, cases),
        )

    def mistakes(
        self, there: Sequence[Mapping[str, Any]], said: Sequence[Mapping[str, Any]]
    ) -> list[Mistake]:
        """What is wrong with the boxes of one picture; a crowd is neither found nor missed."""
        things = [one for one in there if not one.get("crowd")]
        crowds = [one for one in there if one.get("crowd")]
        said = sorted(said, key=lambda one: -one["score"])
        over_DG, crowded_DG = _overlaps(said, things), _overlaps(said, crowds, crowds=True)
        same_DG = np.array([[a["label"] == b["label"] for b in things] for a in said], dtype=bool)
        same_DG = same_DG.reshape(len(said), len(things))
        free_G = np.ones(len(things), dtype=bool)
        rest, wrong = [], []
        for box, one in enumerate(said):
            fits_G = np.where(same_DG[box] & free_G, over_DG[box], 0)
            if len(things) and fits_G.max() >= self.overlap:
                free_G[fits_G.argmax()] = False
            elif not (crowded_DG[box] >= self.overlap).any():
                rest.append((box, one))
        known_G = ~free_G
        for box, one in rest:
            kind, which = self._kind(over_DG[box], same_DG[box])
            wrong.append(Mistake(kind, things[which] if which is not None else None, one))
            # What was called or placed wrongly was seen.
            if which is not None:
                known_G[which] = True
        missed = [Mistake("missed", one) for one, known in zip(things, known_G, strict=True) if not known]
        return [*missed, *wrong]

    def _kind(self, over_G: Any, same_G: Any) -> tuple[str, int | None]:
        """What is wrong with a box that found nothing, and the thing that it meant."""
        own_G, other_G = np.where(same_G, over_G, 0), np.where(same_G, 0, over_G)
        if over_G.size and own_G.max() >= self.overlap:
            return "twice", int(own_G.argmax())
        if over_G.size and other_G.max() >= self.overlap:
            return "label", int(other_G.argmax())
        if over_G.size and own_G.max() >= self.least:
            return "place", int(own_G.argmax())
        return "nothing", None


def _overlaps(said: Sequence[Any], things: Sequence[Any], *, crowds: bool = False) -> Any:
    told_D4, there_G4 = (
        np.array([one["box"] for one in side], dtype=float).reshape(-1, 4) for side in (said, things)
    )
    return overlaps(told_D4, there_G4, np.full(len(things), crowds))


def _fact(one: Mistake) -> Fact:
    """The kind, of which thing, and how sure it was told."""
    kind, there, found = one
    if found is None:
        return Fact(name=KINDS[kind], value=there["label"] if there else None, tone="want")
    value: Any = found["label"]
    if kind == "label" and there:
        value = both(f"{found['label']}, not {there['label']}", f"{found['label']}，应为 {there['label']}")
    return Fact(name=KINDS[kind], value=value, number=found["score"], tone="got")


def _counted(found: Mapping[int, Sequence[Mistake]]) -> Both:
    """How many mistakes of each kind there are, and how to look at the pictures."""
    counts = Counter(one.kind for wrong in found.values() for one in wrong)
    en = ", ".join(f"{KINDS[kind].en} {counts[kind]:,}" for kind in KINDS if counts[kind])
    zh = "，".join(f"{KINDS[kind].zh} {counts[kind]:,}" for kind in KINDS if counts[kind])
    return both(
        f"{en[0].upper()}{en[1:]}. Whole blue lines are around what is there, broken orange ones around what was found.",
        f"{zh}。蓝色实线框为真实物体，橙色虚线框为检出结果。",
    )
