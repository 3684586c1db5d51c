"""A step that is cut into batches, and gradients beside each other, for tasks whose loss is that of the whole step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch


def gradients(loss, model):
    found = torch.autograd.grad(loss, [w for w in model.parameters() if w.requires_grad], allow_unused=True)
    return [one for one in found if one is not None]


def close(ours, others, most):
    size = max(float(one.abs().max()) for one in others)
    assert max(float((a - b).abs().max()) for a, b in zip(ours, others, strict=True)) < most * size


def alike(ours, model, theirs, other):
    """The same loss, and the same gradient of every weight, to 1e-5; `theirs` may go by another model with the same weights."""
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-5, abs=1e-6)
    close(gradients(ours, model), gradients(theirs, other), 1e-5)


def cut_up(task, model, whole):
    """Four rows of a batch in three batches, told what their step has."""
    parts = []
    for cut in ([0], [1, 2], [3]):
        inputs = {name: each[cut] for name, each in whole.inputs.items()}
        extra = {name: [each[row] for row in cut] for name, each in whole.extra.items()}
        parts.append(replace(whole, inputs=inputs, target=whole.target[cut], rows=cut, extra=extra))
    step = tuple(np.sum([task.tally(model, part) for part in parts], axis=0))
    for part in parts:
        part.extra["step"] = step
    return parts
