"""Object detection: which things are in a picture, each in a box.

{"image": "/yard/1.jpg", "objects": [{"label": "cat", "box": [48, 60, 120, 96]}]}
    ->  {"objects": [{"label": "cat", "box": [47.2, 61.0, 121.5, 94.8], "score": 0.97}, ...]}

Boxes are [x, y, width, height] in pixels of the picture, from its upper left corner.  A crowd is not learnt from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Example, Record, Shape
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.section_values import Once
from weitiao.core.why import reason
from weitiao.data.boxed import OBJECTS, SEEN, followed
from weitiao.data.pictured import IMAGE, KNOWN
from weitiao.data.pictures.boxes import centred
from weitiao.data.pictures.geometry import Moved
from weitiao.data.shapes import BOXED
from weitiao.tasks.parts import detecting, label_sets
from weitiao.tasks.parts.detecting import Counted
from weitiao.tasks.parts.of_several import OfSeveral

if TYPE_CHECKING:
    from torch import Tensor, nn


@register("task", "object_detection")
@dataclass(frozen=True)
class ObjectDetection(OfSeveral):
    """Which things of a fixed set are in a picture, and where?"""

    labels: Annotated[tuple[str, ...], Once] = ()
    """The kinds of things, in the order of the model's outputs; default: those in the data, sorted."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Score from which a thing is shown to whoever asks; metrics look at all that a model tells."""

    summary: ClassVar[str] = "things in pictures, each in a box"
    shape: ClassVar[Shape] = BOXED
    auto_class: ClassVar[str] = "AutoModelForObjectDetection"
    peft_task_type: ClassVar[str] = ""
    predicts: ClassVar[tuple[str, ...]] = ("objects", "picture_loss")
    metrics: ClassVar[tuple[str, ...]] = ("box_map", "box_map_50", "box_map_75")
    loss_metric: ClassVar[str] = "picture_loss"
    baselines: ClassVar[tuple[str, ...]] = ("constant_boxes",)
    training_only: ClassVar[tuple[str, ...]] = ("augment",)

    # ------------------------------------------------------------------ what is learnt from

    def learn(self, records: Sequence[Record]) -> ObjectDetection:
        """The label set of the data, or a check against the one that was given.

        Raises:
            WeitiaoError: `no_objects`; `unknown_label`; `label_in_two_cases`.
        """
        counts = Counter(one["label"] for record in records for one in record.values[OBJECTS])
        if not counts:
            raise fault("no_objects", rows=len(records))
        label_sets.refuse_two_cases(counts)
        if not self.labels:
            return replace(self, labels=label_sets.ordered(counts))
        for record in records:
            label_sets.refuse_unknown(record, [one["label"] for one in record.values[OBJECTS]], self.labels)
        return self

    def known(self, record: Record) -> tuple[Record, tuple[str, ...]]:
        """Without the things of other labels, and these labels."""
        things = record.values.get(OBJECTS) or []
        kept = [one for one in things if one["label"] in self._index]
        strange = tuple(dict.fromkeys(one["label"] for one in things if one["label"] not in self._index))
        return (replace(record, values={**record.values, OBJECTS: kept}) if strange else record), strange

    def strange(self, record: Record) -> str:
        """A label that the model does not know."""
        return label_sets.unknown([one["label"] for one in record.values.get(OBJECTS) or ()], self._index)

    def opened(self, model: Any, processor: Any, *, ref: str, limit: int) -> list[str]:
        """How many things the model tells of a picture, at most."""
        return [reason("most_things", ref=ref, count=detecting.queries(model.config))]

    # ------------------------------------------------------------------ from a row to a batch

    def answer_of(self, record: Record) -> Any:
        """Label, x, y, width, height and whether it is a crowd, of each thing, end to end; None of a row that is asked."""
        things = record.values.get(OBJECTS)
        if things is None:
            return None
        rows = [[self._index[one["label"]], *one["box"], bool(one.get("crowd"))] for one in things]
        return np.array(rows, dtype=np.float64).reshape(-1)

    def stacked(self, targets: Sequence[Any]) -> Tensor:
        """Label and box of each thing (B, M, 5) as models say them, filled up with `NOTHING`.

        Args:
            targets: of each row label and box of its things (n, 5).
        """
        import torch

        most = max(map(len, targets))
        found_BM5 = torch.full((len(targets), most, 5), float(detecting.NOTHING))
        for row, target_N5 in enumerate(targets):
            found_BM5[row, : len(target_N5)] = torch.as_tensor(target_N5)
        return found_BM5

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Pixels (B, C, H, W), what of them is a picture (B, H, W), and boxes (B, M, 5) in shares of all that the model sees."""
        read = self.read(examples)
        ready = [dict(processor(images=[one.picture], return_tensors="pt")) for one in read]
        inputs, sizes = detecting.padded(ready)
        *_, high, wide = inputs["pixel_values"].shape
        # All that the model sees, with what fills it up, in the pixels of the picture.
        frames = [
            (*one.picture.size, one.picture.width * wide / width, one.picture.height * high / height)
            for one, (width, height) in zip(read, sizes, strict=True)
        ]
        known = all(example.target is not None for example in examples)
        targets = [
            self._target(example, one, frame)
            for example, one, frame in zip(examples if known else (), read, frames, strict=known)
        ]
        return Batch(
            inputs,
            self.stacked(targets) if known else None,
            trained=len(examples),
            rows=list(rows),
            tokens=len(examples),
            padding=0,
            extra={"frames": frames},
        )

    def _target(self, example: Example, one: Moved, frame: Sequence[float]) -> Any:
        """Label and box of each thing that is to be seen (n, 5), in shares of all that the model sees."""
        things_N6 = np.asarray(example.target, dtype=np.float64).reshape(-1, 6)
        things_N6 = things_N6[things_N6[:, 5] == 0]
        things = [{"box": box} for box in things_N6[:, 1:5].tolist()]
        boxes_N4, seen_N = followed(things, one.matrix_23, one.picture.size)
        there_N = seen_N >= (SEEN if example.chance else 0)
        return np.concatenate([things_N6[:, :1], centred(boxes_N4, *frame[2:])], axis=1)[there_N]

    # ------------------------------------------------------------------ what a model says

    def tally(self, model: nn.Module, batch: Batch) -> tuple[float, ...]:
        """Pictures, boxes, and boxes that have a query."""
        return tuple(map(float, detecting.counted(model, batch.target)))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's own loss over the whole step, times its pictures."""
        own = detecting.counted(model, batch.target)
        step = Counted(*batch.extra["step"]) if "step" in batch.extra else own  # a batch alone is a step
        outputs = detecting.asked(model, batch.inputs, batch.target)
        config: Any = model.config
        return detecting.as_of_step(outputs, config, own, step) * step.rows

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Things by falling score, and the loss of the row alone where its boxes are known."""
        config: Any = model.config
        if batch.target is None:
            outputs = detecting.asked(model, batch.inputs, None)
            told = detecting.things(outputs, config, self.labels, batch.extra["frames"])
            return [{"objects": one} for one in told]
        found = []
        for row, frame in enumerate(batch.extra["frames"]):
            # The loss of several pictures is a mean over their boxes, from which that of one cannot be told.
            outputs = detecting.asked(model, *detecting.row_of(batch, row))
            (things,) = detecting.things(outputs, config, self.labels, [frame])
            found.append({"objects": things, "picture_loss": float(outputs.loss.detach())})
        return found

    def answer_code(self) -> str:
        """The things from `threshold` on, their boxes in shares of the picture."""
        return (
            'logits, boxes = said["logits"], said["pred_boxes"]\n'
            'names = CONFIG["id2label"]\n'
            "if logits.shape[1] > len(names):  # one more says that there is nothing\n"
            "    odds = np.exp(logits - logits.max(1, keepdims=True))\n"
            "    odds = (odds / odds.sum(1, keepdims=True))[:, :-1]\n"
            "    odds = odds * (odds == odds.max(1, keepdims=True))\n"
            "else:\n"
            "    odds = 1 / (1 + np.exp(-logits))\n"
            f"found = [(odds[at], at) for at in zip(*np.nonzero(odds >= {self.threshold}))]\n"
            'return {"things": [\n'
            '    {"label": names[str(label)], "score": float(score),\n'
            '     "box": [float(x - w / 2), float(y - h / 2), float(w), float(h)]}\n'
            "    for score, (query, label) in sorted(found, key=lambda one: -one[0])\n"
            "    for x, y, w, h in [boxes[query]]\n"
            "]}"
        )

    def expected(self, example: Example) -> dict[str, Any]:
        """The things of the row."""
        things_N6 = np.asarray(example.target, dtype=np.float64).reshape(-1, 6)
        return {
            "objects": [
                {"label": self.labels[int(label)], "box": box} | ({"crowd": True} if crowd else {})
                for label, *box, crowd in things_N6.tolist()
            ]
        }

    def reference(self, record: Record) -> dict[str, Any]:
        """Where the picture lies, what is known of it, and what is in it."""
        seen = {name: record.values[name] for name in KNOWN if name in record.values}
        return {IMAGE: record.values[IMAGE], **seen, OBJECTS: record.values.get(OBJECTS)}

    def sure(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        """The things from `threshold` on."""
        kept = [one for one in shown["objects"] if one["score"] >= self.threshold]
        return {**shown, "objects": kept}
