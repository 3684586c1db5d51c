"""The average of the weights: its numbers, and that it is what is validated, chosen, saved and gone on with."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import weitiao as wt
from tests.train.test_loop import KillAt, Killed, events, steps, weights
from weitiao.train.ema import Ema
from weitiao.train.loop import Watcher
from weitiao.train.state import State


class Moment:
    """All that the average asks of a training."""

    model = None

    def __init__(self):
        self.state, self.method = State(), self

    def hold(self, model, average):
        """Nothing has to hold of it besides."""


class Computes:
    """What is told that the weights are others."""

    told = 0

    def changed(self):
        self.told += 1


def averaged(decay: float, path: list[float]) -> list[float]:
    """The average after every step, of one weight that takes these values."""
    weight = nn.Parameter(torch.tensor([path[0]], dtype=torch.float64))
    training, found = Moment(), []
    ema = Ema({"w": weight}, decay)
    ema.around(training)
    for value in path[1:]:
        weight.data.fill_(value)
        training.state.step += 1
        ema.on_step(training)
        found.append(ema.average["w"].item())
    return found


def test_the_average_by_hand():
    path = [5.0, 1.0, -2.0, 4.0, 0.5, 3.0]
    expected, now = [], path[0]
    for n, value in enumerate(path[1:], start=1):
        decay = min(0.3, (1 + n) / (10 + n))  # the warm-up ends within these steps: 2/11, 3/12, 4/13 ...
        now = decay * now + (1 - decay) * value
        expected.append(now)
    assert averaged(0.3, path) == pytest.approx(expected, rel=1e-12)


def test_where_the_warm_up_is_over_it_is_torchs_average():
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    path = torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    model = nn.Linear(1, 1, bias=False).double()
    model.weight.data.fill_(path[0])
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.15))
    theirs.update_parameters(model)  # its first call takes the weights as they are
    expected = []
    for value in path[1:]:
        model.weight.data.fill_(value)
        theirs.update_parameters(model)
        expected.append(theirs.module.weight.item())
    assert averaged(0.15, path) == pytest.approx(expected, rel=1e-12)


def test_a_swap_gives_the_weights_back_bit_for_bit():
    weight = nn.Parameter(torch.randn(50))
    before = weight.detach().clone()
    ema = Ema({"w": weight}, 0.9)
    average = ema.average["w"].normal_().clone()
    computes = Computes()
    with ema.in_use(computes):
        assert torch.equal(weight, average)
        assert computes.told == 1
    assert computes.told == 2
    assert torch.equal(weight, before)
    assert torch.equal(ema.average["w"], average)
    ema.keep()
    assert torch.equal(weight, average)


class Follow(Watcher):
    """The average once more, in float64, from the weights that it sees."""

    def __init__(self, decay: float):
        self.decay = decay

    def around(self, training):
        self.now = {name: weight.detach().double() for name, weight in training.weights.items()}
        self.after = {}

    def on_step(self, training):
        n = training.state.step
        decay = min(self.decay, (1 + n) / (10 + n))
        for name, weight in training.weights.items():
            self.now[name] = decay * self.now[name] + (1 - decay) * weight.detach().double()
        self.after[n] = dict(self.now)


@pytest.mark.whole
@pytest.mark.parametrize("best", [True, False])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_average_is_saved_in_the_end_and_the_weights_go_their_own_way(classify, tmp_path, best, method):
    """The last step, or the best one of a run whose rate ruins the model."""
    words = {"method": method, "learning_rate": 1e-3, "load_best_model_at_end": best}
    if best:
        words |= {"learning_rate": 0.5, "lr_scheduler_type": "constant", "num_train_epochs": 2}
    follow = Follow(0.9)
    wt.train(classify(ema_decay=0.9, **words), watchers=[follow])
    wt.train(classify(output_dir=str(tmp_path / "plain"), **words))
    assert steps(tmp_path / "run") == steps(tmp_path / "plain"), "no training loss hears of it"
    assert events(tmp_path / "run", "evaluate") != events(tmp_path / "plain", "evaluate")
    (end,) = events(tmp_path / "run", "end")
    assert (end["best_step"] < end["step"]) == best
    expected, saved = follow.after[end["best_step"]], weights(tmp_path / "run")
    assert len(saved) >= len(expected)
    for name, value in expected.items():
        (found,) = (
            tensor
            for key, tensor in saved.items()
            if key.removeprefix("base_model.model.") in (name, name.replace("lora_A", "lora_A.weight"), name.replace("lora_B", "lora_B.weight"))
        )  # fmt: skip
        torch.testing.assert_close(found, value.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.whole
def test_validation_measures_the_average(classify, tmp_path):
    """The saved model is the best checkpoint's average, and says on the validation rows what the log says."""
    run = wt.train(classify(ema_decay=0.9, method="full", num_train_epochs=2, data={"split": {"test": 0.0}}))
    best = min(events(tmp_path / "run", "evaluate"), key=lambda line: line["validation/loss"])
    assert run.folder.json("model/weitiao.json")["step"] == best["step"]
    of = set(json.loads((tmp_path / "run" / "data" / "split.json").read_text())["validation"])
    rows = [line.rsplit(",", 1) for line in (tmp_path / "reviews.csv").read_text().splitlines()]
    rows = [row for place, row in enumerate(rows, start=1) if any(name.endswith(f":{place}") for name in of)]
    found = run.predict([text for text, _ in rows])
    losses = [-torch.tensor(p["scores"][label]).log() for p, (_, label) in zip(found, rows, strict=True)]
    assert torch.stack(losses).mean().item() == pytest.approx(best["validation/loss"], rel=1e-4)


@pytest.mark.whole
def test_a_run_may_begin_or_end_its_average_when_it_goes_on(classify, tmp_path):
    words = {"method": "full", "eval_strategy": "no", "load_best_model_at_end": False}
    for before, after in ((0.0, 0.9), (0.9, 0.0)):
        folder = tmp_path / f"{before}"
        recipe = classify(output_dir=str(folder), ema_decay=before, **words)
        with pytest.raises(Killed):
            wt.train(recipe, watchers=[KillAt(9)])
        changed = {**recipe, "train": {**recipe["train"], "ema_decay": after}}
        at_8 = load_file(folder / "checkpoint-8" / "weights.safetensors")
        wt.train(changed, resume=True, changes=["train.ema_decay"])
        wt.train({**recipe, "output_dir": str(tmp_path / f"whole-{before}")})
        assert steps(folder) == steps(tmp_path / f"whole-{before}")
        last = load_file(folder / "checkpoint-18" / "weights.safetensors")
        if not after:
            saved = weights(folder)
            assert all(torch.equal(saved[name], last[name]) for name in last)
            continue
        average = load_file(folder / "checkpoint-18" / "ema.safetensors")
        name = "classifier.weight"  # begun at step 8, it lies between what was then and what is now
        assert (average[name] - last[name]).norm() < (at_8[name] - last[name]).norm()
        assert not torch.equal(average[name], last[name])
