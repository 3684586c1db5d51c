"""Pictures of which most pixels have a wrong label, the worst first, with the true mask and the one that was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from weitiao.core.contracts import Analysis, Judged, both
from weitiao.core.contracts.section import Fact, Rows
from weitiao.core.registry import register
from weitiao.data.pictures.painted import painted
from weitiao.evaluate.arrays import ratio
from weitiao.evaluate.pixels import counted
from weitiao.evaluate.worst import Case, worst, wrong_of

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 320
"""Pixels of a copy's longer side in the page."""
TOLD = 3
"""Pairs of labels that are named of a picture."""


@register("section", "wrong_pixels")
@dataclass(frozen=True)
class WrongPixels(Analysis):
    """What share of the known pixels is wrong, and what was taken for what."""

    summary: ClassVar[str] = "pictures with the most wrong pixels, true and found mask side by side"
    needs: ClassVar[tuple[str, ...]] = ("mask",)

    def section(self, judged: Judged) -> Rows | None:
        """The rows; none where every pixel is right."""
        labels, told = list(judged.labels), judged.systems["tuned"]
        pairs_NCD = counted(judged.rows, told, labels)
        known_N = pairs_NCD.sum((1, 2))
        wrong_N = known_N - np.trace(pairs_NCD, axis1=1, axis2=2)
        share_N = np.nan_to_num(ratio(wrong_N, known_N))
        order = [row for row in np.argsort(-share_N, kind="stable").tolist() if wrong_N[row]]
        if not order:
            return None
        cases = [
            Case(
                row,
                facts=_facts(pairs_NCD[row], labels, float(share_N[row])),
                mistake=row,
                drawn=partial(_both, there=judged.rows[row], found=told[row]),
            )
            for row in order
        ]
        note = both(
            "Left the true mask, right the one that was found. Numbers are shares of the known pixels.",
            "左为真实掩码，右为预测的掩码。数字为占已知像素的比例。",
        )
        return Rows(
            title=both("Worst pictures", "错误最多的图片"),
            note=wrong_of(len(order), len(told), note),
            rows=worst(judged, cases),
        )


def _both(picture: Image, *, there: Mapping[str, Any], found: Mapping[str, Any]) -> Image:
    return painted(picture, [there["mask"], found["mask"]], side=SIDE)


def _facts(pairs_CD: Any, labels: Sequence[str], share: float) -> list[Fact]:
    """How much is wrong, and the pairs of labels with the most wrong pixels."""
    wrong = pairs_CD[:, : len(labels)] * (1 - np.eye(len(labels), dtype=int))
    found = [Fact(name=both("wrong", "错误"), value=both("of the pixels", "的像素"), number=share)]
    for place in np.argsort(-wrong, axis=None, kind="stable")[:TOLD].tolist():
        true, said = divmod(place, len(labels))
        if pixels := int(wrong[true, said]):
            value = both(f"{labels[said]}, not {labels[true]}", f"{labels[said]}，应为 {labels[true]}")
            name = both("mistaken", "误判")
            found.append(Fact(name=name, value=value, number=pixels / pairs_CD.sum(), tone="got"))
    return found
