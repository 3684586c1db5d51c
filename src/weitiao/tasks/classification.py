"""Text classification: one label a text, or a pair of texts.

{"text": "Great film.", "label": "positive"}  ->  {"label": "positive", "score": 0.98, "scores": {...}}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.core.contracts import Batch, Record, Shape
from weitiao.core.registry import register
from weitiao.data.shapes import LABELLED
from weitiao.tasks.parts.one_label import OneLabel
from weitiao.tasks.parts.texts import OfTexts

if TYPE_CHECKING:
    from torch import Tensor, nn


@register("task", "text_classification")
@dataclass(frozen=True)
class TextClassification(OneLabel, OfTexts):
    """Which of a fixed set of labels does a text carry?"""

    summary: ClassVar[str] = "one label a text (sentiment, topic, intent)"
    shape: ClassVar[Shape] = LABELLED
    baselines: ClassVar[tuple[str, ...]] = ("tfidf", "majority")

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """Scores (B, L), float32; of a row that is read in windows, what they say together."""
        return OfTexts.logits(self, model, batch)

    def reference(self, record: Record) -> dict[str, Any]:
        """Text, or both, and true label."""
        return {**self.shape.texts(record.values), "label": record.values["label"]}
