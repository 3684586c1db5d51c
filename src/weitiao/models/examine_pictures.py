"""What a model does with pictures beside each other: measured when it is opened, as `examine` does with words.

    examine(model, task, processor, ref="vit")  ->  Examined(layout=PADDED, attention="sdpa")
    scores(model, processor, layout)            ->  what the model says to a few pictures, one tensor each

Two pictures of noise, of unlike sides, go through it alone and together: what is said of one must not hang on the other.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from weitiao.core.contracts import Task
from weitiao.core.errors import WeitiaoError, fault
from weitiao.data.layout import Layout
from weitiao.models import examine as words
from weitiao.models.examine import SAME, Examined
from weitiao.models.memory_ran_out import ran_out

SIDES = ((40, 30), (24, 36))
"""Width and height of each."""


def examine(model: Any, task: Task, processor: Any, *, ref: str) -> Examined:
    """Find how pictures may lie and the attention function for it, and give the model that function.

    Raises:
        WeitiaoError: `model_fails`, `no_numbers`.
    """
    names = [name for name in words.attentions(task, "cpu") if words.attend(model, name)]
    names = names or ["eager"]
    inputs = looked_at(processor, next(model.parameters()).device)
    with words.examined(model):
        try:
            words.attend(model, names[-1])
            truth = [said(model, one) for one in inputs]
            if not all(bool(each.isfinite().all()) for each in truth):
                raise fault("no_numbers", ref=ref)
            for name in names:
                words.attend(model, name)
                beside = scores(model, processor, Layout.PADDED)
                apart = max(
                    words.distance(one[None], known) for one, known in zip(beside, truth, strict=True)
                )
                if apart <= SAME:
                    return Examined(Layout.PADDED, name, apart)
        except Exception as error:  # a model's own code, on plain pictures
            if ran_out(error) or isinstance(error, WeitiaoError):
                raise
            raise fault("model_fails", ref=ref, why=words.first_line(error)) from error
    words.attend(model, names[-1])
    return Examined(Layout.ALONE, names[-1], apart)


def scores(model: Any, processor: Any, layout: Layout) -> list[Tensor]:
    """What the model says, as it is now, to pictures that lie so."""
    device = next(model.parameters()).device
    if layout is Layout.ALONE:
        return [said(model, one)[0] for one in looked_at(processor, device)]
    return list(said(model, _ready(processor, _noise(), device)))


def looked_at(processor: Any, device: Any) -> list[dict[str, Tensor]]:
    """The pictures as the model is called with them, one by one."""
    return [_ready(processor, [one], device) for one in _noise()]


def said(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    """Scores of each picture (B, ...), float32."""
    return words.scored(model(**inputs)).float()


def _ready(processor: Any, pictures: list[Any], device: Any) -> dict[str, Tensor]:
    found = processor(images=pictures, return_tensors="pt")
    return {name: each.to(device) for name, each in found.items() if isinstance(each, Tensor)}


def _noise() -> list[Any]:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    return [
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)) for width, height in SIDES
    ]


def given(model: Any, inputs: dict[str, Tensor]) -> tuple[int, int]:
    """Numbers that all modules of a model give together for these inputs, and those of the largest; a module's own stand
    in those of the modules around it, too."""
    counts = [0]

    def note(module: Any, args: Any, output: Any) -> None:
        found = output if isinstance(output, tuple | list) else [output]
        counts.append(sum(each.numel() for each in found if isinstance(each, Tensor)))

    handles = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with words.examined(model):
            model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return sum(counts), max(counts)
