"""Why a run says what it says of a picture: where in it the number comes from.

explain_pictures(run, records)  ->  [Explanation(image="/pets/cat/1.jpg", targets=[ExplainedTarget(..., heat=Heat(...))])]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import Example, Record, Target
from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data.pictured import IMAGE
from weitiao.data.pictures.opening import opened
from weitiao.evaluate.explain.explanation import Attention, ExplainedTarget, Explanation, Heat
from weitiao.evaluate.explain.pictured import part_read
from weitiao.evaluate.predict import predict
from weitiao.models.precision import autocast
from weitiao.stages.explained import Explained
from weitiao.stages.similar_rows import TrainingRows

if TYPE_CHECKING:
    from torch import Tensor

    from weitiao.models.precision import Half

NEXT_TO_NOTHING = 0.01
"""Of the number, which a picture of one colour gets, too, but for so much: then that is said."""
WORDS = 196
"""A picture costs what so many words do (the patches of a ViT of 224 x 224 pixels)."""
PIXELS = "pixel_values"


def explain_pictures(
    run: Explained,
    records: Sequence[Record],
    *,
    asked: Sequence[str] = (),
    similar: int = 0,
    steps: int | None = None,
    attention: bool = False,
    heard: Callable[[int, int], None] | None = None,
) -> list[Explanation]:
    """One explanation a picture.

    Args:
        run: whose predictions; its task gives labels.
        records: the rows, without their answers.
        asked, similar, steps, attention: as `explain`; where a model of pictures looks is not shown.
        heard: of how many so many are done.

    Raises:
        WeitiaoError: `not_followed` for a task that says no label of a whole picture; `no_such_target`, `picture_gone`.
    """
    from weitiao.evaluate.explain.full_precision import full_precision

    task = run.task
    if "label" not in task.predicts:
        raise fault("not_followed", why=reason("no_label_of_picture"))
    examples = [example for _, example in run.read(records)]
    rows = TrainingRows(run) if similar else None
    found = []
    for done, (record, example) in enumerate(zip(records, examples, strict=True), start=1):
        half: Any = run.recipe.train.half
        words: dict[str, Any] = {"longest": run.limit, "device": run.device, "half": half}
        (said,) = predict(run.tuned, task, [example], **words)
        with full_precision(run.tuned.model) as whole:
            asker = _Asker(run, example, record.values[IMAGE], None if whole else half)
            targets = [asker.explained(one, steps) for one in task.explains(record, said, asked=asked)]
        explanation = Explanation(
            {},
            dict(task.shown(record, said)),
            targets,
            reason("mean_colour"),
            (None if whole else half) or "float32",
            [],
            place=record.id if record.file else "",
            attention=Attention([], reason("no_attention_told")) if attention else None,
            image=record.values[IMAGE],
        )
        if rows:
            explanation.similar = rows.nearest(example, count=similar)
            explanation.warnings += [rows.notice] if rows.notice else []
        found.append(explanation)
        if heard:
            heard(done, len(records))
    return found


class _Asker:
    """A picture that is explained: its pixels as the model gets them."""

    def __init__(self, run: Explained, example: Example, path: str, half: Half | None):
        self._run, self._half = run, half
        run.tuned.model.eval()
        batch = run.task.collate([example], [0], run.tuned.processor).to(run.device)
        self._batch = batch
        self.pixels_CHW: Tensor = batch.inputs[PIXELS][0].float()
        self.part = part_read(self._made, opened(path).size)
        self.blank_CHW = self.pixels_CHW.mean((1, 2), keepdim=True).expand_as(self.pixels_CHW)

    def _made(self, picture: Any) -> Tensor:
        made: Tensor = self._run.tuned.processor(images=[picture], return_tensors="pt")[PIXELS][0]
        return made

    def _score(self, target: Target) -> Callable[[Tensor], Tensor]:
        task, model = self._run.task, self._run.tuned.model

        def score(pixels_NCHW: Tensor) -> Tensor:
            count = len(pixels_NCHW)
            # Whatever else a processor gives (a mask of pixels) is the same for all.
            inputs = {name: each.expand(count, *each.shape[1:]) for name, each in self._batch.inputs.items()}
            batch = replace(self._batch, inputs={**inputs, PIXELS: pixels_NCHW}, rows=[*range(count)])
            with autocast(self._run.device, self._half):
                return task.target_scores(model, batch, target).float()

        return score

    def explained(self, target: Target, steps: int | None) -> ExplainedTarget:
        """The heat map of a number, with the two checks."""
        import torch

        from weitiao.evaluate.explain import pictured
        from weitiao.evaluate.explain.attribute import SMALL, affordable, agreement, shares

        model, score = self._run.tuned.model, self._score(target)
        with torch.no_grad():
            both = score(torch.stack([self.pixels_CHW, self.blank_CHW])).tolist()
        value, base = (float(number) for number in both)
        warnings, taken, gap = [], 0, None
        layer = pictured.last_map(model, lambda: score(self.pixels_CHW[None]))
        if layer:
            heat_HW = pictured.grad_cam(model, layer, lambda: score(self.pixels_CHW[None]))
            grid = pictured.in_cells(heat_HW, mean=True)
        else:
            channels, height, width = self.pixels_CHW.shape
            flat, blank = (each.flatten(1).T[None] for each in (self.pixels_CHW, self.blank_CHW))
            size = sum(weight.numel() for weight in model.parameters())
            found = shares(
                lambda rows_N1PC: score(rows_N1PC[:, 0].transpose(1, 2).unflatten(2, (height, width))),
                flat,
                blank,
                most=steps or affordable(size, WORDS),
            )
            grid = pictured.in_cells(found.token_PT.reshape(height, width), mean=False)
            taken, gap = found.steps, found.gap
            if gap is None or gap >= SMALL:
                said = "-" if gap is None else f"{100 * gap:.1f}"
                warnings.append(reason("gap_large", gap=said, steps=taken))
        left_out = pictured.parts(grid)
        falls = pictured.without(score, self.pixels_CHW, self.blank_CHW, left_out, value=value)
        *each, most, least = falls.tolist()
        agree = agreement(grid.ravel().tolist(), each)
        if most <= least:
            warnings.append(reason("cells_disagree", most=f"{most:+.2f}", least=f"{least:+.2f}"))
        if layer and not grid.any():
            warnings.append(reason("nothing_for_it"))
        if abs(value - base) <= NEXT_TO_NOTHING * abs(value):
            warnings.append(reason("blank_is_alike"))
        way = "grad_cam" if layer else "integrated_gradients"
        heat = Heat(way, layer, grid.tolist(), np.reshape(each, grid.shape).tolist(), most, least, self.part)
        return ExplainedTarget(
            target.name, target.what, value, base, [], taken, gap, agree, warnings, heat=heat
        )
