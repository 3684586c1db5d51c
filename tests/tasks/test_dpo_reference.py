"""The reference of preference learning: the model before its first step, asked once, and anew when it may have changed."""

from __future__ import annotations

import math

import pytest
import torch

import weitiao as wt
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.models import load

pytestmark = pytest.mark.whole  # a training each


def first_loss(folder):
    return next(line["loss"] for line in read_lines(folder / "log.jsonl") if line["event"] == "step")


def kept(cache):
    return {path.name: path.read_text() for path in (cache / "reference").glob("*.json")}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("method", ["lora", "full"])
def test_before_the_first_step_the_model_is_its_reference_and_afterwards_it_is_not(prefer, method, tmp_path):
    run = wt.train(prefer(method=method, learning_rate=5e-3, max_steps=6))
    losses = [line["loss"] for line in read_lines(run.path / "log.jsonl") if line["event"] == "step"]
    assert losses[0] == pytest.approx(math.log(2), abs=2e-6)
    assert abs(losses[-1] - math.log(2)) > 1e-3
    metrics = run.results["metrics"]
    assert metrics["untuned"]["reward_margin"]["value"] == 0
    assert metrics["untuned"]["preference_accuracy"]["value"] == 0.5
    # What is judged is beta times what moved, of the chosen answer less of the rejected one.
    moved = {
        side: metrics["tuned"][f"{side}_logp"]["value"] - metrics["untuned"][f"{side}_logp"]["value"]
        for side in ("chosen", "rejected")
    }
    margin = metrics["tuned"]["reward_margin"]["value"]
    assert margin == pytest.approx(0.1 * (moved["chosen"] - moved["rejected"]), abs=1e-5)
    assert metrics["longer"]["reward_margin"]["value"] is None
    (told,) = run.predict(["the film"], max_new_tokens=3)
    assert {*told} == {"answer", "ending"}


def test_a_reference_is_asked_once_and_anew_when_anything_that_decides_it_changes(
    prefer, cache, tmp_path, llama
):
    def trained(name, **words):
        wt.train(prefer(output_dir=str(tmp_path / name), max_steps=1, **words))
        return kept(cache)

    first = trained("a")
    base = first
    assert len(first) == 3  # training, validation, test
    assert trained("b", learning_rate=1e-3, task={"name": "dpo", "beta": 0.4}) == first
    for name, words in {
        "limit": {"data": {"max_length": 14}},
        "rows": {"data": {"split": {"seed": 5}}},
        "precision": {"bf16": True},
    }.items():
        assert len(trained(name, **words)) > len(first), name
        first = kept(cache)
    for path in (cache / "reference").glob("*.json"):  # one number is changed by hand: it is not believed
        path.write_text(path.read_text().replace("-", "-1", 1))
    assert base.items() <= trained("c").items()
    assert first_loss(tmp_path / "c") == pytest.approx(math.log(2), abs=2e-6)


def test_dropout_is_off_while_the_reference_is_asked(prefer, tmp_path, monkeypatch):
    said = []
    for name, dropout in (("with", 0.5), ("without", 0.0)):
        monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / name))
        wt.train(prefer(output_dir=str(tmp_path / f"run-{name}"), max_steps=1, dropout=dropout))
        said.append(kept(tmp_path / name))
    assert abs(first_loss(tmp_path / "run-with") - math.log(2)) > 1e-4
    assert said[0] == said[1]


def test_another_model_may_be_the_reference_if_it_has_the_same_words(prefer, llama, tmp_path, bert):
    task = registry.build("task", {"name": "dpo"})
    other = load.load(llama, task)
    with torch.no_grad():
        other.model.model.embed_tokens.weight.mul_(3)
    place = tmp_path / "other"
    other.model.save_pretrained(place)
    other.processor.save_pretrained(place)
    words = {"name": "dpo", "ref_model": str(place)}
    run = wt.train(prefer(task=words, max_steps=2))
    assert abs(first_loss(run.path) - math.log(2)) > 1e-4
    assert run.results["metrics"]["untuned"]["reward_margin"]["value"] != 0
    strange = prefer(task={"name": "dpo", "ref_model": bert}, output_dir=str(tmp_path / "strange"))
    with pytest.raises(WeitiaoError, match="vocabulary"):
        wt.train(strange)
    assert not (tmp_path / "strange").exists()
