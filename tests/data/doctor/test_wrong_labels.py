"""Confident learning: the formulae by brute force, and labels flipped on purpose."""

from __future__ import annotations

import random

import numpy as np
import pytest

from weitiao.core.contracts import Record
from weitiao.data.doctor import examine
from weitiao.data.doctor.wrong_labels import confident, held_out
from weitiao.data.shapes import LABELLED

TOPICS = {
    "sport": ["match", "goal", "team", "coach", "league", "referee", "stadium", "striker"],
    "money": ["bank", "market", "share", "profit", "loan", "budget", "invoice", "dividend"],
    "food": ["recipe", "oven", "butter", "salt", "flavour", "kitchen", "soup", "garlic"],
}
FILL = [
    "the",
    "of",
    "and",
    "with",
    "in",
    "on",
    "was",
    "for",
    "a",
    "new",
    "old",
    "first",
    "last",
    "said",
    "very",
]


def news(rows: int, *, flips: float, seed: int = 0) -> tuple[list[Record], set[int]]:
    rng = random.Random(seed)
    records, flipped = [], set()
    for index in range(rows):
        true = label = rng.choice(list(TOPICS))
        if rng.random() < flips:
            label = rng.choice([name for name in TOPICS if name != true])
            flipped.add(index)
        words = rng.choices(TOPICS[true], k=3) + rng.choices(FILL, k=8)
        rng.shuffle(words)
        records.append(Record("f.csv", index, {"text": " ".join(words), "label": label}))
    return records, flipped


def by_definition(probabilities: list[list[float]], given: list[int]) -> list[tuple[int, int]]:
    """Equations 1 and 2 of the paper, with loops: the off-diagonal of the confident joint, ranked by margin."""
    labels = range(len(probabilities[0]))
    threshold = []
    for j in labels:
        own = [p[j] for p, label in zip(probabilities, given, strict=True) if label == j]
        threshold.append(sum(own) / len(own))
    found = []
    for row, (p, label) in enumerate(zip(probabilities, given, strict=True)):
        above = [j for j in labels if p[j] >= threshold[j]]
        if above:
            likeliest = max(above, key=lambda j: p[j])
            if likeliest != label:
                found.append((row, likeliest, p[likeliest] - p[label]))
    return [(row, j) for row, j, _ in sorted(found, key=lambda one: -one[2])]


@pytest.mark.parametrize("seed", range(5))
def test_the_confident_joint_is_that_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    given = rng.integers(0, 4, 200)
    given[:4] = range(4)
    probabilities = rng.dirichlet(np.ones(4), 200) + 0.5 * np.eye(4)[given]
    probabilities /= probabilities.sum(1, keepdims=True)
    wanted = by_definition(probabilities.tolist(), given.tolist())
    assert 0 < len(wanted) < 200
    assert confident(probabilities, given) == wanted


def test_flipped_labels_are_found_and_few_others():
    records, flipped = news(900, flips=0.08)
    ledger = {"total": 900, "rows": []}
    diagnosis = examine(records, LABELLED, ledger=ledger, labels=True)
    suspects = {int(one["place"].split()[-1]) for one in diagnosis.tables["wrong_labels"]["suspects"]}
    assert 40 <= len(suspects) <= 50  # the table shows the most certain fifty
    precision = len(suspects & flipped) / len(suspects)
    assert precision > 0.9  # at random: 0.08
    one = next(one for one in diagnosis.findings if one.code == "wrong_labels")
    assert abs(one.count - len(flipped)) < 0.3 * len(flipped)
    for suspect in diagnosis.tables["wrong_labels"]["suspects"][:20]:
        topic = max(TOPICS, key=lambda name: sum(word in TOPICS[name] for word in suspect["text"].split()))
        assert suspect["rather"] == topic != suspect["label"]


def test_most_flips_are_found():
    records, flipped = news(900, flips=0.08, seed=3)
    names = sorted(TOPICS)
    given = np.array([names.index(record.values["label"]) for record in records])
    suspects = {
        row for row, _ in confident(held_out([r.values["text"] for r in records], given, seed=0), given)
    }
    assert len(suspects & flipped) > 0.75 * len(flipped)  # at random: 0.08
    assert len(suspects & flipped) > 0.9 * len(suspects)


def test_right_labels_are_not_suspected():
    records, _ = news(600, flips=0.0)
    diagnosis = examine(records, LABELLED, ledger={"total": 600, "rows": []}, labels=True)
    assert len(diagnosis.tables["wrong_labels"]["suspects"]) < 6
    assert diagnosis.tables["wrong_labels"]["accuracy"] > 0.95


def test_a_row_is_judged_by_a_model_that_has_not_seen_it():
    # Texts without anything in common: whoever has seen a row knows its label, whoever has not can only guess.
    rng = random.Random(0)
    texts = [f"w{i}a w{i}b" for i in range(200)]
    given = np.array([rng.randrange(2) for _ in texts])
    right = (held_out(texts, given, seed=0).argmax(1) == given).mean()
    assert right < 0.65


def test_chance_is_handed_in():
    records, _ = news(300, flips=0.1)
    tables = [
        examine(records, LABELLED, ledger={"total": 300, "rows": []}, labels=True, seed=seed).tables[
            "wrong_labels"
        ]
        for seed in (0, 0, 1)
    ]
    assert tables[0] == tables[1] != tables[2]
