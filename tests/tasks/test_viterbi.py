"""The row of tags that is answered: written without a fault, and the likeliest of those."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from weitiao.core import registry
from weitiao.core.contracts import Batch
from weitiao.data import tags
from weitiao.tasks.parts.pieces import NONE
from weitiao.tasks.parts.viterbi import likeliest, moves

SCHEMES = ("bio", "iob1", "io", "bioes", "bilou", "bmes", "types", "words")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_row_without_a_fault_is_likelier(scheme):
    labels = tags.tag_set(["X", "Y-Z"], scheme)
    costs = moves(labels, scheme)
    judged = "bio" if scheme == "iob1" else scheme
    rng = np.random.default_rng(0)
    changed = 0
    for words in (1, 2, 3):
        sound = [
            row
            for row in product(range(len(labels)), repeat=words)
            if not any(tags.faults([labels[tag] for tag in row], judged))
        ]
        for _ in range(10):
            logs_NL = np.log(rng.dirichlet(np.ones(len(labels)), size=words))
            best = max(sound, key=lambda row: sum(logs_NL[range(words), row]))  # noqa: B023
            assert likeliest(logs_NL, costs).tolist() == list(best)
            changed += list(best) != logs_NL.argmax(1).tolist()
    assert bool(changed) == (scheme not in ("io", "types", "words"))


def test_a_type_of_which_a_tag_is_missing_binds_nothing():
    labels = ("O", "I-A", "B-B", "I-B")
    logs_NL = np.log([[0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7], [0.3, 0.1, 0.2, 0.4]])
    assert [labels[tag] for tag in likeliest(logs_NL, moves(labels, "bio"))] == ["I-A", "B-B", "I-B"]


class Planted(nn.Module):
    """Says of every token what is planted."""

    def __init__(self, shares):
        super().__init__()
        self.shares = torch.tensor([shares])

    def forward(self, **inputs):
        return SimpleNamespace(logits=self.shares.log())


def test_a_name_whose_type_changes_in_its_middle_is_one_name():
    task = registry.build(
        "task",
        {
            "name": "token_classification",
            "labels": ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG"],
            "scheme": "bio",
            "words": "characters",
        },
    )
    shares = [
        [0.05, 0.6, 0.05, 0.25, 0.05],
        [0.05, 0.05, 0.3, 0.05, 0.55],
        [0.05, 0.05, 0.2, 0.05, 0.65],
        [0.3, 0.05, 0.05, 0.05, 0.55],
    ]
    # The fourth word has no token: it is outside, so nothing goes on behind it.
    first = np.array([0, 1, 2, NONE, 3])
    batch = Batch(
        {"input_ids": torch.zeros(1, 4, dtype=torch.long)},
        torch.tensor([3, 4, 4, 0]),
        trained=4,
        rows=[0],
        tokens=4,
        padding=0,
        extra={"places": torch.arange(4), "first": [first]},
        weights=None,
    )
    (told,) = task.predict(Planted(shares), batch)
    assert told["tags"] == ["B-ORG", "I-ORG", "I-ORG", "O", "O"]
    assert told["scores"] == pytest.approx([0.25, 0.55, 0.65, 0.0, 0.3])
    assert [(span["type"], span["start"], span["end"]) for span in told["spans"]] == [("ORG", 0, 3)]
    assert told["loss"] == pytest.approx(-np.log([0.25, 0.55, 0.65, 0.3]).sum())
