"""The judge's numbers against scikit-learn, closed formulas and brute force; the verdict's words against them."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from sklearn import metrics as reference

from tests.conftest import reviews
from tests.evaluate.judging import judged
from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.data.shapes import LABELLED
from weitiao.data.tfidf import without_spaces
from weitiao.evaluate.findings import findings
from weitiao.evaluate.findings.evidence import Evidence
from weitiao.evaluate.paired import mcnemar
from weitiao.evaluate.verdict import verdict


def labelled(rows, accuracy, *, seed):
    rng = random.Random(seed)
    truth = [rng.choice("abc") for _ in range(rows)]
    return truth, [label if rng.random() < accuracy else rng.choice("abc") for label in truth]


@pytest.mark.parametrize("accuracy", [0.0, 0.5, 1.0])
def test_fast_macro_scores_equal_scikit_learn(accuracy):
    truth, guess = (np.array(["abcd".index(x) for x in side]) for side in labelled(60, accuracy, seed=1))
    options = {"average": "macro", "zero_division": 0}  # class d never occurs, and counts in neither
    expected = reference.precision_recall_fscore_support(truth, guess, **options)[:3]
    rows, system = ([{"label": "abcd"[place]} for place in side] for side in (truth, guess))
    found = judged(("precision", "recall", "f1"), rows, {"tuned": system}, labels="abcd")["metrics"]["tuned"]
    assert [one["value"] for one in found.values()] == pytest.approx(expected)


def test_accuracy_carries_wilsons_interval():
    """81 of 100: 0.7222 to 0.8749 by the closed formula at 95 %."""
    rows = [{"label": "a"}] * 100
    guesses = [{"label": "a"}] * 81 + [{"label": "b"}] * 19
    found = judged(("accuracy",), rows, {"tuned": guesses})
    p, n, z = 0.81, 100, 1.959964
    middle, half = (
        (p + z * z / (2 * n)) / (1 + z * z / n),
        z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)),
    )
    accuracy = found["metrics"]["tuned"]["accuracy"]
    assert (accuracy["low"], accuracy["high"]) == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Ninety per cent intervals of macro F1 over fresh samples of one population."""
    population = list(zip(*labelled(20000, 0.6, seed=2), strict=True))
    truth, guess = zip(*population, strict=True)
    true_f1 = reference.f1_score(truth, guess, average="macro")
    rng, hits = random.Random(3), 0
    for _ in range(60):
        sample = rng.sample(population, 150)
        rows = [{"label": t} for t, _ in sample]
        system = {"tuned": [{"label": g} for _, g in sample]}
        options = {"labels": "abc", "confidence": 0.9, "resamples": 200}
        f1 = judged(("f1",), rows, system, **options)["metrics"]["tuned"]["f1"]
        hits += f1["low"] <= true_f1 <= f1["high"]
    assert 47 <= hits <= 60  # 54 expected; below 47 has a chance under 1 %


def test_mcnemar_is_the_exact_binomial_of_the_discordant_rows():
    tuned, other = (
        np.array([True] * 9 + [False] * 2 + [True] * 5),
        np.array([False] * 9 + [True] * 2 + [True] * 5),
    )
    by_hand = 2 * sum(math.comb(11, k) for k in range(3)) / 2**11
    found = mcnemar(tuned, other)
    assert (found["gained"], found["lost"]) == (9, 2)
    assert found["p_value"] == pytest.approx(by_hand)
    assert mcnemar(tuned, tuned)["p_value"] == 1.0


def test_perplexity_weighs_tokens_not_rows():
    systems = {"tuned": [{"loss": 2.0, "tokens": 1}, {"loss": 9.0, "tokens": 9}]}
    found = judged(("loss", "perplexity"), [{}, {}], systems)["metrics"]["tuned"]
    assert found["loss"]["value"] == pytest.approx(11 / 10)
    assert found["perplexity"]["value"] == pytest.approx(math.exp(1.1))


def results(tuned, untuned, baseline=None, *, p=0.001, p_baseline=0.001, higher=True):
    metrics = {"tuned": tuned, "untuned": untuned, **({"tfidf": baseline} if baseline else {})}
    return {
        "primary": "accuracy",
        "higher_is_better": higher,
        "rows": 100,
        "metrics": {name: {"accuracy": {"value": value}} for name, value in metrics.items()},
        "comparisons": {"untuned": {"p_value": p}, "tfidf": {"p_value": p_baseline}},
    }


@pytest.mark.parametrize(
    ("given", "learned", "words"),
    [
        (results(0.9, 0.5), True, "It learned"),
        (results(0.9, 0.5, p=0.2), False, "No gain is proven"),
        (results(0.4, 0.5, p=0.2), False, "No gain is proven"),
        (results(0.4, 0.5), False, "It got worse"),
        (results(0.5, 0.5), False, "No gain is proven"),
        (results(3.0, 5.0, higher=False), True, "It learned"),
        (results(0.9, 0.5, 0.8), True, "clearly better than the baseline"),
        (results(0.9, 0.5, 0.89, p_baseline=0.4), True, "within chance"),
        (results(0.87, 0.5, 0.89, p_baseline=0.4), True, "baseline (TF-IDF) is better with 0.890, though"),
        (results(0.9001, 0.5, 0.9004, p_baseline=0.4), True, "difference to the baseline's 0.900 is within"),
        (
            results(3.0, 5.0, 2.9, p_baseline=0.4, higher=False),
            True,
            "(TF-IDF) is better with 2.900, though",
        ),
        (results(0.7, 0.5, 0.8), False, "baseline (TF-IDF) does better with 0.800"),
        (results(0.7, 0.5, 0.8), False, "It gained, but no more than a baseline gives"),
    ],
)
def test_the_verdict_says_what_the_numbers_bear(given, learned, words):
    found = verdict(given, confidence=0.95)
    assert found["learned"] is learned
    assert words in found["sentence"]
    assert found["learned"] == ("It learned" in found["sentence"])


@pytest.mark.parametrize(
    ("majority", "p", "learned"), [(0.6, 0.001, True), (0.85, 0.3, False), (0.95, 0.001, False)]
)
def test_who_does_no_better_than_without_reading_has_learnt_nothing(majority, p, learned):
    given = results(0.9, 0.5)
    given["metrics"]["majority"] = {"accuracy": {"value": majority}}
    given["comparisons"]["majority"] = {"p_value": p}
    found = verdict(given, confidence=0.95)
    assert found["learned"] is learned
    assert found["sentence"].startswith("It learned" if learned else "Nothing is learnt of the rows")
    assert f"{majority:.3f}" in found["sentence"]
    assert learned or "most frequent label" in found["sentence"]


def test_the_best_of_several_baselines_is_named():
    given = results(0.7, 0.5, 0.6)
    given["metrics"]["dictionary"] = {"accuracy": {"value": 0.8}}
    given["comparisons"]["dictionary"] = {"p_value": 0.001}
    assert "(dictionary of tags) does better with 0.800" in verdict(given, confidence=0.95)["sentence"]


def told(name, texts, labels, unseen):
    """What a baseline says of texts, learnt from others."""
    rows = [
        Record("a.csv", line, {"text": t, "label": one})
        for line, (t, one) in enumerate(zip(texts, labels, strict=True))
    ]
    asked = [Record("b.csv", line, {"text": text}) for line, text in enumerate(unseen)]
    found = registry.build("baseline", {"name": name}).fit(rows, LABELLED)(asked)
    return [row["label"] for row in found]


@pytest.mark.parametrize(
    "texts",
    [
        ["\U0001f600\U0001f680", "\U0001f622"] * 30,  # emoji
        ["\U0001f600 ok", "\U0001f622"] * 30,  # and hardly a word
        ["a b", "c d"] * 30,  # single letters
        ["1 0 ...", "0 1 !!"] * 30,  # digits and punctuation
        [f"{'a' if row % 2 else 'b'}{row:07}" for row in range(1200)],  # no word twice
        ["好书", "坏书"] * 30,
    ],
)
def test_the_baseline_tells_apart_whatever_texts_are_made_of(texts):
    labels = ["yes", "no"] * (len(texts) // 2)
    assert told("tfidf", texts, labels, texts[:10]) == labels[:10]


def test_the_baseline_of_one_label_is_that_label():
    assert told("tfidf", ["a text", "another"], ["x", "x"], ["a third"]) == ["x"]
    assert told("majority", "pqrst", "bbaac", "uv") == ["a", "a"]


def test_the_baseline_learns_and_knows_chinese_from_english():
    rows = reviews(200)
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    guesses = told("tfidf", texts[:150], labels[:150], texts[150:])
    assert reference.accuracy_score(labels[150:], guesses) > 0.9
    assert without_spaces(["这家酒店的服务非常好", "a book"])
    assert not without_spaces(["an English text", "with one 字"])


@pytest.mark.parametrize("task", registry.names("task"))
def test_sentences_call_what_a_task_looks_at_by_words_and_not_by_its_key(task):
    primary = registry.entry("task", task).kind.metrics[0]
    given = json.loads(json.dumps(results(0.6, 0.5, 0.8)).replace("accuracy", primary))
    for lang, said in (("en", "It gained"), ("zh", "有提升")):
        sentence = verdict(given, confidence=0.95, lang=lang)["sentence"]
        assert said in sentence
        assert "_" not in sentence
    said_of_none: dict[str, list] = {"tuned": [], "untuned": [], "tfidf": []}
    (found,) = (
        one for one in findings(Evidence(given, [], [], said_of_none)) if one["name"] == "baseline_better"
    )
    assert "_" not in found["why"]
    assert "TF-IDF" in found["why"]
    assert found["numbers"]["metric"] == primary, "numbers keep the keys"


def test_the_chinese_verdict_calls_a_metric_as_its_table_does(monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    found = verdict(results(0.9, 0.5), confidence=0.95)["sentence"]
    assert found.startswith("学到了：在 100 行未见过的数据上，准确率 由 0.500 变为 0.900")
    assert "accuracy" not in found
