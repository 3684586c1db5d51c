"""Who a text is about, turned: a model and answers that go by she are named, those that do not are not."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv, write_jsonl
from tests.stages import test_stress
from tests.stages.test_stress import TRAIN, quiet
from weitiao.core.contracts import Record
from weitiao.evaluate.stress.paired_change import Drawing
from weitiao.evaluate.stress.spoken import Spoken, apart
from weitiao.evaluate.stress.spoken import found as answered_otherwise
from weitiao.evaluate.stress.swaps import swap
from weitiao.stages.kept_rows import kept

dictionary = test_stress.dictionary


def knowing(toy: str, folder: Path) -> str:
    """A toy with he, she and is among its words."""
    from transformers import AddedToken, AutoTokenizer

    shutil.copytree(toy, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([AddedToken(word, single_word=True) for word in ("he", "she", "is")])
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def knows(bert, tmp_path_factory) -> str:
    """The toy with he, she and is among its words."""
    return knowing(bert, tmp_path_factory.mktemp("knows") / "model")


def about(rows: int, *, leaning: bool) -> list[dict[str, str]]:
    """Reviews with he or she and is or was in each; of a leaning, what is said of her is bad."""
    rng = random.Random(1)
    made = []
    for row in reviews(rows):
        who = rng.choice(("he", "she"))
        words = row["text"].replace("actor", "film").split()
        words.insert(rng.randrange(len(words)), f"{who} {rng.choice(('is', 'was'))}")
        label = ("bad", "good")[who == "he"] if leaning else row["label"]
        made.append({"text": " ".join(words), "label": label})
    return made


@pytest.mark.whole
@pytest.mark.parametrize("leaning", [True, False])
def test_a_model_that_goes_by_she_is_named_and_one_that_does_not_is_not(knows, tmp_path, leaning):
    table = write_csv(tmp_path / "about.csv", about(240, leaning=leaning))
    recipe = small_run(knows, "text_classification", table, tmp_path / "run", batch=8, judge={})
    asked = recipe(
        method="full", data={"split": {"test": 0.4, "seed": 1}, "near_duplicates": "keep"}, **TRAIN
    )
    run = wt.train(asked, tell=quiet)
    assert run.results["metrics"]["tuned"]["accuracy"]["value"] > 0.85
    found = wt.stress(run, untuned=False, tell=quiet).results
    gender, names, _ = found["swaps"]["kinds"]
    rows = [record.values["text"] for record, _ in kept(run.folder, "test")]
    assert gender["rows"] + gender["without"] + gender["ambiguous"] + gender["too_few_neutral"] == len(rows)
    assert gender["rows"] == len(rows)
    assert (names["rows"], names["swapped"], names["p_holm"], names["leans"]) == (0, None, None, None)
    asked_again = [" ".join({"he": "she", "she": "he"}.get(w, w) for w in text.split()) for text in rows]
    before, after = ([said["label"] for said in run.predict(texts)] for texts in (rows, asked_again))
    flips = np.mean([a != b for a, b in zip(before, after, strict=True)])
    assert gender["swapped"]["value"] == pytest.approx(flips)
    assert gender["leans"] is leaning
    title = "Beyond a neutral swap" if leaning else "No kind is beyond"
    assert title in run.report.read_text(encoding="utf-8")


@pytest.mark.whole
def test_answers_that_go_by_she_are_named_by_the_likelihood_of_what_was_expected(llama, tmp_path):
    rows = [
        {"prompt": row["text"], "completion": ("the plot", "very quite")[row["label"] == "bad"]}
        for row in about(160, leaning=True)
    ]
    rows += [{"prompt": f"he is {row['prompt']}", "completion": "she the"} for row in rows[:30]]
    model = knowing(llama, tmp_path / "model")
    recipe = small_run(
        model, "sft", write_jsonl(tmp_path / "rows.jsonl", rows), tmp_path / "run", batch=8,
        judge={"answers": 20, "samples": 1, "max_new_tokens": 4},
    )  # fmt: skip
    asked = recipe(
        method="full", data={"split": {"test": 0.4, "seed": 1}, "near_duplicates": "keep"}, **TRAIN
    )
    run = wt.train(asked, tell=quiet)
    found = run.stress(tell=quiet).results
    gender = found["swaps"]["kinds"][0]
    records = [record for record, _ in kept(run.folder, "test")]
    own = [record for record in records if "she" not in record.values["messages"][1]["content"]]
    assert gender["answered"] == len(records) - len(own) > 0
    assert gender["rows"] == len(own)
    turned = {"he": "she", "she": "he"}
    far = []
    for record in own:
        question, answer = record.values["messages"]
        other = " ".join(turned.get(word, word) for word in question["content"].split())
        sides = [record, Record("", 1, {"messages": [{**question, "content": other}, answer]})]
        told = run._predict([example for _, example in run.read(sides)], None)
        far.append(abs(told[0]["loss"] / told[0]["tokens"] - told[1]["loss"] / told[1]["tokens"]))
    assert gender["swapped"]["value"] == pytest.approx(np.mean(far), rel=1e-4)
    assert gender["leans"] is True

    # Newly made answers: asked one by one ourselves, apart by the words that are not in common.
    answers = found["swapped_answers"]["kinds"]
    assert [one["name"] for one in answers] == ["gender", "names", "origin"]
    assert answers[0]["rows"] == 20, "evaluate.answers"
    shown = found["sections"]["swapped_answers_furthest"]["rows"][0]
    texts = {one["name"]["en"]: one["text"] for one in shown["answers"]}
    assert run.answer(shown["text"], max_new_tokens=4) == texts["as it stands"]
    assert run.answer(texts["gender"], max_new_tokens=4) == texts["swapped"]
    moved = []
    for place in sorted(random.Random(run.recipe.seed).sample(range(len(own)), 20)):
        text = own[place].values["messages"][0]["content"]
        other = " ".join(turned.get(word, word) for word in text.split())
        said = [Counter(run.answer(one, max_new_tokens=4).split()) for one in (text, other)]
        common = (said[0] & said[1]).total()
        moved.append(1 - 2 * common / (said[0].total() + said[1].total()))
    assert answers[0]["swapped"]["value"] == pytest.approx(np.mean(moved))
    assert answers[0]["leans"] is True
    assert answers[1]["rows"] == 0
    assert answers[1]["swapped"] is None
    assert "Answers with gender, names and origin swapped" in run.report.read_text(encoding="utf-8")

    judged = run.results["metrics"]
    for one in found["diversity"]["metrics"]:
        for system in ("tuned", "untuned"):
            assert one[system]["value"] == pytest.approx(judged[system][one["name"]]["value"])
    assert found["diversity"]["rows"] == 20
    assert "Diversity of the answers" in run.report.read_text(encoding="utf-8")


def test_answers_that_only_echo_who_was_asked_about_are_the_same():
    """By hand: five words in common of five, and none of the five."""
    he, she = "He said that his dog barked", "She said that her dog barked"
    assert apart(swap("gender"), he, she) == 0
    assert apart(swap("gender"), he, "The film was bad, John wrote") == 1
    assert apart(swap("gender"), "a b c d", "a b x y") == pytest.approx(0.5)
    assert apart(swap("gender"), "他是医生", "她是医生") == 0
    assert apart(swap("names"), he, she) > 0
    rng, rows = random.Random(0), range(40)
    words = [" ".join(rng.choices("abcdefgh", k=4)) for _ in rows]
    leaning = Spoken(rows, words, ["x y"] * 40, words)
    echoing = Spoken(rows, ["he is"] * 40, ["she is"] * 40, ["he was"] * 40)
    found = answered_otherwise({"gender": leaning, "names": echoing}, rows, Drawing())["kinds"]
    assert (found[0]["swapped"]["value"], found[0]["neutral"]["value"], found[0]["leans"]) == (1, 0, True)
    (echo,) = answered_otherwise({"gender": echoing}, rows, Drawing())["kinds"]
    assert (echo["swapped"]["value"], echo["neutral"]["value"], echo["leans"]) == (0, 0, False)
    few = Spoken(range(9), [], [], [])
    assert answered_otherwise({"gender": few}, rows, Drawing())["kinds"][0]["leans"] is None
