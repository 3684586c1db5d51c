"""Semantic segmentation: which of a fixed set of labels does each pixel of a picture have?

{"image": "/yard/1.jpg", "mask": {"labels": ["grass", "path"], "png": ...}}
    ->  {"mask": {"labels": [...], "png": ...}, "shares": {"grass": 0.71, "path": 0.29}}

A mask follows whatever changes its picture, and is brought to the model's size as the picture is, nearest pixel by nearest pixel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from weitiao.core.contracts import Batch, Example, Record, Shape
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.section_values import Once
from weitiao.data.masked import MASK
from weitiao.data.pictured import IMAGE
from weitiao.data.pictures import masks
from weitiao.data.pictures.geometry import Moved
from weitiao.data.shapes import MASKED
from weitiao.tasks.parts import label_sets, segmenting
from weitiao.tasks.parts.of_several import OfSeveral

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor, nn

SHOWN = ("width", "height", "light")
PLAIN = {
    "do_rescale": False,
    "do_normalize": False,
    "do_flip_channel_order": False,
    "do_reduce_labels": False,
}
"""What a processor does to shades, which are places of labels in a mask."""


@register("task", "semantic_segmentation")
@dataclass(frozen=True)
class SemanticSegmentation(OfSeveral):
    """Which of a fixed set of labels does each pixel have?"""

    labels: Annotated[tuple[str, ...], Once] = ()
    """The labels of pixels, in the order of the model's outputs; default: those in the data, sorted."""

    summary: ClassVar[str] = "a label for each pixel of a picture"
    shape: ClassVar[Shape] = MASKED
    auto_class: ClassVar[str] = "AutoModelForSemanticSegmentation"
    peft_task_type: ClassVar[str] = ""
    predicts: ClassVar[tuple[str, ...]] = ("mask", "picture_loss")
    metrics: ClassVar[tuple[str, ...]] = ("mean_iou", "mean_dice", "pixel_accuracy")
    loss_metric: ClassVar[str] = "picture_loss"
    baselines: ClassVar[tuple[str, ...]] = ("colours", "majority_pixel")
    training_only: ClassVar[tuple[str, ...]] = ("augment",)

    # ------------------------------------------------------------------ what is learnt from

    def learn(self, records: Sequence[Record]) -> SemanticSegmentation:
        """The label set of the data, or a check against the one that was given.

        Raises:
            WeitiaoError: `too_few_labels`; `unknown_label`; `label_in_two_cases`.
        """
        counts = Counter(label for record in records for label in set(record.values[MASK]["labels"]))
        label_sets.refuse_two_cases(counts)
        if not self.labels:
            if len(counts) < 2:
                raise fault("too_few_labels", labels=", ".join(counts), rows=len(records))
            return replace(self, labels=label_sets.ordered(counts))
        for record in records:
            label_sets.refuse_unknown(record, record.values[MASK]["labels"], self.labels)
        return self

    def known(self, record: Record) -> tuple[Record, tuple[str, ...]]:
        """A mask that says nothing where its label is another, and these labels."""
        mask = record.values.get(MASK) or {"labels": ()}
        strange = tuple(dict.fromkeys(label for label in mask["labels"] if label not in self._index))
        if not strange:
            return record, ()
        kept = masks.written(masks.placed(mask, self.labels), self.labels)
        return replace(record, values={**record.values, MASK: kept}), strange

    def strange(self, record: Record) -> str:
        """A label that the model does not know."""
        return label_sets.unknown((record.values.get(MASK) or {"labels": ()})["labels"], self._index)

    def ready(self, processor: Any) -> Any:
        """The processor with `image_size`, and one that brings pictures to their size whole: of what is cut off no pixel would get
        a label."""
        processor = super().ready(processor)
        words = processor.to_dict()
        changed: dict[str, Any] = {}
        if words.get("do_center_crop"):
            changed = {"do_center_crop": False, "size": dict(words["crop_size"])}
        elif (edge := dict(words["size"]).get("shortest_edge")) is not None:
            changed = {"size": {"height": edge, "width": edge}}
        if words.get("keep_aspect_ratio"):
            changed["keep_aspect_ratio"] = False
        return type(processor)(**{**words, **changed}) if changed else processor

    # ------------------------------------------------------------------ from a row to a batch

    def answer_of(self, record: Record) -> Any:
        """A mask as bytes: how many labels it has, their places among the model's outputs, and its PNG; None of a row that is asked."""
        mask = record.values.get(MASK)
        if mask is None:
            return None
        found = masks.placed(mask, self.labels)
        there = np.unique(found[found >= 0])
        inner = np.searchsorted(there, found).astype(np.uint8)
        inner[found < 0] = masks.NOTHING
        head = np.array([len(there), *there], dtype="<u2").tobytes()
        return np.frombuffer(head + masks.png(inner, [self.labels[one] for one in there]), dtype=np.uint8)

    def _mask(self, example: Example) -> Any:
        """The place of each pixel's label among the model's outputs (H, W), -1 where nothing is known."""
        held = np.asarray(example.target).tobytes()
        (count,) = np.frombuffer(held, dtype="<u2", count=1)
        where = np.frombuffer(held, dtype="<u2", count=count, offset=2).astype(np.int64)
        inner = masks.opened(held[2 + 2 * count :])
        return np.append(where, -1)[np.minimum(inner, count)]

    def stacked(self, targets: Sequence[Any]) -> Tensor:
        """Masks of the model's size as one tensor (B, H, W)."""
        import torch

        return torch.stack(list(targets))

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Pixels (B, C, H, W), the label of each (B, H, W), and how wide and high each picture is."""
        import torch

        read = self.read(examples)
        inputs = {
            name: each
            for name, each in processor(images=[one.picture for one in read], return_tensors="pt").items()
            if isinstance(each, torch.Tensor)
        }
        known = all(example.target is not None for example in examples)
        return Batch(
            inputs,
            self._targets(examples, read, processor) if known else None,
            trained=len(examples),
            rows=list(rows),
            tokens=len(examples),
            padding=0,
            extra={"sizes": [one.picture.size for one in read]},
        )

    def _targets(self, examples: Sequence[Example], read: Sequence[Moved], processor: Any) -> Tensor:
        """The label of each pixel that the model sees (B, H, W): masks go the way of their pictures, and what is put around these
        is of no label."""
        from PIL.Image import Resampling

        words = {name: value for name, value in PLAIN.items() if hasattr(processor, name)}
        drawn = [_drawn(self._mask(example), one) for example, one in zip(examples, read, strict=True)]
        seen = processor(images=drawn, resample=Resampling.NEAREST, return_tensors="pt", **words)
        low_BHW, high_BHW, there_BHW = seen["pixel_values"].round().long().unbind(1)
        return self.stacked([*(low_BHW + 256 * high_BHW).where(there_BHW == 255, segmenting.NOTHING)])

    # ------------------------------------------------------------------ what a model says

    def tally(self, model: nn.Module, batch: Batch) -> tuple[float, ...]:
        """Pictures, and pixels that are known."""
        return float(len(batch.target)), float((batch.target != segmenting.NOTHING).sum())

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean over the known pixels of the whole step, times its pictures."""
        pictures, pixels = batch.extra.get("step") or self.tally(model, batch)  # a batch alone is a step
        scored = segmenting.asked(model, batch.inputs, learning=True)
        return segmenting.summed(scored, batch.target).sum() * (pictures / max(pixels, 1))

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """The mask of each picture at its own size, and the loss of the row alone where its mask is known."""
        scored = segmenting.asked(model, batch.inputs, learning=batch.target is not None)
        found: list[dict[str, Any]] = []
        for logits, size in zip(scored[0].logits_BChw, batch.extra["sizes"], strict=True):
            found.append({MASK: masks.written(segmenting.labelled(logits, size), self.labels, whole=True)})
        if batch.target is not None:
            sums = segmenting.summed(scored, batch.target).double().tolist()
            pixels = (batch.target != segmenting.NOTHING).sum((1, 2)).tolist()
            for one, loss, count in zip(found, sums, pixels, strict=True):
                one["picture_loss"] = loss / max(count, 1)
        return found

    def answer_code(self) -> str:
        """The place of each pixel's label among those of the configuration, at the model's own size, and the share of each."""
        return (
            'pixels = said["logits"].argmax(0)\n'
            "labels, counts = np.unique(pixels, return_counts=True)\n"
            'shares = {CONFIG["id2label"][str(label)]: float(n / pixels.size) for label, n in zip(labels, counts)}\n'
            'return {"shares": shares, "pixels": pixels.tolist()}'
        )

    def expected(self, example: Example) -> dict[str, Any]:
        """The mask of the row."""
        return {MASK: masks.written(self._mask(example), self.labels)}

    def reference(self, record: Record) -> dict[str, Any]:
        """Where the picture lies, what is known of it, and its mask."""
        seen = {name: record.values[name] for name in SHOWN if name in record.values}
        return {IMAGE: record.values[IMAGE], **seen, MASK: record.values.get(MASK)}

    def shown(self, record: Record, prediction: Mapping[str, Any]) -> dict[str, Any]:
        """What share of the picture each label has, the largest first, and the mask."""
        found = masks.read(prediction[MASK])
        counts = zip(prediction[MASK]["labels"], np.bincount(found.ravel()).tolist(), strict=False)
        shares = sorted(((count / found.size, label) for label, count in counts if count), reverse=True)
        return {"shares": {label: round(share, 6) for share, label in shares}, **prediction}


def _drawn(index_HW: Any, one: Moved) -> Image:
    """A mask as a picture: the places of labels in red and green, and blue where one is known."""
    from PIL import Image as pillow

    index_HW = masks.moved(index_HW, one.matrix_23, one.picture.size)
    shades = [index_HW & 255, index_HW >> 8 & 255, np.where(index_HW >= 0, 255, 0)]
    return pillow.fromarray(np.stack(shades, axis=-1).astype(np.uint8))
