"""What stands around the loop, each beside something independent of it."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import weitiao as wt
from tests.train.test_loop import KillAt, Killed, events
from weitiao.core.recipe import known_keys
from weitiao.train import memory
from weitiao.train.state import State
from weitiao.train.watchers import EarlyStop, Validate, period


@pytest.mark.parametrize("share", [0.01, 0.25, 1 / 3, 0.99])
def test_a_share_of_all_steps_is_rounded_as_in_transformers(share):
    from transformers import TrainerState, TrainingArguments

    for total in (1, 7, 100, 2801):
        state = TrainerState(max_steps=total)
        args = TrainingArguments(logging_steps=share, eval_steps=share, save_steps=share, report_to=[])
        state.compute_steps(args, total)
        assert period(share, total=total) == state.eval_steps == state.save_steps == state.logging_steps
    assert period(7, total=3) == 7


@pytest.mark.parametrize("higher", [False, True])
def test_early_stopping_equals_that_of_transformers(higher, tmp_path):
    from transformers import EarlyStoppingCallback, TrainerControl, TrainerState

    rng = random.Random(3)
    stops = set()
    for _ in range(60):
        patience, threshold = rng.randint(1, 4), rng.choice([0.0, 0.1, 0.3])
        values = [round(rng.random(), 2) for _ in range(12)]
        ours = _stops(values, patience, threshold, higher)
        theirs = EarlyStoppingCallback(patience, threshold)
        args = SimpleNamespace(greater_is_better=higher, metric_for_best_model="loss")
        state, control, stop = TrainerState(), TrainerControl(), None
        for step, value in enumerate(values, start=1):
            theirs.on_evaluate(args, state, control, {"eval_loss": value})
            # As in Trainer._determine_best_metric, which follows.
            better = max if higher else min
            state.best_metric = value if state.best_metric is None else better(state.best_metric, value)
            if control.should_training_stop and stop is None:
                stop = step
        assert ours == stop
        stops.add(stop)
    assert len(stops) > 5


def _stops(values: list[float], patience: int, threshold: float, higher: bool) -> int | None:
    """The step at which our watchers stop a run with these validation losses."""
    given = iter(values)
    run = SimpleNamespace(log=lambda **_: None)
    validate = Validate(
        run, lambda: {"loss": next(given)}, "loss", higher, "steps", 1, threshold=threshold
    )  # fmt: skip
    early = EarlyStop(run, patience)
    training = _training(len(values))
    for step in range(1, len(values) + 1):
        training.state.step = step
        validate.on_step(training)
        early.on_step(training)
        if training.stop:
            return step
    return None


def _training(total: int) -> SimpleNamespace:
    state = State()
    quiet = SimpleNamespace(train=lambda: None, after_evaluation=lambda *_, gain: None)
    return SimpleNamespace(
        state=state, total=total, epoch=0.0, stop="", metrics={}, model=quiet, method=quiet
    )


@pytest.mark.whole
def test_the_untuned_model_is_asked_once_and_is_no_candidate(classify, tmp_path):
    words = {"eval_on_start": True, "max_steps": 8, "eval_steps": 4}
    run = wt.train(classify(**words, output_dir=str(tmp_path / "whole")))
    whole = events(run.path, "evaluate")
    assert [line["step"] for line in whole] == [0, 4, 8]
    plain = wt.train(classify(**{**words, "eval_on_start": False}, output_dir=str(tmp_path / "plain")))
    assert whole[1:] == events(plain.path, "evaluate"), "asking draws no chance from training"
    assert run.folder.json("model/weitiao.json")["step"] in (4, 8)
    for at in (2, 6):  # before the first checkpoint, and after it
        halved = classify(**words, output_dir=str(tmp_path / f"killed-{at}"))
        with pytest.raises(Killed):
            wt.train(halved, watchers=[KillAt(at)])
        assert events(wt.train(halved, resume=True).path, "evaluate") == whole


@pytest.mark.whole
def test_memory_is_that_of_the_process_and_absent_where_nobody_tells(classify, monkeypatch, tmp_path):
    run = wt.train(classify(max_steps=2, eval_strategy="no", load_best_model_at_end=False))
    for line in events(run.path, "step"):
        assert 100 < line["memory_mb"] <= memory.peak()["peak_memory_mb"]
    held = memory.now()["memory_mb"]
    block = b"x" * 50_000_000
    assert memory.now()["memory_mb"] - held == pytest.approx(len(block) / 1e6, abs=5)
    monkeypatch.setattr(memory, "STATM", tmp_path / "absent")
    assert memory.now() == {}
    assert math.isfinite(held)


@pytest.mark.whole
def test_the_watcher_on_the_page_works(classify, tmp_path):
    page = (Path(__file__).resolve().parents[2] / "docs" / "watchers.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python patience.py\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "patience.py"
    file.write_text(code, encoding="utf-8")
    run = wt.train(classify(watchers=[f"{file}:TooSlow"], output_dir=str(tmp_path / "patient")))
    assert events(run.path, "end")[0]["reason"] == "done"
    file.write_text(code.replace("60.0", "0.0"), encoding="utf-8")
    run = wt.train(classify(watchers=[f"{file}:TooSlow"], output_dir=str(tmp_path / "hasty")))
    assert events(run.path, "end")[0]["reason"] == "too_slow"
    assert len(events(run.path, "step")) == 1
    assert run.folder.checkpoints()[0].name == "checkpoint-1"


def test_every_key_on_the_page_is_one():
    page = (Path(__file__).resolve().parents[2] / "docs" / "watchers.md").read_text(encoding="utf-8")
    table = page.partition("| (always)")[2].partition("TensorBoard over")[0]
    keys = {
        key for line in table.strip().splitlines()[1:] for key in re.findall(r"`(\w+)", line.split("|")[1])
    }
    assert keys - {"tensorboard", "wandb", "mlflow"} <= {k.removeprefix("train.") for k in known_keys()}


@pytest.mark.parametrize("higher", [False, True])
def test_what_is_no_number_is_never_the_best(higher, tmp_path):
    """Neither as the first value, nor as a later one, which would let nothing better pass."""
    for values, best in (
        ([math.nan, 0.5, 0.6], 3 if higher else 2),
        ([0.5, math.nan, 0.4, 0.6], 4 if higher else 3),
        ([math.inf, 0.5], 2),
        ([-math.inf, 0.5], 2),
        ([math.nan, math.nan], 0),
    ):
        given = iter(values)
        run = SimpleNamespace(log=lambda **_: None)
        watcher = Validate(run, lambda given=given: {"loss": next(given)}, "loss", higher, "steps", 1)
        training = _training(len(values))
        for step in range(1, len(values) + 1):
            training.state.step = step
            watcher.on_step(training)
        assert training.state.best_step == best
        assert training.state.best == (values[best - 1] if best else None)


@pytest.mark.parametrize("threshold", [0.0, 0.1])
def test_a_score_that_stands_still_while_the_loss_falls_is_a_gain(threshold):
    """Where names are rare the score of half-trained models is 0; the best of them is the one that is nearest."""
    f1, loss = [0.0] * 4 + [0.2, 0.2, 0.2], [0.9, 0.7, 0.8, 0.5, 0.6, 0.7, 0.5]
    given = iter([{"f1": one, "loss": two} for one, two in zip(f1, loss, strict=True)])
    run = SimpleNamespace(log=lambda **_: None)
    watcher = Validate(run, lambda: next(given), "f1", True, "steps", 1, threshold=threshold)
    training, best, stale = _training(7), [], []
    for step in range(1, 8):
        training.state.step = step
        watcher.on_step(training)
        best.append(training.state.best_step)
        stale.append(training.state.stale)
    assert best == [1, 2, 2, 4, 5, 5, 7]
    # A margin that is asked for is asked of the score.
    assert stale == ([0, 0, 1, 0, 0, 1, 0] if not threshold else [0, 1, 2, 3, 0, 1, 2])


@pytest.mark.whole
@pytest.mark.parametrize("metric", ["f1", "eval_recall", "eval_loss"])
def test_any_metric_may_choose_the_best_checkpoint(metric, classify, tmp_path):
    """The log is gone through independently."""
    recipe = classify(
        metric_for_best_model=metric,
        num_train_epochs=3,
        learning_rate=0.002,
        lr_scheduler_type="constant",
        evaluate={"untuned": False, "baseline": "none"},
    )
    run = wt.train(recipe)
    asked = events(run.path, "evaluate")
    name = metric.removeprefix("eval_")
    values = [line[f"validation/{name}"] for line in asked]
    assert len(set(values)) > 1
    best = (min if name == "loss" else max)(values)
    alike = [line for line in asked if line[f"validation/{name}"] == best]
    kept = min(alike, key=lambda line: line["validation/loss"])
    assert run.folder.json("model/weitiao.json")["step"] == kept["step"]
    assert run.recipe.train.metric_for_best_model == name


def test_validation_scores_are_scikit_learns():
    from sklearn.metrics import precision_recall_fscore_support

    from weitiao.core.contracts import Example
    from weitiao.evaluate.chosen import watched
    from weitiao.evaluate.judge import measured
    from weitiao.tasks.classification import TextClassification

    rng = random.Random(5)
    task = TextClassification(labels=("a", "b", "c", "d"))  # d does not occur
    truth, guesses = ([rng.randrange(3) for _ in range(50)] for _ in range(2))
    told = [{"label": task.labels[g], "scores": dict.fromkeys(task.labels, 0.25)} for g in guesses]
    examples = [Example({}, target=target) for target in truth]
    found = measured(task, watched(task), told, examples)
    expected = precision_recall_fscore_support(truth, guesses, average="macro", zero_division=0)[:3]
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected)
