"""What a detector of Transformers is asked, and what its outputs say: the same for every family.

    outputs, sizes  ->  things(...)     ->  [{"label", "box": [x, y, width, height] in the picture's pixels, "score"}, ...]
    outputs, step   ->  as_of_step(...) ->  the loss of the whole optimiser step, of which this is a part

The loss is the model's own.  Its parts are means: over the boxes of a batch, and, where one more class says that there is nothing,
over weighted queries.  A mean over a part of a step is another one than that over the step, so each part is taken back to
the sum that it is of, and divided by what the whole step has.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from weitiao.data.pictures.boxes import clipped, cornered

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weitiao.core.contracts import Batch

MOST = 100
"""Boxes that are told of a picture, those of the highest scores (as COCO looks at no more of a class)."""
NOTHING = -1
"""The label of what fills a row of boxes up."""
QUERIES = ("num_queries", "num_detection_tokens")
"""What configurations call the number of boxes that a model tells."""


class Counted(NamedTuple):
    """What the parts of a loss are means over."""

    rows: float
    """Pictures."""
    boxes: float
    """Boxes."""
    matched: float
    """Boxes that have a query: no more in a picture than there are queries."""


def queries(config: Any) -> int:
    """How many boxes a model tells of a picture."""
    return int(next(getattr(config, name) for name in QUERIES if getattr(config, name, None)))


def counted(model: Any, target_BM5: Tensor) -> Counted:
    """Of the rows of a batch."""
    boxes_B = (target_BM5[..., 0] != NOTHING).sum(1)
    matched = boxes_B.clamp(max=queries(model.config)).sum()
    return Counted(len(target_BM5), int(boxes_B.sum()), int(matched))


def asked(model: nn.Module, inputs: dict[str, Tensor], target_BM5: Tensor | None) -> Any:
    """What a model says of pictures; with its loss where their boxes are given."""
    takes = inspect.signature(model.forward).parameters
    words: dict[str, Any] = {name: each for name, each in inputs.items() if name in takes}
    if target_BM5 is not None:
        there = [row[row[:, 0] != NOTHING] for row in target_BM5]
        words["labels"] = [{"class_labels": row[:, 0].long(), "boxes": row[:, 1:]} for row in there]
    return model(**words)


def says_nothing(outputs: Any, config: Any) -> bool:
    """Is there one more class, which says that there is nothing?"""
    return bool(outputs.logits.shape[-1] == config.num_labels + 1)


def as_of_step(outputs: Any, config: Any, own: Counted, step: Counted) -> Tensor:
    """The part of a batch in the loss of its whole step.

    Args:
        outputs: of the batch, with a loss.
        config: the model's.
        own: of the batch.
        step: of all batches of the step.
    """
    loss: Tensor = outputs.loss
    boxes = max(own.boxes, 1) / max(step.boxes, 1)
    if not says_nothing(outputs, config):
        return loss * boxes
    # Cross-entropy is a mean over queries, those without a thing at a lower weight (Carion et al. 2020, section 4).
    of_classes = sum(each for name, each in outputs.loss_dict.items() if name.startswith("loss_ce"))
    seen, free = outputs.logits.shape[1], config.eos_coefficient
    weights = [one.matched + free * (one.rows * seen - one.matched) for one in (own, step)]
    return (loss - of_classes) * boxes + of_classes * weights[0] / weights[1]


def things(
    outputs: Any, config: Any, labels: Sequence[str], frames: Sequence[Sequence[float]]
) -> list[list[dict[str, Any]]]:
    """What is told of each picture, the surest first.

    Args:
        outputs: of the model.
        config: its configuration.
        labels: names of its outputs.
        frames: of each picture its width and height, and the width and height of all that the model saw (with what filled it
            up), in the picture's pixels.
    """
    logits_BQC, boxes_BQ4 = outputs.logits.detach().float(), outputs.pred_boxes.detach().float()
    if says_nothing(outputs, config):
        score_BK, label_BK = logits_BQC.softmax(-1)[..., :-1].max(-1)
        query_BK = None
    else:
        # A query may be several things.
        flat_BK = logits_BQC.sigmoid().flatten(1)
        score_BK, place_BK = flat_BK.topk(min(MOST, flat_BK.shape[1]), dim=1)
        query_BK, label_BK = place_BK // logits_BQC.shape[-1], place_BK % logits_BQC.shape[-1]
    found = []
    for row, (width, height, across, down) in enumerate(frames):
        boxes_Q4 = boxes_BQ4[row] if query_BK is None else boxes_BQ4[row, query_BK[row]]
        inside_Q4 = clipped(cornered(boxes_Q4.cpu().numpy(), across, down), width, height)
        scores = score_BK[row].tolist()
        told = [
            {"label": labels[label], "box": np.round(box, 2).tolist(), "score": score}
            for label, box, score in zip(label_BK[row].tolist(), inside_Q4, scores, strict=True)
            if min(box[2:]) > 0
        ]
        found.append(sorted(told, key=lambda one: -one["score"])[:MOST])
    return found


def padded(pictures: Sequence[dict[str, Tensor]]) -> tuple[dict[str, Tensor], list[tuple[int, int]]]:
    """Pictures that are ready, one by one, as one batch filled up on the right and below; and how wide and high each is of that.

    Args:
        pictures: `pixel_values` (1, C, H, W) each, with or without a `pixel_mask` (1, H, W).
    """
    import torch

    sizes = [_seen(one) for one in pictures]
    high, wide = (max(one["pixel_values"].shape[axis] for one in pictures) for axis in (2, 3))
    pixels_BCHW = torch.zeros(len(pictures), pictures[0]["pixel_values"].shape[1], high, wide)
    mask_BHW = torch.zeros(len(pictures), high, wide, dtype=torch.long)
    for row, (one, (width, height)) in enumerate(zip(pictures, sizes, strict=True)):
        _, _, down, across = one["pixel_values"].shape
        pixels_BCHW[row, :, :down, :across] = one["pixel_values"][0]
        mask_BHW[row, :height, :width] = 1
    return {"pixel_values": pixels_BCHW, "pixel_mask": mask_BHW}, sizes


def _seen(one: dict[str, Tensor]) -> tuple[int, int]:
    if (mask_1HW := one.get("pixel_mask")) is not None:
        return int(mask_1HW[0].any(0).sum()), int(mask_1HW[0].any(1).sum())
    *_, height, width = one["pixel_values"].shape
    return width, height


def row_of(batch: Batch, row: int) -> tuple[dict[str, Tensor], Tensor | None]:
    """One row of a batch alone, as it lies there."""
    inputs = {name: each[row : row + 1] for name, each in batch.inputs.items()}
    return inputs, None if batch.target is None else batch.target[row : row + 1]
