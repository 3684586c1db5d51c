"""Every optimiser and a listening schedule, stopped and gone on with: the same run bit for bit, without pickle."""

from __future__ import annotations

import json
import shutil
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file

import weitiao as wt
from tests.train.test_loop import KillAt, Killed, events, same, steps
from tests.train.test_several_processes import EXACT, near
from weitiao.core.recipe import Train
from weitiao.core.run import RunFolder
from weitiao.train import checkpoint

QUICK = {"untuned": False, "baseline": "none"}
WORDS: dict[str, dict] = {
    "adamw": {},
    "adam": {},
    "sgd": {"learning_rate": 0.1},
    "adafactor": {},
    "lion": {},
    "adamw_8bit": {},
    "muon": {},
}


@pytest.fixture(scope="module")
def wide(bert, tmp_path_factory) -> str:
    """A toy whose matrices are large enough (4096 numbers) for moments of 8 bits."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("wide")
    torch.manual_seed(0)
    config = BertConfig.from_pretrained(bert, hidden_size=64, intermediate_size=128)
    BertModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(bert).save_pretrained(folder)
    return str(folder)


@pytest.mark.whole
@pytest.mark.parametrize("name", WORDS)
def test_a_killed_run_goes_on_bit_for_bit(name, classify, wide, tmp_path):
    """20 steps = 10, and 10 more from the files alone."""
    words = {"optim": name, "method": "full", "max_steps": 20, "num_train_epochs": 2, "save_steps": 10}
    words |= {"eval_strategy": "no", "load_best_model_at_end": False, "lr_scheduler_type": "cosine"}
    words |= {"layerwise_lr_decay": 0.9, "evaluate": QUICK, **WORDS[name]}
    wt.train({**classify(output_dir=str(tmp_path / "whole"), **words), "model": wide})
    recipe = {**classify(output_dir=str(tmp_path / "halved"), **words), "model": wide}
    with pytest.raises(Killed):
        wt.train(recipe, watchers=[KillAt(11)])
    folder = tmp_path / "halved" / "checkpoint-10"
    assert not checkpoint.fault_of(folder)
    assert {path.suffix for path in folder.iterdir()} == {".safetensors", ".json"}
    kinds = {tensor.dtype for tensor in load_file(folder / "optimizer.safetensors").values()}
    assert kinds == ({torch.uint8, torch.float32} if name == "adamw_8bit" else {torch.float32})
    wt.train(recipe, resume=True)
    assert len(steps(tmp_path / "whole")) == 20
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")
    assert same(tmp_path / "halved", tmp_path / "whole")


def test_every_optimiser_is_in_the_table():
    assert set(WORDS) == set(get_args(Train.model_fields["optim"].annotation))


@pytest.mark.whole
def test_sgd_without_momentum_remembers_nothing_and_goes_on(classify, tmp_path):
    words = {"optim": "sgd", "momentum": 0, "learning_rate": 0.1, "max_steps": 6, "save_steps": 3}
    words |= {"eval_strategy": "no", "load_best_model_at_end": False, "evaluate": QUICK}
    wt.train(classify(output_dir=str(tmp_path / "whole"), **words))
    recipe = classify(output_dir=str(tmp_path / "halved"), **words)
    with pytest.raises(Killed):
        wt.train(recipe, watchers=[KillAt(3)])
    wt.train(recipe, resume=True)
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")


@pytest.mark.parametrize("harm", ["optimizer.json"])
def test_a_checkpoint_without_its_counts_is_not_sound(classify, tmp_path, harm):
    """Adafactor and 8-bit AdamW count their steps in plain numbers."""
    words = {"optim": "adafactor", "max_steps": 2, "save_steps": 2, "evaluate": QUICK}
    wt.train(classify(eval_strategy="no", load_best_model_at_end=False, **words))
    (folder,) = RunFolder(tmp_path / "run").checkpoints()
    kept = json.loads((folder / harm).read_text())
    assert set(kept.values()) == {2}
    (folder / harm).unlink()
    assert checkpoint.fault_of(folder) == f"{harm} is missing"


# ------------------------------------------------------------------ reduce_lr_on_plateau


@pytest.mark.whole
def test_a_plateau_lowers_the_rate_and_a_resumed_run_has_the_same_rates(classify, tmp_path):
    words = {
        "max_steps": 16,
        "num_train_epochs": 3,
        "eval_steps": 2,
        "save_steps": 5,
        "load_best_model_at_end": False,
        "learning_rate": 1e-9,  # nothing is learnt, so every evaluation but the first is one without a gain
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "lr_scheduler_kwargs": {"patience": 1, "factor": 0.5, "eps": 0},
        "warmup_steps": 1,
        "evaluate": QUICK,
    }
    wt.train(classify(output_dir=str(tmp_path / "whole"), **words))
    rates = [line["learning_rate"] for line in events(tmp_path / "whole", "step")]
    # Asked after steps 2, 4, ...: the first sets the bar, and every second one of those that follow lowers the rate.
    assert rates == [*[1e-9] * 6, *[5e-10] * 4, *[2.5e-10] * 4, *[1.25e-10] * 2]
    assert [line["step"] for line in events(tmp_path / "whole", "reduce_lr")] == [6, 10, 14]
    recipe = classify(output_dir=str(tmp_path / "halved"), **words)
    with pytest.raises(Killed):
        wt.train(recipe, watchers=[KillAt(13)])
    state = json.loads((tmp_path / "halved" / "checkpoint-10" / "state.json").read_text())
    assert (state["plateau"]["scale"], state["plateau"]["bad"]) == (0.25, 0)
    wt.train(recipe, resume=True)
    assert [line["learning_rate"] for line in events(tmp_path / "halved", "step")] == rates
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")
    assert same(tmp_path / "halved", tmp_path / "whole")


@pytest.mark.whole
def test_a_plateau_hears_the_deciding_metric_the_right_way_round(classify, tmp_path):
    words = {
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "metric_for_best_model": "accuracy",
        "max_steps": 18,
    }
    words |= {"eval_steps": 1, "learning_rate": 0.5, "load_best_model_at_end": False, "evaluate": QUICK}
    words |= {"lr_scheduler_kwargs": {"patience": 0, "factor": 0.9, "threshold": 0}, "warmup_steps": 0}
    wt.train(classify(method="full", num_train_epochs=2, **words))
    seen = [line["validation/accuracy"] for line in events(tmp_path / "run", "evaluate")]
    assert len(set(seen)) > 1, "or the test would not show which way is better"
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", patience=0, factor=0.9, threshold=0
    )
    expected = []
    for value in seen:
        expected.append(optimizer.param_groups[0]["lr"])
        theirs.step(value)
    found = [line["learning_rate"] for line in events(tmp_path / "run", "step")]
    assert found == pytest.approx(expected)


def test_a_plateau_without_validation_is_refused(classify):
    words = {"eval_strategy": "no", "load_best_model_at_end": False}
    with pytest.raises(wt.WeitiaoError, match=r"wrong_usage\] train.lr_scheduler_type=reduce_lr_on_plateau"):
        wt.train(classify(lr_scheduler_type="reduce_lr_on_plateau", **words))


def test_what_does_not_fit_is_told_before_data_are_read(classify, tmp_path):
    missing = {"train": str(tmp_path / "nowhere.csv")}
    for words, message in (
        ({"optim": "muon", "method": "head"}, "unfit_training.*muon"),
        ({"momentum": 0.3}, "unfit_training.*momentum"),
        ({"layerwise_lr_decay": 0.9, "method": "gradual"}, "unfit_training.*method.layerwise_lr_decay"),
        ({"lr_scheduler_kwargs": {"power": 2}}, "unknown_key.*power"),
    ):
        with pytest.raises(wt.WeitiaoError, match=f"(?s){message}"):
            wt.train(classify(data=missing, **words))


# ------------------------------------------------------------------ several processes


@pytest.mark.whole
@pytest.mark.parametrize(("kind", "name"), [("fsdp", "lion"), ("ddp", "adafactor")])
def test_two_processes_train_as_one_and_go_on(kind, name, converse, two_processes, tmp_path):
    """Two processes stopped half-way and gone on with, beside one with twice the accumulation."""
    words = {**EXACT, "method": "lora", "optim": name, "learning_rate": 1e-4}
    words |= {"num_train_epochs": 2, "max_steps": 8, "evaluate": QUICK, "data_parallel": kind}
    wt.train(
        converse(
            output_dir=str(tmp_path / "one"),
            **{**words, "data_parallel": "ddp", "gradient_accumulation_steps": 2},
        )
    )
    recipe = converse(output_dir=str(tmp_path / "two"), **words)
    two_processes.train(recipe)
    near(tmp_path / "one", tmp_path / "two")
    # As if it had been killed after its checkpoint of step 3 or 6, whichever the limit of two has left.
    for last in ("results.json", "model"):
        path = tmp_path / "two" / last
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(RunFolder(tmp_path / "two").checkpoints()[0])
    two_processes.train(recipe, "--resume")
    near(tmp_path / "one", tmp_path / "two")
