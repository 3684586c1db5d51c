"""What a step is forecast to hold, beside real optimisers, real gradients and closed formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from weitiao.core import registry
from weitiao.core.contracts import Example
from weitiao.core.recipe import Train
from weitiao.forecast import fake_model, step_memory
from weitiao.models import load, store
from weitiao.train import optim

pytestmark = pytest.mark.whole  # steps that are measured

LABELS = {"name": "text_classification", "labels": ["a", "b"]}


def model_of(ref, method="full", task=None, half=None):
    task, method = registry.build("task", task or LABELS), registry.build("method", {"name": method})
    bare = load.skeleton(ref, task)
    store.prepare(bare, method, seed=0)
    return fake_model.fill(bare, task, method, half=half), task, method


def batch_of(fake, task, *, rows, length):
    ids = np.full(length, 5)
    example = (
        Example({"input_ids": list(ids), "labels": list(ids)}, trained=length)
        if task.packs
        else Example({"input_ids": list(ids)}, target=0, trained=1)
    )
    return fake.loaded.collate(task)([example] * rows, list(range(rows)))


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "lion", "adafactor", "muon", "adamw_8bit"])
def test_moments_are_those_of_the_real_optimizer(name, bert):
    asked = Train(optim=name, learning_rate=0.1)
    settings = asked.model_copy(update=optim.resolved(asked, usual_rate=0.1, method_settings=()))
    task, method = registry.build("task", LABELS), registry.build("method", {"name": "full"})
    loaded = load.load(bert, task)
    store.prepare(loaded, method, seed=0)
    optimizer = optim.build(loaded.model, settings, learning_rate=0.1, head=loaded.head)
    for weight in loaded.trained.values():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    # Counters of steps, and tables of values that all 8-bit moments share, are no moments.
    kept = {
        tensor.untyped_storage().data_ptr(): tensor.nbytes
        for state in optimizer.state.values()
        for key, tensor in state.items()
        if torch.is_tensor(tensor) and tensor.numel() > 1 and not key.startswith("qmap")
    }
    told = step_memory.moments(loaded.model, loaded.trained, settings)
    assert told == pytest.approx(sum(kept.values()), rel=0.03)


@pytest.mark.parametrize("method", ["full", "lora", "head", "bitfit", "prefix"])
def test_weights_and_gradients_in_float32(method, bert):
    asked, task, kind = model_of(bert, method)
    batch = batch_of(asked, task, rows=4, length=12)
    found = step_memory.step(asked, kind, task, Train(bf16=False), batch)
    real = load.load(bert, task)
    store.prepare(real, kind, seed=0)
    tensors = [*real.model.parameters(), *real.model.buffers()]
    assert found.weights == sum(tensor.nbytes for tensor in tensors)
    assert found.gradients == sum(weight.nbytes for weight in real.trained.values())
    assert (found.master, found.optimizer) == (0, 2 * found.gradients)


def test_a_master_copy_stands_beside_half_precision_weights(bert):
    asked, task, kind = model_of(bert, "full", half="bfloat16")
    found = step_memory.step(asked, kind, task, Train(bf16=True), batch_of(asked, task, rows=4, length=12))
    assert found.master == found.gradients
    assert 0 < found.weights < found.master


@pytest.mark.parametrize("task", [LABELS, {"name": "sft"}])
def test_what_backward_needs_grows_with_the_batch_and_shrinks_when_recomputed(task, bert, llama):
    ref = llama if task["name"] == "sft" else bert
    asked, task, kind = model_of(ref, "lora", task)

    def held(rows, **settings):
        batch = batch_of(asked, task, rows=rows, length=32)
        return step_memory.step(asked, kind, task, Train(bf16=False, **settings), batch).activations

    assert held(32) == pytest.approx(2 * held(16), rel=0.1)
    assert held(32, activation_checkpointing=True) < 0.8 * held(32)
    assert held(32) == held(32), "the model is as it was"


def test_activations_are_those_that_a_real_step_allocates(bert):
    """Torch's own count of what a step allocates, without weights and gradients."""
    asked, task, kind = model_of(bert, "lora")
    told = step_memory.step(asked, kind, task, Train(bf16=False), batch_of(asked, task, rows=32, length=48))
    real = load.load(bert, task)
    store.prepare(real, kind, seed=0)
    real.model.train()
    batch = batch_of(asked, task, rows=32, length=48)
    with torch.profiler.profile(profile_memory=True) as profile:
        (task.loss(real.model, batch) / batch.trained).backward()
    held = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    assert told.activations == pytest.approx(peak, rel=0.1)


def test_nothing_is_computed_or_held(llama):
    """A model of shapes whose weights would take 4 GB is asked in a moment."""
    asked, task, kind = model_of(llama, "full", {"name": "sft"})
    weight = next(iter(asked.loaded.model.parameters()))
    with asked.mode:
        assert (weight.expand(10_000, *weight.shape) * 2).nbytes == 10_000 * weight.nbytes


# Every method with both tasks, once in each precision.
ASKED = [
    pytest.param(method, task, (None, "bfloat16")[(place + packed) % 2], id=f"{method}-{task['name']}")
    for place, method in enumerate(registry.names("method"))
    for packed, task in enumerate((LABELS, {"name": "sft"}))
]


@pytest.mark.parametrize(("method", "task", "half"), ASKED)
def test_every_method_can_be_asked(method, task, half, bert, llama):
    built = registry.build("method", {"name": method}), registry.build("task", task)
    if built[0].refuses(built[1]) or (method == "bitfit" and task["name"] == "sft"):
        pytest.skip("they do not suit each other, or Llama has no biases")
    asked, task, kind = model_of(llama if task["name"] == "sft" else bert, method, task, half)
    batch = batch_of(asked, task, rows=4, length=16)
    settings = Train(bf16=half is not None, gradient_accumulation_steps=2)
    found = step_memory.step(asked, kind, task, settings, batch)
    trained = sum(weight.numel() for weight in asked.loaded.trained.values())
    assert found.gradients == 4 * trained > 0
    assert found.activations > 0
    assert step_memory.predicting(asked, task, settings, batch).activations < found.activations


@pytest.mark.parametrize("rows", [2, 8])
def test_products_of_a_step_are_counted_as_by_hand(bert, rows):
    asked, task, method = model_of(bert, "full")
    tokens = rows * 12
    found = step_memory.step(
        asked, method, task, Train(learning_rate=0.1), batch_of(asked, task, rows=rows, length=12)
    )
    config = asked.loaded.model.config
    hidden, wide, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    weights = layers * (4 * hidden * hidden + 2 * hidden * wide)
    # Two operations a weight and token, three times: forward, and backward for inputs and for weights.
    assert found.work.flops >= 6 * weights * tokens
    # Attention and the pooler are the rest, and little of it.
    assert found.work.flops <= 1.3 * 6 * weights * tokens
