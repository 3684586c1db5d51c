"""A base that nobody has trained learns: its batch normalisations follow the rows, and the run stays exact."""

from __future__ import annotations

import pytest
import torch

import weitiao as wt
from tests.pictures import class_folders
from tests.train.test_loop import KillAt, Killed, events, same, steps, weights
from tests.train.test_several_processes import near

MEAN = "resnet.embedder.embedder.normalization.running_mean"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A recipe of a small ResNet that was drawn and never trained, for 40 pictures."""
    import transformers as T

    home = tmp_path_factory.mktemp("untrained")
    config = T.ResNetConfig(embedding_size=8, layer_type="basic", hidden_sizes=[8, 16], depths=[1, 1])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        T.ResNetForImageClassification(config).save_pretrained(home / "base")
    small = {"height": 16, "width": 16}
    T.BitImageProcessorPil(size={"shortest_edge": 16}, crop_size=small).save_pretrained(home / "base")
    own = str(class_folders(home / "own", 40))

    def recipe(folder, *, method="full", **train):
        words = {"num_train_epochs": 2, "learning_rate": 0.01, "bf16": False, **train}
        return {
            "model": str(home / "base"),
            "task": {"name": "image_classification"},
            "data": {"train": own, "near_duplicates": "keep"},
            "method": method,
            "output_dir": str(folder),
            "train": {"per_device_train_batch_size": 4, **words},
            "evaluate": {"untuned": False, "baseline": "none"},
        }

    return recipe


def told(recipe, **words):
    heard = []
    wt.train(recipe, tell=lambda kind, **facts: heard.append(str(facts.get("text", ""))), **words)
    return "\n".join(heard)


@pytest.mark.whole
def test_they_follow_the_rows_and_a_run_goes_on_exactly(made, tmp_path):
    said = told(made(tmp_path / "whole"))
    assert "was never trained" in said
    kept = weights(tmp_path / "whole")
    assert kept[MEAN].abs().min() > 0
    with pytest.raises(Killed):
        wt.train(made(tmp_path / "halved", save_steps=3), watchers=[KillAt(8)])
    wt.train(made(tmp_path / "halved", save_steps=3), resume=True)
    assert steps(tmp_path / "halved") == steps(tmp_path / "whole")
    assert same(tmp_path / "halved", tmp_path / "whole")
    # What was trained once is held from then on, and another run begins with it.
    wt.train({**made(tmp_path / "on", num_train_epochs=1), "start_from": str(tmp_path / "whole")})
    assert torch.equal(weights(tmp_path / "on")[MEAN], kept[MEAN])
    # The best checkpoint brings its own statistics along.
    best = {"load_best_model_at_end": True, "save_strategy": "best", "eval_strategy": "epoch"}
    wt.train(made(tmp_path / "best", **best))
    assert events(tmp_path / "best", "end")[0]["best_step"]


@pytest.mark.whole
def test_two_processes_equal_twice_the_accumulation(made, two_processes, tmp_path):
    wt.train(made(tmp_path / "one", gradient_accumulation_steps=2))
    two_processes.train(made(tmp_path / "two"))
    near(tmp_path / "one", tmp_path / "two")


def test_an_adapter_has_no_place_for_them_and_it_is_said(made, tmp_path):
    said = told(made(tmp_path / "head", method="head", num_train_epochs=1))
    assert "stay so" in said
    assert not weights(tmp_path / "head")[MEAN].any()
