"""Planted faults are named, through the door that users take; a sound run names none."""

from __future__ import annotations

import math
import random
from string import Formatter
from typing import Any

import numpy as np
import pytest

import weitiao as wt
from tests.conftest import BAD, FILL, GOOD, dialogues, reviews, small_run, write_csv, write_jsonl
from weitiao.core.why import reasons
from weitiao.evaluate.findings import PARTS
from weitiao.evaluate.findings.answers import template
from weitiao.evaluate.findings.evidence import Evidence
from weitiao.evaluate.findings.learning import never_taught, still_falling

LEARNS: dict[str, Any] = {
    "method": "full",
    "num_train_epochs": 6,
    "learning_rate": 5e-3,
    "save_strategy": "no",
    "eval_strategy": "epoch",
    "load_best_model_at_end": False,
}
"""Settings with which the toy learns all that the reviews have."""


@pytest.fixture
def named(bert, tmp_path):
    """Train on such reviews and give the findings by name."""

    def trained(rows: list[dict], *, test: list[dict] | None = None, **words: Any) -> dict[str, dict]:
        table = write_csv(tmp_path / "rows.csv", rows)
        data = words.pop("data", {})
        if test is not None:
            data["test"] = str(write_csv(tmp_path / "test.csv", test))
        recipe = small_run(bert, "text_classification", table, tmp_path / "run", batch=8, judge={})
        run = wt.train(recipe(data=data, **{**LEARNS, **words}))
        assert not run.results["missing"]
        found = {one["name"]: one for one in run.results["findings"]}
        page = " ".join(run.report.read_text().split())
        for one in found.values():
            assert any(one["why"] in remark and one["advice"] in remark for remark in run.remarks)
            assert one["advice"].split("(")[0].strip() in page
        return found

    return trained


@pytest.mark.whole
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_sound_run_names_nothing(named, seed):
    assert named(reviews(200, seed=seed), seed=seed) == {}


def test_a_learning_rate_of_nothing_is_named_in_both_languages(named, tmp_path, monkeypatch):
    found = named(reviews(80), learning_rate=1e-12, num_train_epochs=1)
    assert list(found) == ["nothing_moved"]
    assert found["nothing_moved"]["numbers"]["learning_rate"] <= 1e-12
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    (again,) = wt.evaluate(tmp_path / "run").results["findings"]
    assert again["why"].startswith("没有任何变化")
    assert again["numbers"] == found["nothing_moved"]["numbers"]


FREEZE = """
from weitiao.train.loop import Watcher

class Freeze(Watcher):
    def on_gradients(self, training):
        for weight in training.weights.values():
            weight.grad = None
"""


def test_everything_frozen_is_named(named, tmp_path):
    (tmp_path / "freeze.py").write_text(FREEZE)
    found = named(reviews(80), num_train_epochs=1, watchers=f"{tmp_path}/freeze.py:Freeze")
    assert list(found) == ["no_gradient"]


@pytest.mark.whole
def test_shuffled_labels_are_named(named):
    rows = reviews(240)
    labels = [row["label"] for row in rows]
    random.Random(0).shuffle(labels)
    rows = [{**row, "label": label} for row, label in zip(rows, labels, strict=True)]
    assert "unrelated_labels" in named(rows, learning_rate=1e-3)


@pytest.mark.whole
def test_a_permuted_label_map_is_named(named):
    other = {"good": "bad", "bad": "good"}
    test = [{**row, "label": other[row["label"]]} for row in reviews(60, seed=9)]
    found = named(reviews(200), test=test)
    assert found["swapped_labels"]["numbers"]["renamed"] > 0.9
    assert "bad -> good" in found["swapped_labels"]["why"]


def test_test_rows_that_were_trained_on_are_named(named, tmp_path):
    train = [{**row, "text": row["text"] + " 1"} for row in reviews(200)]
    test = [{**row, "text": row["text"] + " 2"} for row in reviews(200)[:20]] + reviews(40, seed=3)
    other = write_csv(tmp_path / "other.csv", reviews(30, seed=7))
    data = {"near_duplicates": "keep", "validation": str(other)}
    found = named(train, test=test, data=data, num_train_epochs=1)
    seen = found["seen_in_training"]["numbers"]["seen"]
    near = sum(max(_overlap(row["text"], each["text"]) for each in train) >= 0.8 for row in test)
    assert 20 <= seen == pytest.approx(near, abs=2)


def _overlap(one: str, other: str) -> float:
    """Jaccard similarity of pieces of four characters; numbers are alike."""
    a, b = (
        {text[i : i + 4] for i in range(len(text) - 3)} for text in (one.rstrip(" 12"), other.rstrip(" 12"))
    )
    return len(a & b) / len(a | b)


def test_a_copy_of_the_training_file_is_no_test_file(named):
    with pytest.raises(wt.WeitiaoError) as told:
        named(reviews(60), test=reviews(60))
    assert told.value.code == "empty_side"
    assert "60 more were taken out" in str(told.value)


def test_a_model_that_says_one_class_alone_is_named(named):
    rows = [{**row, "label": "good" if row["label"] == "good" else "bad"} for row in reviews(300)]
    few = [row for row in rows if row["label"] == "good"] + [row for row in rows if row["label"] == "bad"][
        :30
    ]
    found = named(few, learning_rate=1e-5, num_train_epochs=1, test=reviews(40, seed=5))
    assert "one_class" in found
    assert "missing_classes" not in found


@pytest.mark.whole
def test_over_fitting_is_named(named):
    rng = random.Random(1)
    rows = [
        {**row, "label": rng.choice(("good", "bad")) if rng.random() < 0.5 else row["label"]}
        for row in reviews(200)
    ]
    found = named(rows, num_train_epochs=16, learning_rate=3e-3, data={"split": {"validation": 0.3}})
    assert found["over_fitting"]["numbers"]["best_step"] < found["over_fitting"]["numbers"]["last_step"] / 2


@pytest.mark.whole
def test_under_fitting_is_named(named):
    found = named(reviews(300), learning_rate=1e-6, num_train_epochs=2)
    assert {"barely_moved"} <= set(found)


def test_a_run_that_finds_nothing_is_named_with_the_rate_of_the_head(tag):
    task = {"name": "token_classification", "class_weights": {"O": 1e4}}
    run = wt.train(tag(task=task, **{**LEARNS, "num_train_epochs": 1}))
    found = {one["name"]: one for one in run.results["findings"]}
    assert not {"one_class", "missing_classes"} & found.keys()
    numbers = found["nothing_said"]["numbers"]
    assert numbers["rows"] == run.results["rows"] >= numbers["held"] > 0
    assert "train.head_learning_rate_ratio=10" in found["nothing_said"]["advice"]


@pytest.mark.parametrize(("steps", "named"), [(60, True), (400, False)])
def test_a_run_that_ends_too_early_is_named(steps, named):
    """Both losses fall as 0.05 + 0.65 exp(-t / 100) does, with noise; one run ends long before it has come down."""
    rng = np.random.default_rng(0)
    loss = 0.05 + 0.65 * np.exp(-np.arange(1, steps + 1) / 100)
    noisy = loss + rng.normal(0, 0.02, steps)
    log = [{"event": "step", "loss": float(each)} for each in noisy]
    every = steps // 4
    log += [
        {"event": "evaluate", "step": at, "validation/loss": float(loss[at - 1]), "validation/loss_se": 0.01}
        for at in range(every, steps + 1, every)
    ]
    found = still_falling(Evidence({"comparisons": {}}, log, [], {"tuned": []}))
    assert (found is not None) == named


@pytest.mark.whole
def test_a_class_that_is_never_said_is_named(named):
    odd = [{**row, "label": "odd"} for row in reviews(206, seed=8)[200:]]
    found = named([*reviews(200), *odd], test=[*reviews(40, seed=5), *odd_ones(8)])
    assert found["missing_classes"]["numbers"]["labels"] == "odd"
    assert found["missing_classes"]["numbers"]["rows"] == 8


def odd_ones(rows: int) -> list[dict]:
    return [{**row, "label": "odd"} for row in reviews(rows, seed=31)]


@pytest.mark.whole
def test_a_baseline_that_does_better_is_named_and_nothing_was_learnt(named, tmp_path):
    found = named(reviews(300), learning_rate=1e-5, num_train_epochs=1)
    assert found["baseline_better"]["numbers"]["system"] == "tfidf"
    verdict = wt.load(tmp_path / "run").results["verdict"]
    assert not verdict["learned"]
    assert "It learned" not in verdict["sentence"]


def test_no_gain_over_the_untuned_model_is_named(named):
    found = named(reviews(80), learning_rate=1e-5, num_train_epochs=1, evaluate={"baseline": "none"})
    assert found["untuned_level"]["numbers"]["p_value"] > 0.05


@pytest.mark.whole
def test_a_sound_run_that_answers_names_nothing(converse, tmp_path):
    marks = {*GOOD, *BAD}
    pairs = [
        (row["text"], next(word for word in row["text"].split() if word in marks)) for row in reviews(300)
    ]
    rows = write_jsonl(
        tmp_path / "talk.jsonl", [{"prompt": text, "completion": word} for text, word in pairs]
    )
    run = wt.train(converse(**{**LEARNS, "per_device_train_batch_size": 8}, data={"train": str(rows)}))
    assert run.results["verdict"]["learned"]
    assert run.results["findings"] == []


@pytest.mark.whole
def test_test_rows_that_were_learnt_by_heart_in_other_words_are_named(named, tmp_path):
    """Labels are by chance, so that only who has seen a row knows its label; test rows are training rows, stirred."""
    rng = random.Random(3)
    words = [row["text"].split() for row in reviews(130)]
    labels = ["good", "bad"] * 65
    train = [{"text": " ".join(each), "label": label} for each, label in zip(words, labels, strict=True)]
    stirred = [
        {**row, "text": " ".join(rng.sample(each, len(each)))} for row, each in zip(train, words, strict=True)
    ]
    others = [{**row, "label": rng.choice(("good", "bad"))} for row in reviews(60, seed=9)]
    data = {"validation": str(write_csv(tmp_path / "other.csv", others)), "near_duplicates": "keep"}
    found = named(train, test=stirred, data=data, num_train_epochs=30, learning_rate=3e-3)
    assert "known_by_heart" in found


def test_every_finding_has_advice_in_both_languages():
    fields = {}
    for name in PARTS:
        for lang in ("en", "zh"):
            told = reasons()[name][lang]
            assert told["why"].strip()
            assert told["way"].strip()
            fields[name, lang] = {field for _, field, _, _ in Formatter().parse(told["why"]) if field}
        assert fields[name, "en"] == fields[name, "zh"]


@pytest.mark.whole
def test_a_sound_run_of_tagged_words_names_nothing(tag):
    assert wt.train(tag(**LEARNS)).results["findings"] == []


@pytest.mark.parametrize(
    ("said", "expected", "named"),
    [
        (FILL, FILL, False),
        (["a film"] * len(FILL), FILL, True),
        (["a film"] * len(FILL), ["the film"] * len(FILL), False),  # so was it asked
        (["a film"] * 3, FILL[:3], False),
    ],
)
def test_answers_are_a_template_where_they_are_alike_and_should_not_be(said, expected, named):
    told = {"tuned": [{"answer": one} for one in said]}
    evidence = Evidence({"comparisons": {}}, [], [{"reference": one} for one in expected], told)
    assert (template(evidence) is not None) == named


@pytest.mark.whole
def test_one_answer_to_everything_is_named(converse, tmp_path):
    rows = [{**row, "completion": "great film"} for row in dialogues(80)]
    train = write_jsonl(tmp_path / "alike.jsonl", rows)
    test = write_jsonl(tmp_path / "test.jsonl", dialogues(30, seed=4))
    data, judge = {"train": str(train), "test": str(test)}, {"samples": 8}
    run = wt.train(converse(**{**LEARNS, "num_train_epochs": 3}, data=data, evaluate=judge))
    found = {one["name"]: one for one in run.results["findings"]}
    assert "great film" in found["template"]["why"]


@pytest.mark.whole
def test_a_model_that_got_worse_is_told_to_learn_less_and_not_more(converse):
    words = {"eval_strategy": "no", "load_best_model_at_end": False, "save_strategy": "no"}
    run = wt.train(converse(**words, method="full", learning_rate=3.0, warmup_steps=0, max_steps=6))
    found = {one["name"]: one for one in run.results["findings"]}
    assert run.results["verdict"]["sentence"].startswith("It got worse")
    assert found["got_worse"]["numbers"]["p_value"] < 0.05
    assert "smaller learning rate" in found["got_worse"]["advice"]
    assert "untuned_level" not in found


@pytest.mark.parametrize(
    ("loss", "words", "baseline", "named"),
    [(5.0, 64, 0.9, True), (4.0, 64, 0.9, False), (5.0, 64, 0.1, False), (5.0, 0, 0.9, False)],
)
def test_a_base_that_was_never_taught_to_write_is_named_where_a_baseline_is_better(
    loss, words, baseline, named
):
    """log 64 is 4.16: above it a model is worse than one that takes all its words alike."""
    value = {"tuned": 0.5, "untuned": 0.0, "nearest": baseline}
    results = {
        "primary": "chrf",
        "higher_is_better": True,
        "metrics": {system: {"chrf": {"value": one}} for system, one in value.items()},
        "comparisons": {
            system: {"difference": 0.5 - one, "p_value": 0.001}
            for system, one in value.items()
            if system != "tuned"
        },
    }
    rows = [{"loss": 3 * loss, "tokens": 3}, {"loss": 7 * loss, "tokens": 7}]
    told = {"tuned": rows, "untuned": rows, "nearest": [{}, {}]}
    found = never_taught(Evidence(results, [], [{}, {}], told, vocabulary=words))
    assert (found is not None) == named
    if found:
        assert found["perplexity"] == pytest.approx(math.exp(loss))


@pytest.mark.parametrize(
    ("word", "length", "repeated", "named"),
    [
        (-0.5, 20, "", {"reward_given_up", "answers_drifted"}),
        (-0.5, 2, "", {"reward_given_up"}),
        (0.0, 0, " so it is that so it is that so it is that", {"answers_drifted"}),
        (0.5, 1, "", set()),
    ],
)
def test_what_was_given_up_for_a_reward_and_how_answers_drifted_is_named(word, length, repeated, named):
    """Of forty answers a watched reward, the length and repetition are planted; the reward itself always rises."""
    from tests.evaluate.judging import shelf
    from weitiao.evaluate.findings import findings
    from weitiao.evaluate.judge import judge

    rng = np.random.default_rng(0)

    def said(text: str, reward: float, watched: float, tokens: int) -> dict[str, Any]:
        parts = {"kind": reward, "word": watched}
        return {"answer": text, "ending": "end", "reward": reward, "rewards": parts, "answer_tokens": tokens}

    texts = ["".join(random.Random(n).choices("abcdefgh ", k=30)) for n in range(40)]
    lengths = rng.integers(18, 24, 40).tolist()
    before = [said(text, rng.random(), rng.random(), n) for text, n in zip(texts, lengths, strict=True)]
    after = [
        said(
            one["answer"] + repeated,
            one["reward"] + 1,
            one["rewards"]["word"] + word,
            one["answer_tokens"] + length,
        )
        for one in before
    ]
    systems = {"tuned": after, "untuned": before}
    metrics = shelf("reward", "answer_length", "repetition")
    found = judge([{}] * 40, systems, metrics)
    results = {
        **found,
        "primary": "reward",
        "higher_is_better": True,
        "rows": 40,
        "general": None,
        "noise": None,
    }
    told = findings(Evidence(results, [], [{"reference": text} for text in texts], systems))
    assert {one["name"] for one in told} & {"reward_given_up", "answers_drifted"} == named
    if "reward_given_up" in named:
        assert "word fell from" in told[0]["why"]
