"""The probe of pictures: what the untuned model sees of them, and logistic regression on the training rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tests.pictures import FAMILIES, pictured, toy
from weitiao.core import registry
from weitiao.core.contracts import SEEN, Record
from weitiao.data.shapes import PICTURED
from weitiao.evaluate.features import features
from weitiao.models import load


def records(count=10):
    return [Record("toy", n, row) for n, row in enumerate(pictured(count), start=1)]


POOLED = {
    "vit": lambda output: output.last_hidden_state[:, 0],
    "resnet": lambda output: output.pooler_output.flatten(1),
    "convnext": lambda output: output.pooler_output,
    "swin": lambda output: output.pooler_output,
}


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name == "vit" else pytest.mark.whole) for name in FAMILIES]
)
def test_features_are_what_the_body_gives_its_head(family):
    task = registry.build("task", {"name": "image_classification"}).learn(records())
    loaded = load.load(toy(family), task)
    examples = list(task.encode(records(), loaded.processor, limit=9))
    found_ND = features(loaded, task, examples, batch_size=4)
    pixels = loaded.collate(task)(examples, [*range(10)]).inputs["pixel_values"]
    with torch.no_grad():
        expected_ND = POOLED[family](loaded.model.eval().base_model(pixel_values=pixels))
    assert np.allclose(found_ND, expected_ND, atol=1e-5)


def clusters(count, *, seed, width=6):
    """Three labels whose vectors lie apart."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    return [
        Record(
            "toy", n, {"label": "abc"[label], SEEN: rng.normal(0, 1.5, width) + 2 * np.eye(3, width)[label]}
        )
        for n, label in enumerate(labels)
    ]


def test_the_regression_is_scikit_learns_with_a_cost_that_training_rows_chose():
    train, test = clusters(200, seed=0), clusters(80, seed=1)
    baseline = registry.build("baseline", {"name": "frozen_features"})
    said = [one["label"] for one in baseline.fit(train, PICTURED)(test)]
    seen, asked = (np.stack([row.values[SEEN] for row in rows]) for rows in (train, test))
    labels = np.array([row.values["label"] for row in train])
    scaler, part = StandardScaler().fit(seen), np.arange(200) % 5 == 0
    seen = scaler.transform(seen)
    costs = (0.001, 0.01, 0.1, 1.0)

    def theirs(cost, rows):
        return LogisticRegression(C=cost, max_iter=1000).fit(seen[rows], labels[rows])

    scores = [theirs(cost, ~part).score(seen[part], labels[part]) for cost in costs]
    best = theirs(costs[int(np.argmax(scores))], np.full(200, True))
    assert said == best.predict(scaler.transform(asked)).tolist()
    assert np.mean([one == row.values["label"] for one, row in zip(said, test, strict=True)]) > 0.6


def test_one_label_is_said_of_everything():
    rows = [Record("toy", n, {"label": "a", SEEN: np.zeros(3)}) for n in range(4)]
    baseline = registry.build("baseline", {"name": "frozen_features"})
    assert baseline.fit(rows, PICTURED)(rows) == [{"label": "a"}] * 4
