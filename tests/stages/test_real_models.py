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


def test_a_method_learns_with_its_own_defaults(tmp_path):
    """All sixteen are compared in notes/LOG.md, the usual one is where the README is walked; here one of another kind."""
    asked = recipe("minilm-l6", "text_classification", "film-reviews#2000", tmp_path / "run")
    metrics = wt.train({**asked, "method": "ia3"}).results["metrics"]
    assert metrics["tuned"]["accuracy"]["low"] > metrics["untuned"]["accuracy"]["high"]
    assert metrics["tuned"]["accuracy"]["value"] > 0.68


def test_a_real_language_model_learns_answers(tmp_path):
    words = {"per_device_train_batch_size": 4, "learning_rate": 2e-4}
    asked = recipe("smollm2-135m", "sft", "alpaca-en#40", tmp_path / "run", **words)
    # What is written and forgotten is judged elsewhere.
    asked["evaluate"] |= {"answers": 3, "general_text": "none"}
    run = wt.train(asked)
    metrics = run.results["metrics"]
    assert metrics["tuned"]["loss"]["value"] < metrics["untuned"]["loss"]["value"] - 0.01
    assert "Paris" in run.answer(
        [{"role": "user", "content": "What is the capital of France?"}], max_new_tokens=20
    )
