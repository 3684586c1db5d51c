"""Image classification: one label a picture.

{"image": "/pets/cat/1.jpg", "label": "cat"}  ->  {"label": "cat", "score": 0.98, "scores": {...}}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast

from pydantic import Field

from weitiao.core.contracts import Batch, Example, Record, Shape
from weitiao.core.registry import register
from weitiao.data.pictured import IMAGE, KNOWN
from weitiao.data.shapes import PICTURED
from weitiao.tasks.parts.mixing import mixed
from weitiao.tasks.parts.one_label import OneLabel
from weitiao.tasks.parts.pictures import OfPictures

if TYPE_CHECKING:
    from torch import Tensor, nn

PIXELS = "pixel_values"
MIXED = "mixed"
"""In `Batch.extra` of rows that are mixed in pairs: what share of each is its own, and the other's target."""


@register("task", "image_classification")
@dataclass(frozen=True)
class ImageClassification(OneLabel, OfPictures):
    """Which of a fixed set of labels does a picture carry?"""

    mixup_alpha: Annotated[float, Field(ge=0)] = 0.0
    """MixUp: a training picture is laid over another one, in shares drawn from Beta(alpha, alpha); 0.2 is usual, 0: never."""
    cutmix_alpha: Annotated[float, Field(ge=0)] = 0.0
    """CutMix: a window of another training picture stands in it, its area drawn from Beta(alpha, alpha); 1 is usual, 0: never.
    With both each has its turn half of the time."""

    summary: ClassVar[str] = "one label a picture"
    shape: ClassVar[Shape] = PICTURED
    auto_class: ClassVar[str] = "AutoModelForImageClassification"
    peft_task_type: ClassVar[str] = ""
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1", "precision", "recall")
    baselines: ClassVar[tuple[str, ...]] = ("frozen_features", "pixels", "majority")
    training_only: ClassVar[tuple[str, ...]] = (
        *OneLabel.training_only,
        "augment",
        "mixup_alpha",
        "cutmix_alpha",
    )

    @property
    def mixes(self) -> bool:
        """With MixUp or CutMix."""
        return self.mixup_alpha > 0 or self.cutmix_alpha > 0

    @property
    def varies(self) -> bool:
        """Where pictures are changed, or mixed, as they come."""
        return bool(self.augment) or self.mixes

    def blended(self, batch: Batch, examples: Sequence[Example], processor: Any) -> Batch:
        """Training rows mixed in pairs; the loss is told the other label and how much of each is the row's own."""
        import torch

        if not self.mixes or any(example.beside is None for example in examples):
            return batch
        others = [cast(Example, example.beside) for example in examples]
        beside = self.made_ready(others, processor)[PIXELS]
        pairs = [
            mixed(
                own, other, mixup=self.mixup_alpha, cutmix=self.cutmix_alpha, rng=Random(f"mix {row.chance}")
            )
            for own, other, row in zip(batch.inputs[PIXELS], beside, examples, strict=True)
        ]
        batch.inputs[PIXELS] = torch.stack([pixels for pixels, _ in pairs])
        share_B = torch.tensor([share for _, share in pairs])
        other_B = self.stacked([other.target for other in others])
        batch.extra[MIXED] = (share_B, other_B)
        counts = self.counts([other.target for other in others])
        if batch.weights is not None and counts is not None:
            batch.weights = share_B * batch.weights + (1 - share_B) * torch.tensor(counts)
            batch.trained = float(batch.weights.double().sum())
        return batch

    def losses(self, logits_NC: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Of each row (B,); of mixed ones that of both labels, in their shares."""
        own_B = super().losses(logits_NC, batch, label_smoothing=label_smoothing)
        if MIXED not in batch.extra:
            return own_B
        share_B, other_B = (each.to(logits_NC.device) for each in batch.extra[MIXED])
        other = replace(batch, target=other_B)
        return share_B * own_B + (1 - share_B) * super().losses(
            logits_NC, other, label_smoothing=label_smoothing
        )

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
