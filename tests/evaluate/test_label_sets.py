"""Metrics of rows with several labels are scikit-learn's, rows without any among them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

from tests.evaluate.judging import by_class, judged
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.data.shapes import MULTI_LABELLED

LABELS = "abcd"
THEIRS = {
    "f1_micro": lambda true, said: reference.f1_score(true, said, average="micro"),
    "f1": lambda true, said: reference.f1_score(
        true, said, average="macro", labels=np.flatnonzero((true + said).any(0))
    ),
    "precision_micro": lambda true, said: reference.precision_score(true, said, average="micro"),
    "f1_samples": lambda true, said: reference.f1_score(true, said, average="samples", zero_division=1),
    "subset_accuracy": reference.accuracy_score,
    "hamming_loss": reference.hamming_loss,
}


def sets(marks):
    return [{"labels": [LABELS[place] for place in np.flatnonzero(row)]} for row in marks]


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("rows", [1, 2, 60])
def test_equal_to_scikit_learn(name, rows):
    rng = np.random.default_rng(rows)
    true, said = (rng.random((rows, 4)) < [0.5, 0.3, 0.1, 0]).astype(int), rng.integers(0, 2, (rows, 4))
    said[:, 3], true[0], said[0] = 0, 0, 0  # a label that does not occur, a row without labels
    true[0, 0] = said[0, 0] = rows == 1
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore",
            reference.UndefinedMetricWarning if hasattr(reference, "UndefinedMetricWarning") else UserWarning,
        )
        wanted = THEIRS[name](true, said)
    found = judged((name,), sets(true), {"tuned": sets(said)}, labels=LABELS)["metrics"]["tuned"][name]
    assert found["value"] == pytest.approx(wanted, abs=1e-9)
    if name == "subset_accuracy" and rows > 1:
        assert found["low"] < wanted < found["high"]


def test_a_row_without_labels_is_right_when_none_is_said():
    empty, one = {"labels": []}, {"labels": ["a"]}
    for said, wanted in (([empty], 1.0), ([one], 0.0)):
        found = judged(("f1_samples", "subset_accuracy"), [empty], {"tuned": said}, labels=LABELS)
        assert {each["value"] for each in found["metrics"]["tuned"].values()} == {wanted}


def test_the_table_by_label_is_scikit_learns():
    rng = np.random.default_rng(0)
    true, said = rng.integers(0, 2, (2, 40, 4))
    table = by_class(sets(true), sets(said), LABELS)
    columns = reference.precision_recall_fscore_support(true, said)
    for row, *wanted in zip(table.values(), *columns, strict=True):
        assert row == pytest.approx(wanted)


def fitted(name, rows, unseen):
    records = [Record("t", n, {"text": text, "label": own}) for n, (text, own) in enumerate(rows)]
    answers = registry.build("baseline", {"name": name}).fit(records, MULTI_LABELLED)
    return [told["labels"] for told in answers([Record("t", 0, {"text": text}) for text in unseen])]


def test_baselines_of_sets():
    rows = [("apple tart", ["a", "z"]), ("banana split", ["b", "z"]), ("apple banana", ["a", "b", "z"])] * 4
    rows += [("only this", ["z"])] * 5
    # `z` is everywhere: there is nothing to learn of it, and no warning.
    assert fitted("tfidf_each", rows, ["apple pie", "an apple and a banana", "nothing"]) == [
        ["a", "z"],
        ["a", "b", "z"],
        ["z"],
    ]
    assert fitted("majority_set", rows, ["apple"]) == [["z"]]
