"""Curves elsewhere, gradient norms and profiles, each beside the log or a computation of its own."""

from __future__ import annotations

import json
import sys

import pytest
import torch

import weitiao as wt
from tests.train.test_loop import KillAt, Killed, events
from weitiao.core import errors
from weitiao.core.errors import WeitiaoError
from weitiao.train.loop import Watcher

pytestmark = pytest.mark.whole  # trackers of others, imported


def scalars(path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(path / "tensorboard"), size_guidance={"scalars": 0})
    found.Reload()
    return {name: [(e.step, e.value) for e in found.Scalars(name)] for name in found.Tags()["scalars"]}


def test_tensorboard_has_what_the_log_has_and_no_step_twice(classify, tmp_path):
    recipe = classify(report_to="tensorboard", eval_on_start=True)
    with pytest.raises(Killed):
        wt.train(recipe, watchers=[KillAt(10)])  # checkpoints of steps 4 and 8
    run = wt.train(recipe, resume=True)
    found = scalars(run.path)
    lines = events(run.path, "step")
    for name in ("loss", "learning_rate", "grad_norm"):
        told = found[f"train/{name}"]
        assert [step for step, _ in told] == [line["step"] for line in lines]
        assert [value for _, value in told] == pytest.approx([line[name] for line in lines], rel=1e-6)
    speeds = [line["tokens"] / line["seconds"] for line in lines]
    assert [value for _, value in found["train/tokens_per_s"]] == pytest.approx(speeds, rel=1e-6)
    looks = events(run.path, "evaluate")
    for name in ("loss", "accuracy"):
        told = found[f"validation/{name}"]
        assert [step for step, _ in told] == [line["step"] for line in looks]
        assert [value for _, value in told] == pytest.approx(
            [line[f"validation/{name}"] for line in looks], rel=1e-6
        )


WANDB = """
calls = []
class Run:
    def log(self, values, step): calls.append(("log", step, values))
    def finish(self): calls.append(("finish",))
def init(**words):
    calls.append(("init", words))
    return Run()
"""
MLFLOW = """
calls = []
def set_tracking_uri(uri): calls.append(("uri", uri))
def set_experiment(name): calls.append(("experiment", name))
def start_run(run_name): calls.append(("start", run_name))
def log_params(values): calls.append(("params", values))
def log_metrics(values, step): calls.append(("log", step, values))
def end_run(): calls.append(("finish",))
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A package of that name that writes down how it is called."""

    def put(name: str, code: str) -> list:
        (tmp_path / "packages").mkdir(exist_ok=True)
        (tmp_path / "packages" / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path / "packages"))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return __import__(name).calls

    yield put
    for name in ("wandb", "mlflow"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("name", "code"), [("wandb", WANDB), ("mlflow", MLFLOW)])
def test_the_other_trackers_hear_the_same_and_stay_on_this_machine(
    classify, stand_in, name, code, monkeypatch
):
    for variable in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    calls = stand_in(name, code)
    run = wt.train(classify(report_to=[name], max_steps=6))
    lines, looks = events(run.path, "step"), events(run.path, "evaluate")
    told = [(step, values) for _, step, values in (call for call in calls if call[0] == "log")]
    assert [(s, v["train/loss"]) for s, v in told if "train/loss" in v] == [
        (x["step"], x["loss"]) for x in lines
    ]
    assert [(s, v["validation/loss"]) for s, v in told if "validation/loss" in v] == [
        (x["step"], x["validation/loss"]) for x in looks
    ]
    assert calls[-1] == ("finish",)
    if name == "wandb":
        ((_, words),) = [call for call in calls if call[0] == "init"]
        assert (words["mode"], words["dir"], words["name"]) == ("offline", str(run.path), "run")
        assert words["config"]["train"]["max_steps"] == 6
    else:
        assert calls[0] == ("uri", f"sqlite:///{run.path.resolve()}/mlflow.db")
        ((_, parameters),) = [call for call in calls if call[0] == "params"]
        assert parameters["train.max_steps"] == 6


def test_a_tracker_that_is_absent_is_told_before_anything_is_read(classify, monkeypatch, tmp_path):
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeitiaoError, match=r"missing_extra.*wandb"):
        wt.train(classify(report_to=["wandb"]))
    assert not (tmp_path / "run").exists()


class Gradients(Watcher):
    """The whole norm, computed from the gradients as they are before clipping."""

    def __init__(self):
        self.found = []

    def on_gradients(self, training):
        grads = [w.grad.double().flatten() for w in training.weights.values() if w.grad is not None]
        self.found.append(torch.cat(grads).norm().item())


@pytest.mark.parametrize("kind", ["classify", "converse"])
def test_gradient_norms_by_block_make_the_whole_norm(request, kind):
    watcher = Gradients()
    recipe = request.getfixturevalue(kind)(
        log_gradient_norms=True, method="full", max_steps=3, max_grad_norm=0.01
    )
    run = wt.train(recipe, watchers=[watcher])
    lines = events(run.path, "gradients")
    assert [line["step"] for line in lines] == [1, 2, 3]
    for line, whole, step in zip(lines, watcher.found, events(run.path, "step"), strict=True):
        assert sum(v**2 for v in line["norms"].values()) ** 0.5 == pytest.approx(whole, rel=1e-5)
        assert whole == pytest.approx(step["grad_norm"], rel=1e-5), "before clipping"
        assert sum("layer" in name for name in line["norms"]) >= 2


def test_a_profile_is_a_trace_and_a_table(classify, tmp_path):
    run = wt.train(classify(profile_steps=2, max_steps=8))
    trace = json.loads((run.path / "profile" / "trace.json").read_text())
    names = [event.get("name", "") for event in trace["traceEvents"]]
    assert sum(name.startswith("ProfilerStep#") for name in names) == 2
    assert "aten::addmm" in (run.path / "profile" / "operators.txt").read_text()


def test_a_run_shorter_than_its_profile_ends_well(classify):
    assert wt.train(classify(profile_steps=50, max_steps=3)).results
