"""Every method with every task: what is not refused by name trains, on the toy of that task's kind."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch

from tests.drawn import denoiser as denoiser
from tests.methods.toys import QUICK
from tests.tasks import writers
from tests.tasks.test_every_task import MODELS, learnt_from, toy_records
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.models import load, store

pytestmark = pytest.mark.whole  # every method with every task

FAST = ("lora", "head")
HEADLESS = {
    "sft",
    "distillation",
    "dpo",
    "kto",
    "grpo",
    "rloo",
    "ppo",
    "language_modeling",
    "seq2seq",
    "embedding",
    "similarity",
    "image_generation",
}
UNBIASED = {"llama", "t5"}  # toys without any bias
BY_BLOCKS = {"adapter", "gradual", "ia3", "mam", "p_tuning_v2", "prefix", "top_layers", "unipelt"}
"""Those that go by the blocks of a transformer, of which a UNet is not made."""


@pytest.mark.parametrize("task", registry.names("task"))
@pytest.mark.parametrize(
    "method",
    [
        name if name in FAST else pytest.param(name, marks=pytest.mark.whole)
        for name in registry.names("method")
    ],
)
def test_a_pair_trains_or_says_why_not(method, task, request):
    rows = toy_records(task)
    tuned = registry.build("method", {"name": method, **QUICK.get(method, {})})
    learnt = registry.build("task", {"name": task}).learn(rows)
    unpacked = tuned.base_bits == 4 and task == "image_generation"
    assert bool(tuned.refuses(learnt)) == (unpacked or (method == "head" and task in HEADLESS))
    if tuned.refuses(learnt):
        return
    loaded = opened(request.getfixturevalue(MODELS[task]), task, tuned.base_bits)
    trains(method, tuned, learnt, loaded, rows, bare=MODELS[task] in UNBIASED)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A toy of a family in its folder, made once."""
    return cache(lambda family: writers.saved(writers.model(family), tmp_path_factory.mktemp(family)))


@pytest.mark.parametrize("family", writers.FAMILIES)
@pytest.mark.parametrize("method", [name for name in registry.names("method") if name != "head"])
def test_every_method_trains_every_kind_of_encoder_decoder(method, family, folders):
    rows = toy_records("seq2seq")
    tuned = registry.build("method", {"name": method, **QUICK.get(method, {})})
    learnt = registry.build("task", {"name": "seq2seq"}).learn(rows)
    loaded = opened(folders(family), "seq2seq", tuned.base_bits)
    trains(method, tuned, learnt, loaded, rows, bare=family in UNBIASED)


@cache
def read_once(folder, task, bits):
    learnt = registry.build("task", {"name": task}).learn(toy_records(task))
    return load.load(folder, learnt, bits=bits)


def opened(folder, task, bits):
    """A model of its own, of a base that is read and examined once for each task."""
    found = read_once(folder, task, bits)
    return replace(found, model=copy.deepcopy(found.model), trained={}, notices=[*found.notices])


def trains(method, tuned, learnt, loaded, rows, *, bare):
    """A step has a finite loss and moves something; where there are no biases, blocks or words, it is said."""
    if method in ("prompt", "p_tuning") and not learnt.reads_words:
        with pytest.raises(WeitiaoError, match="does not read words"):
            store.prepare(loaded, tuned, seed=0)
        return
    if method in BY_BLOCKS and learnt.library:
        with pytest.raises(WeitiaoError, match="unknown_anatomy"):
            store.prepare(loaded, tuned, seed=0, task=learnt)
        return
    if method == "bitfit" and bare:
        with pytest.raises(WeitiaoError, match="no biases"):
            store.prepare(loaded, tuned, seed=0)
        return
    store.prepare(loaded, tuned, seed=0, task=learnt)
    examples = list(learnt.encode(rows, loaded.processor, limit=40))
    learnt = learnt.learn_training(examples, None)
    examples = learnt_from(learnt, examples)
    batch = loaded.collate(learnt)(examples, [*range(len(examples))])
    loss = learnt.loss(loaded.model, batch)
    loss.backward()
    assert torch.isfinite(loss)
    moved = [name for name, weight in loaded.trained.items() if weight.grad is not None and weight.grad.any()]
    assert moved
