"""Numbers of spans equal a count by hand, and the dictionary tells the longest run that it knows."""

from __future__ import annotations

import random

import pytest

from tests.evaluate.judging import by_class, judged
from weitiao.data import tags
from weitiao.evaluate.baselines.dictionary import dictionary

NAMES = ("span_f1", "span_precision", "span_recall", "token_accuracy", "span_f1_macro")


def told(row):
    spans = [{"type": kind, "start": start, "end": end} for start, end, kind in tags.spans(row, "bio")]
    return {"tags": row, "spans": spans}


def rows(count, *, seed, types=("A", "B", "C")):
    rng = random.Random(seed)
    choices = ["O", "O", *(f"{letter}-{kind}" for letter in "BI" for kind in types)]
    return [told([rng.choice(choices) for _ in range(rng.randint(1, 9))]) for _ in range(count)]


def by_hand(references, predictions):
    """Every true span beside every told one."""
    hit = said = true = right = words = 0
    for reference, prediction in zip(references, predictions, strict=True):
        true += len(reference["spans"])
        said += len(prediction["spans"])
        hit += sum(a == b for a in reference["spans"] for b in prediction["spans"])
        right += sum(a == b for a, b in zip(reference["tags"], prediction["tags"], strict=True))
        words += len(reference["tags"])
    precision, recall = hit / said, hit / true
    return {
        "span_f1": 2 * precision * recall / (precision + recall),
        "span_precision": precision,
        "span_recall": recall,
        "token_accuracy": right / words,
    }


@pytest.fixture
def two():
    rng = random.Random(3)
    references = rows(60, seed=1)
    noisy = [told([tag if rng.random() < 0.7 else "O" for tag in row["tags"]]) for row in references]
    return references, noisy


def test_values_equal_a_count_by_hand(two):
    references, noisy = two
    found = judged(NAMES, references, {"tuned": noisy}, labels=("A", "B", "C"))["metrics"]["tuned"]
    wanted = by_hand(references, noisy)
    assert {name: found[name]["value"] for name in wanted} == pytest.approx(wanted, abs=1e-9)
    each = []
    for kind in "ABC":
        one, other = (
            [{**row, "spans": [s for s in row["spans"] if s["type"] == kind]} for row in side]
            for side in (references, noisy)
        )
        each.append(by_hand(one, other)["span_f1"])
    assert found["span_f1_macro"]["value"] == pytest.approx(sum(each) / 3, abs=1e-9)
    table = by_class(references, noisy, ("A", "B", "C"))
    assert [f1 for _, _, f1, _ in table.values()] == pytest.approx(each, abs=1e-9)
    assert sum(count for *_, count in table.values()) == sum(len(row["spans"]) for row in references)


def test_a_type_that_is_no_label_counts_as_wrong(two):
    references, _ = two
    odd = [told([tag.replace("C", "X") for tag in row["tags"]]) for row in references]
    found = judged(NAMES, references, {"tuned": odd}, labels=("A", "B", "C"))["metrics"]["tuned"]
    assert found["span_f1"]["value"] == pytest.approx(by_hand(references, odd)["span_f1"], abs=1e-9)


def test_without_any_span_there_is_no_number_and_it_says_why():
    nothing = [told(["O", "O"])] * 3
    found = judged(NAMES, nothing, {"tuned": nothing}, labels=("A",))["metrics"]["tuned"]
    for name in ("span_f1", "span_precision", "span_recall"):
        assert found[name]["value"] is None
        assert found[name]["why"]
    assert found["token_accuracy"]["value"] == 1
    one = [told(["B-A"])] * 3
    found = judged(NAMES, one, {"tuned": [told(["O"])] * 3}, labels=("A",))["metrics"]["tuned"]
    assert found["span_f1"]["value"] == found["span_recall"]["value"] == 0


def test_the_interval_holds_the_value_and_the_test_is_of_the_same_statistic(two):
    references, noisy = two
    worse = [told(["O"] * len(row["tags"])) for row in references]
    found = judged(NAMES, references, {"tuned": noisy, "other": worse}, labels=("A", "B", "C"))
    tuned = found["metrics"]["tuned"]["span_f1"]
    assert tuned["low"] < tuned["value"] < tuned["high"]
    beside = found["comparisons"]["other"]
    assert beside["difference"] == pytest.approx(tuned["value"])
    assert beside["p_value"] < 0.001


def row(text, spelt):
    return {"tokens": text.split(), "tags": spelt.split()}


def test_the_dictionary_takes_the_longest_run_that_was_a_span_as_often_as_not():
    known = [
        row("in New York", "O B-LOC I-LOC"),
        row("York wins", "B-ORG O"),
        row("New is it", "O O O"),
        row("it is May", "O O B-PER"),
        row("in May", "O O"),
        row("by May", "O O"),
    ]
    (first, second) = dictionary(known, [["New", "York", "beats", "York", "in", "May"], ["new"]])
    assert first["tags"] == ["B-LOC", "I-LOC", "O", "B-ORG", "O", "O"]
    assert first["spans"] == [
        {"type": "LOC", "start": 0, "end": 2},
        {"type": "ORG", "start": 3, "end": 4},
    ]
    assert second == {"tags": ["O"], "spans": []}


def test_the_dictionary_writes_as_the_file_does():
    known = [row("Ada Lovelace and Kim", "B-PER E-PER O S-PER")]
    assert dictionary(known, [["Kim", "Ada", "Lovelace"]])[0]["tags"] == ["S-PER", "B-PER", "E-PER"]
    parts = [row("a dog barks", "DET NOUN VERB"), row("a dog", "DET NOUN")]
    assert dictionary(parts, [["a", "dog", "sings"]])[0]["tags"] == ["DET", "NOUN", "O"]
