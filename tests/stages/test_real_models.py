"""The main job on the embedded models and data, small, with the network shut.

Bounds are loose: they tell a system that learns from one that does not, not a good seed from a bad one.
"""

from __future__ import annotations

import socket

import pytest

import weitiao as wt
from weitiao.models.assets import catalog

pytestmark = pytest.mark.whole


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    for name in ("minilm-l6", "smollm2-135m", "e5-small"):
        catalog.model_path(name)
    for name in ("film-reviews", "reviews-zh", "alpaca-en"):
        catalog.dataset_path(name)

    def refuse(*_, **__):
        raise OSError("the network is shut for this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def recipe(model, task, rows, output, **train):
    return {
        "model": model,
        "task": task,
        "data": {"train": rows, "max_dropped_fraction": 0.05, "max_length": 128},
        "evaluate": {"resamples": 200, "samples": 1, "max_new_tokens": 8},
        "train": {"num_train_epochs": 1, "early_stopping_patience": None, **train},
        "output_dir": str(output),
    }


def test_a_real_encoder_learns_real_reviews(tmp_path):
    """As the Chinese one does where the README is walked."""
    rows = "film-reviews#3000"
    run = wt.train(recipe("minilm-l6", "text_classification", rows, tmp_path / "run", learning_rate=1e-3))
    metrics = run.results["metrics"]
    assert metrics["tuned"]["accuracy"]["value"] > 0.74
    assert metrics["tuned"]["accuracy"]["low"] > metrics["untuned"]["accuracy"]["high"]
    assert run.results["verdict"]["learned"]
    assert run.predict(["A wonderful film, moving and funny."])[0]["label"] == "positive"


@pytest.mark.parametrize("method", ["adapter", "ia3"])
def test_methods_of_every_kind_learn_with_their_own_defaults(tmp_path, method):
    """All sixteen are compared in notes/LOG.md; here two kinds, so that a broken default is seen."""
    asked = recipe("minilm-l6", "text_classification", "film-reviews#3000", tmp_path / "run")
    metrics = wt.train({**asked, "method": method}).results["metrics"]
    assert metrics["tuned"]["accuracy"]["low"] > metrics["untuned"]["accuracy"]["high"]
    assert metrics["tuned"]["accuracy"]["value"] > 0.68


def test_a_real_language_model_learns_answers(tmp_path):
    words = {"per_device_train_batch_size": 4, "learning_rate": 2e-4}
    run = wt.train(recipe("smollm2-135m", "sft", "alpaca-en#120", tmp_path / "run", **words))
    metrics = run.results["metrics"]
    assert metrics["tuned"]["loss"]["value"] < metrics["untuned"]["loss"]["value"] - 0.01
    assert "Paris" in run.answer(
        [{"role": "user", "content": "What is the capital of France?"}], max_new_tokens=20
    )
