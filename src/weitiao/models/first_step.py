"""A step of a few words in training mode, before anything slow: some families read a row and fail on learning from it.

    refuse_failing(loaded, task, half="bfloat16", recomputes=False, ref="mine")     nothing, or what the model's code says

Reformer reads rows of any length and learns from those of one length alone; X-MOD writes half-precision numbers into
a float32 tensor under autocast.  What fails is tried again without half precision and without recomputation, so that
the way out is one that was seen to work.  No gradient is kept, and no weight, buffer or chance is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from weitiao.core.contracts import Task
from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.models import anatomy, beside, examine
from weitiao.models.load import Loaded
from weitiao.models.memory_ran_out import ran_out
from weitiao.models.precision import Half, autocast
from weitiao.models.quiet import quiet

MOST = 1 << 24
"""Numbers of the weights whose gradients are asked for, the smallest first: whether all of them fit is asked later."""


def refuse_failing(
    loaded: Loaded, task: Task, *, half: Half | None, recomputes: bool, ref: str, room: int
) -> None:
    """Forward and backward as a run does them, of rows that lie as this model's rows do.

    Args:
        loaded: the model with the method's modules in it.
        task: what is learnt.
        half: what products are computed in.
        recomputes: are activations computed again in backward?
        ref: the model's name in errors.
        room: tokens that a row may have.

    Raises:
        WeitiaoError: `fails_so` where it learns without half precision, or without recomputation; `model_fails`.
    """
    why = _failure(loaded, task, half, recomputes, room)
    if why is None:
        return
    key = "fp16" if half == "float16" else "bf16"
    said = {key: half is not None, "activation_checkpointing": recomputes}
    for still, again in ((None, recomputes), (half, False), (None, False)):
        tried = {key: still is not None, "activation_checkpointing": again}
        if tried != said and _failure(loaded, task, still, again, room) is None:
            changed = [name for name in said if said[name] != tried[name]]
            settings = " ".join(f"train.{name}=true" for name in changed)
            raise fault(
                "fails_so", ref=ref, settings=settings, why=why, way=settings.replace("true", "false")
            )
    raise fault("model_fails", ref=ref, why=reason("in_training_mode", why=why))


def _failure(loaded: Loaded, task: Task, half: Half | None, recomputes: bool, room: int) -> str | None:
    """What the model's code says to a step; None when it takes it."""
    model = loaded.model
    weights: list[torch.Tensor] = []
    numbers = 0
    for weight in sorted(loaded.trained.values(), key=lambda weight: weight.numel()):
        numbers += weight.numel()
        if not weights or numbers <= MOST:
            weights.append(weight)
    with _learning(model, recomputes=recomputes):
        try:
            with autocast(next(model.parameters()).device.type, half):
                scores = beside.scores(loaded.model, task, loaded.processor, loaded.layout, room=room)
                loss = torch.stack([each[each.isfinite()].square().mean() for each in scores]).sum()
            torch.autograd.grad(loss, weights, allow_unused=True)
        except Exception as error:  # a model's own code, on plain rows
            if ran_out(error):
                raise  # no fault of the model's
            return examine.first_line(error)
    return None


@contextmanager
def _learning(model: Any, *, recomputes: bool) -> Iterator[None]:
    """In training mode; buffers, chance and mode are as they were afterwards."""
    training = model.training
    buffers = {name: each.clone() for name, each in model.named_buffers() if each.is_floating_point()}
    model.train()
    with quiet(), torch.random.fork_rng():
        if recomputes:
            anatomy.recompute(model)
        try:
            yield
        finally:
            if recomputes:
                model.activation_checkpointing_disable()
            model.train(training)
            with torch.no_grad():
                for name, value in buffers.items():
                    model.get_buffer(name).copy_(value)
