"""The table of promises over families: what is true of a row alone is true of it beside others, trained, saved and read.

Every family is a folder, as users meet it; the truth is the model that was saved there, asked row by row.
"""

from __future__ import annotations

import copy
import math
import string
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.conftest import rarely
from tests.models.families import CLASSIFIERS, DECODERS, built, saved
from weitiao.core import registry
from weitiao.core.contracts import Example, Record
from weitiao.core.recipe import Train
from weitiao.data.pack import Batches
from weitiao.evaluate.predict import predict
from weitiao.models import load, store
from weitiao.train import loop, optim

WORDS = registry.build("task", {"name": "language_modeling"})
LABELS = registry.build("task", {"name": "text_classification", "labels": ["bad", "good"]})
TASKS = {"CausalLM": WORDS, "SequenceClassification": LABELS}
LENGTHS = (9, 3, 6, 12, 6)
LORA = registry.build("method", {"name": "lora", "r": 2, "lora_dropout": 0.0})
PAIRS = [(name, "CausalLM") for name in DECODERS] + [(name, "SequenceClassification") for name in CLASSIFIERS]
# Every third one in the fast tier: families differ little, and a model is made and read for each.
DEALT = [rarely(*pair) if place % 3 else pair for place, pair in enumerate(PAIRS)]
everywhere = pytest.mark.parametrize(("name", "kind"), DEALT, ids=lambda word: word)
decoders = pytest.mark.parametrize(
    "name", [rarely(name) if place % 3 else name for place, name in enumerate(DECODERS)]
)

Table = Callable[[str, str], tuple[Any, str, load.Loaded]]


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Table:
    """Family and kind -> the model that was saved, its folder, and how it was opened; each made once."""

    @cache
    def made(name: str, kind: str) -> tuple[Any, str, load.Loaded]:
        truth = built(name, kind)
        folder = saved(truth, tmp_path_factory.mktemp(name))
        return truth, folder, load.load(folder, TASKS[kind])

    return made


def examples(kind: str, processor) -> list[Example]:
    """Rows of unlike lengths and words; two of one length."""
    letters = string.ascii_letters
    texts = ["".join(letters[(7 * row + 5 * i) % 52] for i in range(n)) for row, n in enumerate(LENGTHS)]
    rows = [Record("toy", i, {"text": text, "label": ("bad", "good")[i % 2]}) for i, text in enumerate(texts)]
    found = list(TASKS[kind].encode(rows, processor, limit=64))
    assert all(len(row) > n for row, n in zip(found, LENGTHS, strict=True))
    return found


def alone(truth, example: Example) -> torch.Tensor:
    """Scores of a row by itself, asked in the plainest way."""
    with torch.no_grad():
        return truth(input_ids=torch.tensor([list(example.inputs["input_ids"])])).logits[0].float()


@everywhere
def test_rows_beside_each_other_are_rows_alone(table, name, kind):
    truth, _, found = table(name, kind)
    rows = examples(kind, found.processor)
    assert found.layout is (DECODERS if kind == "CausalLM" else CLASSIFIERS)[name][1]
    for row, told in zip(rows, predict(found, TASKS[kind], rows, batch_size=4), strict=True):
        if kind == "CausalLM":
            ids = torch.tensor(list(row.inputs["input_ids"]))
            loss = F.cross_entropy(alone(truth, row)[:-1], ids[1:], reduction="sum").item()
            assert told == {"loss": pytest.approx(loss, rel=1e-5), "tokens": len(ids) - 1}
        else:
            shares = alone(truth, row).softmax(-1).tolist()
            assert list(told["scores"].values()) == pytest.approx(shares, abs=1e-5)


@decoders
def test_no_word_hears_a_later_one(table, name):
    *_, found = table(name, "CausalLM")
    (row, *_) = examples("CausalLM", found.processor)
    ids = list(row.inputs["input_ids"])
    one, two = (
        WORDS.logits(found.model, found.collate(WORDS)([_learning(words)], [0]))
        for words in (ids, [*ids[:-2], 60, ids[-1]])
    )
    torch.testing.assert_close(one[:-1], two[:-1], rtol=0, atol=1e-5)
    assert not torch.allclose(one[-1], two[-1], atol=1e-3)


def _learning(ids: list[int]) -> Example:
    return Example({"input_ids": ids, "labels": [-100, *ids[1:]]}, trained=len(ids) - 1)


@decoders
def test_words_made_with_a_cache_are_those_made_without(table, name):
    truth, _, found = table(name, "CausalLM")
    (row, *_) = examples("CausalLM", found.processor)
    said = torch.tensor([list(row.inputs["input_ids"])[:5]])
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    with torch.no_grad():
        made = found.model.generate(
            input_ids=said, attention_mask=torch.ones_like(said), max_new_tokens=4, **options
        )
        for _ in range(4):
            said = torch.cat([said, truth(input_ids=said, use_cache=False).logits[:, -1:].argmax(-1)], 1)
    assert made.tolist() == said.tolist()


@everywhere
def test_an_adapter_learns_is_saved_read_and_folded(table, name, kind, tmp_path):
    _, folder, found = table(name, kind)
    task, loaded = TASKS[kind], replace(found, model=copy.deepcopy(found.model), trained={})
    store.prepare(loaded, LORA, seed=0)
    rows = examples(kind, loaded.processor)
    settings = Train(num_train_epochs=2, learning_rate=1e-2, warmup_steps=0, bf16=False)
    training = loop.Training(
        model=loaded.model,
        method=LORA,
        task=task,
        batches=Batches(rows, loaded.collate(task), batch_size=3, layout=loaded.layout),
        settings=settings,
        optimizer=optim.build(loaded.model, settings, learning_rate=1e-2),
        weights=loaded.trained,
    )
    before = predict(loaded, task, rows)
    loaded.model.train()
    for _ in range(2):
        loop.step(training)
        assert math.isfinite(training.facts["loss"])
    tuned = predict(loaded, task, rows)
    assert tuned != before
    store.save_tuned(tmp_path / "model", loaded, task=task, method=LORA, card={})
    read = store.load_tuned(tmp_path / "model", ref=folder, task=task, method=LORA)
    assert predict(read, task, rows) == _close(tuned)
    read.model = LORA.fold(read.model)
    assert predict(read, task, rows) == _close(tuned)


def _close(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def close(value: Any) -> Any:
        return value if isinstance(value, str | dict) else pytest.approx(value, rel=1e-4)

    return [
        {key: pytest.approx(v, rel=1e-4) if isinstance(v, dict) else close(v) for key, v in row.items()}
        for row in rows
    ]
