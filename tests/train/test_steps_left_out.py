"""A step that was left out is none for AdaLoRA either; what was dropped stays dropped in an average; `look` is apart."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest
import torch

import weitiao as wt
from tests.methods.toys import Toy
from tests.train.test_precision_and_memory import Overflow
from weitiao.methods.adalora import SvdLinear
from weitiao.models.wrap import inserted
from weitiao.tasks.classification import TextClassification
from weitiao.train import checkpoint, loop
from weitiao.train.loop import Watcher

pytestmark = pytest.mark.whole  # trainings that are broken off

ADALORA = {"name": "adalora", "init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 4}
QUICK = {"untuned": False, "baseline": "none"}


class Seen(Watcher):
    """What AdaLoRA remembers after each step, and what stays."""

    def __init__(self):
        self.memory, self.kept, self.average = {}, {}, {}

    def on_step(self, training):
        state = training.method.state(training.model)
        self.memory[training.state.step] = {name: value.clone() for name, value in state.items()}
        kept = {name: value for name, value in state.items() if name.endswith(".kept")}
        self.kept[training.state.step] = sum(int(value.sum()) for value in kept.values()) / len(kept)
        if training.ema:
            self.average = {
                name: (training.ema.average[name.replace(".kept", ".lora_E")][:, 0], value.clone())
                for name, value in kept.items()
            }


class Spoil(Watcher):
    """Makes the gradient of one step infinite."""

    def __init__(self, step: int):
        self.step = step

    def on_gradients(self, training):
        if training.state.step + 1 == self.step:
            next(iter(training.weights.values())).grad.fill_(torch.inf)


def test_what_overflowed_says_nothing_of_importance(classify):
    seen = Seen()
    wt.train(classify(method=ADALORA, max_steps=10, fp16=True, evaluate=QUICK), watchers=[Overflow(3), seen])
    for name, value in seen.memory[4].items():
        assert torch.equal(value, seen.memory[3][name]), name
    assert all(value.isfinite().all() for value in seen.memory[10].values())


@pytest.mark.parametrize("spoilt", [7, 4])
def test_ranks_end_at_their_target_whichever_step_is_left_out(spoilt, classify):
    """The seventh of ten steps is that of the last allocation."""
    seen = Seen()
    words = {"max_steps": 10, "skip_nonfinite_steps": 1, "evaluate": QUICK}
    wt.train(classify(method=ADALORA, **words), watchers=[Spoil(spoilt), seen])
    assert seen.kept[10] == 2
    assert all(value.isfinite().all() for value in seen.memory[10].values())


def test_an_average_does_not_bring_back_what_was_dropped(classify):
    seen = Seen()
    words = {"max_steps": 10, "ema_decay": 0.9, "load_best_model_at_end": False, "evaluate": QUICK}
    run = wt.train(classify(method=ADALORA, **words), watchers=[seen])
    assert sum(int((~kept).sum()) for _, kept in seen.average.values()) > 0
    for value, kept in seen.average.values():
        assert not value[~kept].any()
        assert value[kept].all()
    ranks = [int((layer.lora_E != 0).sum()) for _, layer in inserted(run.tuned.model, SvdLinear)]
    assert sum(ranks) / len(ranks) == 2


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), PermissionError(13, "Permission denied")]
)
def test_a_checkpoint_that_cannot_be_read_is_a_broken_one(error, classify, tmp_path, monkeypatch):
    run = wt.train(classify(max_steps=8, save_steps=4, evaluate=QUICK, load_best_model_at_end=False))
    whole = checkpoint.sha256

    def failing(path):
        if "checkpoint-8" in str(path) and path.name == "state.json":
            raise error
        return whole(path)

    monkeypatch.setattr(checkpoint, "sha256", failing)
    found, passed = checkpoint.newest(run.folder)
    assert found.name == "checkpoint-4"
    assert len(passed) == 1
    assert error.strerror in passed[0]


def test_a_checkpoint_is_synced_with_the_names_in_it(classify, monkeypatch, tmp_path):
    """Every file, then its folder, then the rename, then the folder above."""
    done, fsync, replace = [], os.fsync, os.replace

    def synced(handle):
        done.append(("sync", os.path.realpath(f"/proc/self/fd/{handle}")))
        fsync(handle)

    def renamed(before, after):
        done.append(("rename", str(after)))
        replace(before, after)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    wt.train(classify(max_steps=4, save_steps=4, evaluate=QUICK))
    run = os.path.realpath(tmp_path / "run")
    aside, kept = f"{run}/.checkpoint-4.tmp", f"{tmp_path / 'run'}/checkpoint-4"
    last = done.index(("rename", kept))
    assert ("sync", f"{aside}/weights.safetensors") in done[:last]
    assert done[last - 1] == ("sync", aside)
    assert ("sync", run) in done[last:]


@dataclass(frozen=True)
class Tallying(TextClassification):
    """Asks the model before the losses of a step, as KTO asks how far it has moved, and draws chance while it does."""

    @property
    def tallies(self):
        return True

    def tally(self, model, batch):
        assert not model.training
        assert not torch.is_grad_enabled()
        torch.rand(3)
        return float(model(**batch.inputs).logits.sum()), len(batch.rows)


@pytest.mark.parametrize("bf16", [False, True])
def test_what_a_task_tallies_costs_the_loss_nothing(bf16, request):
    """In half precision copies of weights are kept while their context lasts: made without gradient, they would have
    none in the loss either."""
    gradients = []
    for kind in (TextClassification, Tallying):
        toy = Toy(request, "full", "bert", bf16=bf16)
        training = toy.training
        training.task = kind(labels=toy.task.labels)
        training.objective.objective.task = training.task
        training.model.train()
        batches = training.batches.step(0)
        loop.accumulate(training, batches)
        gradients.append({name: weight.grad for name, weight in training.weights.items()})
        assert ("step" in batches[0].extra) == (kind is Tallying)
        assert training.model.training
    for name, expected in gradients[0].items():
        assert torch.equal(gradients[1][name], expected), name
