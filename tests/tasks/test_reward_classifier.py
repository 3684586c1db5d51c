"""A classifier as a reward: of a run, and of a folder of anybody's, beside Transformers' own say; and a run of ratings."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import weitiao as wt
from tests.conftest import rated as ratings
from tests.conftest import small_run, write_jsonl
from weitiao.core.contracts import Answered
from weitiao.core.errors import WeitiaoError
from weitiao.tasks.parts.rewarding import judge, models

ANSWERS = ["the film was very good", "the film was bad", "", "good " * 200]


@pytest.fixture(scope="module")
def theirs(bert, tmp_path_factory):
    """A model with three labels that weitiao has never seen."""
    folder = tmp_path_factory.mktemp("theirs")
    torch.manual_seed(3)
    names = {"id2label": {0: "bad", 1: "fair", 2: "good"}, "label2id": {"bad": 0, "fair": 1, "good": 2}}
    AutoModelForSequenceClassification.from_pretrained(bert, **names).save_pretrained(folder)
    AutoTokenizer.from_pretrained(bert).save_pretrained(folder)
    return folder


def rated(**settings):
    given = [
        Answered([{"role": "user", "content": "Well?"}], text, place="rows.csv line 3") for text in ANSWERS
    ]
    return [one["classifier"] for one in judge([{"name": "classifier", **settings}])(given)]


def by_hand(folder, label):
    model, read = (
        AutoModelForSequenceClassification.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    most = model.config.max_position_embeddings
    with torch.no_grad():
        scores = [
            model(**read(text, return_tensors="pt", truncation=True, max_length=most)).logits[0].softmax(-1)
            for text in ANSWERS
        ]
    return [row[model.config.label2id[label]].item() for row in scores]


def test_a_folder_of_anybodys_rates_by_its_own_labels(theirs):
    for label in ("good", "fair"):
        assert rated(path=str(theirs), label=label) == pytest.approx(by_hand(theirs, label), abs=1e-5)


def test_a_run_rates_as_it_predicts(classify):
    run = wt.train(classify(method="lora", max_steps=2, evaluate={"untuned": False, "baseline": "none"}))
    told = [one["scores"]["good"] for one in run.predict([text for text in ANSWERS if text])]
    own = rated(path=str(run.path), label="good")
    assert [each for each, text in zip(own, ANSWERS, strict=True) if text] == pytest.approx(told, abs=1e-6)
    (known,) = models([{"name": "classifier", "path": str(run.path), "label": "good"}])
    assert known.method is not None, "a plan counts what lies in the base, too"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"label": "goof"}, r'goof[\s\S]*bad, fair, good[\s\S]*"good"'),
        ({"label": "dull"}, r"bad, fair, good"),
    ],
)
def test_a_label_that_it_does_not_know_is_told_before_anything_is_opened(theirs, settings, says):
    with pytest.raises(WeitiaoError, match=says):
        judge([{"name": "classifier", "path": str(theirs), **settings}])


def test_a_model_without_labels_and_a_run_of_another_task_are_refused(bert, converse, theirs, tmp_path):
    with pytest.raises(WeitiaoError, match=r"task\.rewards\.label"):
        judge([{"name": "classifier", "path": bert, "label": "good"}])
    # Names stand in its configuration, and no output layer in its files.
    bare = AutoModelForSequenceClassification.from_pretrained(theirs)
    bare.bert.save_pretrained(tmp_path / "bare")
    AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path / "bare")
    with pytest.raises(WeitiaoError, match="never trained"):
        rated(path=str(tmp_path / "bare"), label="good")
    run = wt.train(converse(method="lora", max_steps=1, evaluate={"untuned": False, "baseline": "none"}))
    with pytest.raises(WeitiaoError, match=r"text_classification"):
        judge([{"name": "classifier", "path": str(run.path), "label": "good"}])


def test_a_run_that_learnt_ratings_rates_prompt_and_answer_as_it_predicts(bert, tmp_path):
    rows = [{"prompt": "Well?", "response": one["text"], "score": one["label"]} for one in ratings(40)]
    file = write_jsonl(tmp_path / "rated.jsonl", rows)
    columns = {"text": "prompt", "text_pair": "response", "label": "score"}
    recipe = small_run(bert, "text_regression", file, tmp_path / "run", batch=8, judge={"baseline": "none"})
    run = wt.train(recipe(method="lora", max_steps=2, data={"columns": columns}, evaluate={"untuned": False}))
    given = [Answered([{"role": "user", "content": "Well?"}], text) for text in ANSWERS[:2]]
    told = [one["reward_model"] for one in judge([{"name": "reward_model", "run": str(run.path)}])(given)]
    asked = [{"prompt": "Well?", "response": text} for text in ANSWERS[:2]]
    assert told == pytest.approx([one["number"] for one in run.predict(asked)], abs=1e-5)
    assert told[0] != told[1]
