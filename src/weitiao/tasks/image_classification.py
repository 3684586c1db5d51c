"""Image classification: one label a picture.

{"image": "/pets/cat/1.jpg", "label": "cat"}  ->  {"label": "cat", "score": 0.98, "scores": {...}}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.core.contracts import Batch, Record, Shape
from weitiao.core.registry import register
from weitiao.data.pictured import IMAGE, KNOWN
from weitiao.data.shapes import PICTURED
from weitiao.tasks.parts.one_label import OneLabel
from weitiao.tasks.parts.pictures import OfPictures

if TYPE_CHECKING:
    from torch import Tensor, nn


@register("task", "image_classification")
@dataclass(frozen=True)
class ImageClassification(OneLabel, OfPictures):
    """Which of a fixed set of labels does a picture carry?"""

    summary: ClassVar[str] = "one label a picture"
    shape: ClassVar[Shape] = PICTURED
    auto_class: ClassVar[str] = "AutoModelForImageClassification"
    peft_task_type: ClassVar[str] = ""
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1", "precision", "recall")
    baselines: ClassVar[tuple[str, ...]] = ("frozen_features", "pixels", "majority")
    training_only: ClassVar[tuple[str, ...]] = (*OneLabel.training_only, "augment")

    def answer_of(self, record: Record) -> Any:
        """The place of its label among the model's outputs."""
        label = record.values.get("label")
        return None if label is None else self.goal(label)

    def strange(self, record: Record) -> str:
        """A label that the model does not know."""
        label = record.values.get("label")
        return "" if label is None else self.unknown(label)

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """Scores (B, L), float32."""
        found: Tensor = model(**batch.inputs).logits.float()
        return found

    def reference(self, record: Record) -> dict[str, Any]:
        """Where the picture lies, what is known of it, and its true label."""
        seen = {name: record.values[name] for name in KNOWN if name in record.values}
        return {IMAGE: record.values[IMAGE], **seen, "label": record.values.get("label")}
