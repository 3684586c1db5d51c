"""Which label pixels are taken for: of the pixels of each true label, how many were given each label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Analysis, Judged
from weitiao.core.contracts.section import Matrix
from weitiao.core.registry import register
from weitiao.evaluate.pixels import counted
from weitiao.evaluate.sections.confusion import matrix


@register("section", "pixel_confusion")
@dataclass(frozen=True)
class PixelConfusion(Analysis):
    """True label by predicted one, in pixels of all pictures."""

    most: int = 60
    """Labels that a matrix shows; of more, those that are in most mistakes."""

    summary: ClassVar[str] = "which label pixels are taken for"
    needs: ClassVar[tuple[str, ...]] = ("mask",)

    def section(self, judged: Judged) -> Matrix | None:
        """The matrix; none without labels."""
        labels = list(judged.labels)
        if not labels:
            return None
        counts: Any = counted(judged.rows, judged.systems["tuned"], labels).sum(0)
        return matrix(counts[:, :-1], labels, most=self.most)
