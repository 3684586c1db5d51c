"""How alike two texts are: both losses, their order and their numbers, and what is asked of new pairs."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

import weitiao as wt
from tests.compared import alike
from tests.conftest import write_csv
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.models import load


def cosines(loaded, made):
    """By nothing but Transformers."""
    found = []
    for row in made:
        texts = (loaded.processor(row[name], return_tensors="pt") for name in ("sentence1", "sentence2"))
        one, other = (loaded.model(**text).last_hidden_state[0].mean(0) for text in texts)
        found.append(F.cosine_similarity(one, other, dim=0))
    return found


@pytest.mark.parametrize("kind", ["cosent", "cosine"])
def test_the_loss_is_that_of_the_definition(bert, kind):
    made = [{**row, "score": row["score"] / 5} for row in alike(12)]
    rows = [Record("toy", i, row) for i, row in enumerate(made, start=1)]
    task = registry.build("task", {"name": "similarity", "loss_type": kind}).learn(rows)
    loaded = load.load(bert, task)
    loaded.model.eval().double()
    examples = list(task.encode(rows, loaded.processor, limit=64))
    batch = loaded.collate(task)(examples, list(range(len(examples))))
    found = cosines(loaded, made)
    if kind == "cosine":
        expected = sum((one - row["score"]) ** 2 for one, row in zip(found, made, strict=True))
    else:
        pairs = [
            math.exp(20 * (found[j] - found[i]).item())
            for i in range(12)
            for j in range(12)
            if made[i]["score"] > made[j]["score"]
        ]
        expected = torch.tensor(12 * math.log1p(sum(pairs)), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(
            task.loss(loaded.model, batch).double(), expected.double(), rtol=1e-5, atol=1e-6
        )
        told = task.together(task.predict(loaded.model, batch), examples)
    assert sum(one["loss"] for one in told) == pytest.approx(expected.item(), rel=1e-5)
    assert [one["number"] for one in told] == pytest.approx([one.item() for one in found], abs=1e-5)


def test_scores_that_are_no_cosines_are_refused_where_they_must_be(bert):
    rows = [Record("toy", i, row) for i, row in enumerate(alike(12), start=1)]
    with pytest.raises(WeitiaoError, match="scores_no_cosines.*from 0 to 5"):
        registry.build("task", {"name": "similarity", "loss_type": "cosine"}).learn(rows)


@pytest.mark.whole
def test_a_run_learns_the_order_and_answers_new_pairs(bert, tmp_path):
    file = write_csv(tmp_path / "pairs.csv", alike(150))
    run = wt.train(
        model=bert,
        task="similarity",
        data={"train": str(file), "cache": False},
        method="full",
        train={"num_train_epochs": 2, "learning_rate": 2e-3, "bf16": False},
        output_dir=str(tmp_path / "run"),
    )
    found = run.results["metrics"]
    assert set(found) == {"tuned", "untuned", "shared_words"}
    assert found["tuned"]["spearman"]["value"] > found["untuned"]["spearman"]["value"]
    made = alike(3, seed=9)
    told = run.predict([{name: row[name] for name in ("sentence1", "sentence2")} for row in made])
    assert [one["number"] for one in told] == pytest.approx(
        [one.item() for one in cosines(run.tuned, made)], abs=1e-5
    )
