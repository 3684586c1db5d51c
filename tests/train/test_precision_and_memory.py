"""What the loop does when numbers or memory run out: float16, overflows, planted shortages."""

from __future__ import annotations

import pytest
import torch

import weitiao as wt
from tests.train.test_loop import KillAt, Killed, events, same, steps
from weitiao.core.errors import WeitiaoError
from weitiao.tasks.sft import SupervisedFineTuning
from weitiao.train.loop import Watcher

pytestmark = pytest.mark.whole  # trainings in each precision


def losses(path) -> list[float]:
    return [line["loss"] for line in events(path, "step")]


# ------------------------------------------------------------------ float16


@pytest.mark.parametrize("kind", ["classify", "converse"])
def test_float16_follows_float32(request, kind, tmp_path):
    recipe = request.getfixturevalue(kind)
    wt.train(recipe(output_dir=str(tmp_path / "whole"), max_steps=6))
    wt.train(recipe(output_dir=str(tmp_path / "half"), max_steps=6, fp16=True))
    assert losses(tmp_path / "half") != losses(tmp_path / "whole")
    assert losses(tmp_path / "half") == pytest.approx(losses(tmp_path / "whole"), rel=5e-3)


class Overflow(Watcher):
    """Makes the loss scale so large that the next gradients overflow."""

    def __init__(self, step: int):
        self.step, self.scales = step, {}

    def on_step(self, training):
        self.scales[training.state.step] = training.scaler.get_scale()
        if training.state.step == self.step:
            training.scaler.update(2.0**120)


def test_an_overflow_in_float16_leaves_the_step_out_and_scales_less(classify, tmp_path):
    watcher = Overflow(3)
    seen = []

    class Look(Watcher):
        def on_step(self, training):
            seen.append(training.model.classifier.weight.detach().clone())

    wt.train(classify(output_dir=str(tmp_path / "run"), max_steps=6, fp16=True), watchers=[watcher, Look()])
    assert torch.equal(seen[3], seen[2]), "step 4 overflowed"
    assert not torch.equal(seen[2], seen[1])
    assert watcher.scales[4] == 2.0**119
    assert watcher.scales[3] == 2.0**16
    assert all(w.isfinite().all() for w in seen)


def test_a_float16_run_resumes_with_its_scale(classify, tmp_path):
    words = {
        "fp16": True,
        "max_steps": 12,
        "save_steps": 5,
        "eval_strategy": "no",
        "load_best_model_at_end": False,
    }
    wt.train(classify(output_dir=str(tmp_path / "whole"), **words), watchers=[Overflow(3)])
    halved = classify(output_dir=str(tmp_path / "halved"), **words)
    with pytest.raises(Killed):
        wt.train(halved, watchers=[Overflow(3), KillAt(8)])
    wt.train(halved, resume=True)
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")
    assert same(tmp_path / "halved", tmp_path / "whole")


def test_two_halves_are_one_too_many(classify):
    with pytest.raises(WeitiaoError, match=r"wrong_value\].*bf16 and fp16"):
        wt.train(classify(bf16=True, fp16=True))


# ------------------------------------------------------------------ memory


def short_of_memory(monkeypatch, *, rows: int, error: Exception) -> None:
    """The task's loss fails for more than `rows` rows, half-way through a backward pass."""
    loss = SupervisedFineTuning.loss

    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            raise error

    def failing(self, model, batch):
        found = loss(self, model, batch)
        if len(batch.rows) <= rows:
            return found
        # Some gradients are there already when the other half fails.
        return (
            found
            + 0 * Fails.apply(model.lm_head.weight if model.lm_head.weight.requires_grad else found).sum()
        )

    monkeypatch.setattr(SupervisedFineTuning, "loss", failing)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:125] err == 0. DefaultCPUAllocator: can't allocate memory"
        ),
    ],
    ids=["cuda", "cpu"],
)
def test_when_memory_does_not_suffice_micro_batches_halve_and_losses_stay(
    converse, tmp_path, monkeypatch, error
):
    words = {"method": "full", "per_device_train_batch_size": 8, "save_steps": 3}
    wt.train(converse(output_dir=str(tmp_path / "plain"), **words))
    short_of_memory(monkeypatch, rows=2, error=error)
    notices = []
    tell = lambda event, **facts: notices.append(facts["text"]) if event == "notice" else None  # noqa: E731
    recipe = converse(output_dir=str(tmp_path / "short"), **words)
    with pytest.raises(Killed):
        wt.train(recipe, watchers=[KillAt(4)])
    wt.train(recipe, resume=True, tell=tell)
    assert losses(tmp_path / "short") == pytest.approx(losses(tmp_path / "plain"), rel=1e-5)
    assert {line["halvings"] for line in events(tmp_path / "short", "step")} == {2}
    assert [line["rows"] for line in events(tmp_path / "short", "step")] == [
        line["rows"] for line in events(tmp_path / "plain", "step")
    ]
    assert any("halved 2 times" in text for text in notices)


def test_when_not_even_one_row_fits_the_run_says_so(converse, monkeypatch):
    short_of_memory(monkeypatch, rows=0, error=MemoryError("no more"))
    with pytest.raises(
        WeitiaoError, match=r"out_of_memory\] step 1 .*no more[\s\S]*activation_checkpointing"
    ):
        wt.train(converse(method="full"))


def test_any_other_error_of_the_model_passes_through(converse, monkeypatch):
    short_of_memory(monkeypatch, rows=0, error=RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        wt.train(converse(method="full"))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_made_ahead_are_the_same_and_resume(converse, tmp_path, workers):
    words = {"dataloader_num_workers": workers, "gradient_accumulation_steps": 2, "num_train_epochs": 3}
    wt.train(converse(output_dir=str(tmp_path / "plain"), **{**words, "dataloader_num_workers": 0}))
    halved = converse(output_dir=str(tmp_path / "halved"), **words)
    with pytest.raises(Killed):
        wt.train(halved, watchers=[KillAt(5)])
    wt.train(halved, resume=True)
    assert steps(tmp_path / "halved") == steps(tmp_path / "plain")


@pytest.mark.parametrize(
    "words", [{}, {"label_smoothing_factor": 0.1}], ids=["around its logits", "with logits"]
)
def test_what_is_compiled_is_what_is_called(converse, tmp_path, monkeypatch, words):
    calls = []
    monkeypatch.setattr(
        torch.nn.Module,
        "compile",
        lambda self: self.register_forward_hook(lambda *of: calls.append(torch.is_grad_enabled())),
    )
    words |= {"max_steps": 3, "eval_strategy": "no", "load_best_model_at_end": False}
    wt.train(converse(output_dir=str(tmp_path / "run"), torch_compile=True, **words))
    assert sum(calls) == 3, "one forward pass that learns, a step"


@pytest.mark.filterwarnings("ignore")  # what the compiler itself warns of
def test_a_compiled_model_gives_the_same_losses(converse, tmp_path):
    wt.train(converse(output_dir=str(tmp_path / "plain"), max_steps=4))
    wt.train(converse(output_dir=str(tmp_path / "compiled"), max_steps=4, torch_compile=True))
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-5)
