"""`check`, `plan`, `train --dry-run` and `train` refuse the same things with the same code; `init --model` too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import reviews, write_csv
from weitiao import api
from weitiao.cli import run as cli
from weitiao.core.errors import WeitiaoError

VERBS = (["check"], ["plan"], ["train", "--dry-run"], ["train"])
BAD = {
    "rows longer than the positions": ("wrong_value", {"data.max_length": 4000}),
    "an absent file": ("file_missing", {"data.train": ["gone.csv"]}),
    "an absent validation file": ("file_missing", {"data.validation": ["gone.csv"]}),
    "a model that is none": ("no_such_model", {"model": "no/such/folder"}),
    "a method that does not suit": (
        "no_such_modules",
        {"method": {"name": "lora", "target_modules": ["wq"]}},
    ),
    "a mistyped augmentation": ("unknown_key", {"data.augment": [{"name": "swap", "shares": 0.1}]}),
    "labels that are none of the task's": (
        "unknown_label",
        {"task": {"name": "text_classification", "labels": ["x", "y"]}},
    ),
    "a label that is listed twice": (
        "wrong_value",
        {"task": {"name": "text_classification", "labels": ["good", "bad", "good"]}},
    ),
    "a label that is read as another": (
        "wrong_value",
        {
            "task": {"name": "text_classification", "labels": ["good", "bad", "fine"]},
            "data.relabel": {"fine": "good"},
        },
    ),
    "two spellings of a label": (
        "wrong_value",
        {"task": {"name": "text_classification", "labels": ["good", "bad", 1, "1.0"]}},
    ),
    "an empty text and an empty label": ("lost_rows", {"data.train": ["holes.csv"]}),
    "half a character": ("lost_rows", {"data.train": ["half.jsonl"]}),
    "rows that are too long": ("lost_rows", {"data.max_length": 8, "data.overlong": "drop"}),
    "one label": ("too_few_labels", {"data.train": ["one.csv"]}),
    "a column that is not there": ("no_such_column", {"data.columns": {"text": "body"}}),
    "a metric that nobody measures": ("wrong_metric", {"train.metric_for_best_model": "bleu"}),
    "a mistyped setting of the schedule": (
        "unknown_key",
        {"train.lr_scheduler_kwargs": {"nonsense": 1}},
    ),
    "a sentence model that is to speak": ("unsuitable_model", {"task": "sft", "data.train": ["talk.jsonl"]}),
}


@pytest.fixture
def code(classify, tmp_path, monkeypatch, capsys):
    """The code with which a verb refuses a recipe; empty when it does not."""
    monkeypatch.chdir(tmp_path)
    write_csv(Path("one.csv"), [row for row in reviews(60) if row["label"] == "good"])
    write_csv(Path("holes.csv"), [*reviews(60), {"text": "", "label": "bad"}, {"text": "dull", "label": ""}])
    half = [*reviews(60), {"text": "dull \ud83d", "label": "bad"}]
    Path("half.jsonl").write_text("".join(json.dumps(row) + "\n" for row in half))
    talk = [{"prompt": row["text"], "completion": row["label"]} for row in reviews(60)]
    Path("talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in talk))

    def refused(verb: list[str], changes: dict) -> str:
        tree = classify(max_steps=1, output_dir=str(tmp_path / "-".join(verb)))
        for key, value in changes.items():
            *sections, last = key.split(".")
            (tree[sections[0]] if sections else tree)[last] = value
        Path("recipe.yaml").write_text(json.dumps(tree))
        status = cli([verb[0], "recipe.yaml", *verb[1:], "--json"])
        said = capsys.readouterr().err
        return json.loads(said.splitlines()[-1])["error"] if status else ""

    return refused


@pytest.mark.parametrize("what", BAD)
def test_all_verbs_refuse_it_with_the_same_code(what, code):
    expected, changes = BAD[what]
    found = {" ".join(verb): code(verb, changes) for verb in VERBS}
    assert len(set(found.values())) == 1, found
    assert found["train"] == expected


def test_a_sound_recipe_passes(code):
    assert [code(verb, {}) for verb in VERBS[:2]] == ["", ""]
    accepted = {"data.train": ["holes.csv"], "data.max_dropped_fraction": 0.1}
    assert [code(verb, accepted) for verb in VERBS[:2]] == ["", ""]


def test_all_verbs_say_what_could_go_wrong(code, capsys):
    changes = {"train.warmup_steps": 500, "train.max_steps": 5}
    for verb in VERBS:
        assert code(verb, changes) == ""
        cli([verb[0], "recipe.yaml", *verb[1:], "output_dir=again"])
        said = capsys.readouterr().err
        assert said.count("warmup_steps is 500 and the run has 5 steps") == 1, verb


@pytest.mark.parametrize("model", ["no/such/folder", "minilm-l7"])
def test_init_refuses_a_model_that_train_would_refuse(model, code, review_file):
    with pytest.raises(WeitiaoError) as caught:
        api.init(review_file, model=model)
    assert caught.value.code == code(["train"], {"model": model})
