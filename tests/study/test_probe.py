"""What frozen models see, asked: LogME, probes beside scikit-learn, words and bits beside plain Transformers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import dialogues, tagged, write_jsonl
from weitiao.core import registry
from weitiao.core.contracts import Example, Record
from weitiao.study.choice import probe
from weitiao.study.choice.asked import ask
from weitiao.study.choice.features import seen
from weitiao.study.choice.logme import logme
from weitiao.study.choice.look import asked, look

pytestmark = pytest.mark.whole


def ground_of(file: Path, task: str = "") -> Any:
    recipe = asked([str(file)], task=task, columns={}, overrides=[], progress=None)
    return look(recipe, rows=None, progress=None)


def test_logme_is_the_largest_evidence_there_is():
    # The marginal likelihood written down as what it is, a Gaussian, and searched for its largest value.
    from scipy.optimize import minimize
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 6))
    numbers = features @ rng.normal(size=6) + rng.normal(size=40)
    classes = np.eye(2)[(features[:, 0] + rng.normal(size=40) > 0).astype(int)]
    for targets in (numbers[:, None], classes, features[:, :1] * 0.2 + 3):
        best = []
        for column in targets.T:

            def lost(logs: Any, column: Any = column) -> float:
                alpha, beta = np.exp(logs)
                spread = np.eye(40) / beta + features @ features.T / alpha
                return -float(multivariate_normal(np.zeros(40), spread).logpdf(column)) / 40

            best.append(-minimize(lost, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-6}).fun)
        assert logme(features, targets) == pytest.approx(np.mean(best), abs=1e-5)
    assert logme(features, np.ones((40, 1))) is None, "what is constant needs no explanation"
    assert math.isfinite(logme(rng.normal(size=(12, 30)), numbers[:12, None]))


def labelled(rows: int, vectors: Any) -> tuple[Any, list[Record], list[Example]]:
    names = ["no", "so", "yes"]
    labels = [names[place] for place in (vectors[:, :3] + 0.7).argmax(1)]
    records = [Record("a.csv", n, {"text": f"t{n}", "label": label}) for n, label in enumerate(labels)]
    task = registry.build("task", {"name": "text_classification"}).learn(records)
    return task, records, [Example({"input_ids": [1]}, target=names.index(label)) for label in labels]


def test_a_probe_of_labels_is_what_scikit_learn_finds():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(150, 8)) * [1, 5, 1, 1, 9, 1, 1, 1] + 3
    noisy = vectors + rng.normal(size=vectors.shape)
    task, records, examples = labelled(150, vectors)
    fold_N = np.arange(150) % 3
    metric = registry.build("metric", {"name": "accuracy"})
    found = probe.folds_of(task, metric, records, examples, noisy, np.arange(150), fold_N)
    targets = np.array([one.target for one in examples])
    for fold in range(3):
        own, others = fold_N == fold, fold_N != fold
        scale = StandardScaler().fit(noisy[others])
        inner = PredefinedSplit(np.where(np.arange(others.sum()) % 5 == 0, 0, -1))
        grid = GridSearchCV(LogisticRegression(max_iter=2000), {"C": list(probe.COSTS)}, cv=inner)
        grid.fit(scale.transform(noisy[others]), targets[others])
        assert found[fold] == pytest.approx(grid.score(scale.transform(noisy[own]), targets[own]), abs=0.021)


def test_a_probe_of_numbers_and_of_several_labels_finds_what_stands_in_the_vectors():
    rng = np.random.default_rng(2)
    vectors, fold_N = rng.normal(size=(90, 4)), np.arange(90) % 3
    numbers = 100 + 20 * vectors[:, 0]
    records = [Record("a", n, {"text": f"t{n}", "label": float(y)}) for n, y in enumerate(numbers)]
    examples = [Example({"input_ids": [1]}, target=float(y)) for y in numbers]
    task, metric = (
        registry.build(shelf, {"name": name})
        for shelf, name in (("task", "text_regression"), ("metric", "mae"))
    )
    off = probe.folds_of(task, metric, records, examples, vectors, np.arange(90), fold_N)
    assert max(off) < 1, "in the units of the file, whose spread is 20"

    sets = [[name for name, x in zip(("a", "b"), row, strict=False) if x > 0] for row in vectors]
    records = [Record("a", n, {"text": f"t{n}", "label": own}) for n, own in enumerate(sets)]
    task = registry.build("task", {"name": "multi_label_classification"}).learn(records)
    examples = [Example({"input_ids": [1]}, target=task.goal(own)) for own in sets]
    metric = registry.build("metric", {"name": "f1_micro"})
    assert min(probe.folds_of(task, metric, records, examples, vectors, np.arange(90), fold_N)) > 0.8


def test_words_are_seen_as_transformers_sees_them(bert, tmp_path):
    import torch
    from transformers import AutoModel, AutoTokenizer

    from weitiao.models import load

    file = write_jsonl(tmp_path / "tagged.jsonl", tagged(60))
    ground = ground_of(file)
    loaded = load.load(bert, ground.task)
    records = list(ground.rows)[:5]
    examples = list(ground.task.encode(records, loaded.processor, limit=64))
    vectors, owner = seen(loaded, ground.task, examples, longest=64, batch_size=2)
    base, tokenizer = AutoModel.from_pretrained(bert).eval(), AutoTokenizer.from_pretrained(bert)
    for row, record in enumerate(records):
        words = record.values["tokens"]
        ids = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        places = [ids.word_ids().index(word) for word in range(len(words))]
        with torch.inference_mode():
            states = base(**ids).last_hidden_state[0]
        assert np.allclose(vectors[owner == row], states[places].numpy(), atol=1e-5)
    said, sight = ask(bert, ground, progress=None)
    assert sight
    assert len(said["values"]) == 5
    assert min(said["values"]) > 0.5, "a toy's words differ by their embeddings alone"


def test_bits_for_a_byte_of_the_untuned_model(llama, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = write_jsonl(tmp_path / "dialogues.jsonl", dialogues(40))
    ground = ground_of(file)
    said, sight = ask(llama, ground, progress=None)
    assert sight is None
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(llama).eval(),
        AutoTokenizer.from_pretrained(llama),
    )
    bits = size = 0.0
    for record, fold in zip(ground.rows, ground.fold_N, strict=True):
        if fold:
            continue
        turns = record.values["messages"] if "messages" in record.values else record.values["prompt"]
        whole = tokenizer.apply_chat_template(turns, tokenize=False)
        before = tokenizer.apply_chat_template(turns[:-1], tokenize=False, add_generation_prompt=True)
        ids = tokenizer(whole, add_special_tokens=False, return_tensors="pt")["input_ids"]
        start = len(tokenizer(before, add_special_tokens=False)["input_ids"])
        end = start + len(
            tokenizer(turns[-1]["content"] + "<|im_end|>", add_special_tokens=False)["input_ids"]
        )
        with torch.inference_mode():
            logs = model(ids).logits[0].double().log_softmax(-1)
        bits -= sum(float(logs[at - 1, ids[0, at]]) for at in range(start, end)) / math.log(2)
        size += len(turns[-1]["content"].encode())
    assert said["values"][0] == pytest.approx(bits / size, rel=1e-3)
