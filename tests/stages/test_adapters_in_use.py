"""What a user does with tuned adapters: hold several on one base, merge one, and be told early what does not fit."""

from __future__ import annotations

import pytest
import torch

import weitiao as wt
from tests.conftest import reviews, write_csv
from weitiao.core.errors import WeitiaoError

pytestmark = pytest.mark.whole  # a training each

TEXTS = ["the plot was great", "a dull story", "the music and the scene", "very charming actor"]


@pytest.fixture(scope="module")
def made(bert, tmp_path_factory):
    """Three runs on one base, of one task with other labels in the second."""
    folder = tmp_path_factory.mktemp("runs")
    rows = reviews(120)
    tables = {
        "reviews": write_csv(folder / "reviews.csv", rows),
        "stars": write_csv(
            folder / "stars.csv", [{**row, "label": f"{i % 3} stars"} for i, row in enumerate(rows)]
        ),
    }
    methods = {
        "reviews": {"name": "lora", "r": 4},
        "stars": "adapter",
        "whole": {"name": "top_layers", "n": 1},
    }
    runs = {}
    for name, method in methods.items():
        runs[name] = wt.train(
            model=bert,
            task="text_classification",
            method=method,
            data={"train": str(tables.get(name, tables["reviews"]))},
            train={
                "num_train_epochs": 1,
                "bf16": False,
                "early_stopping_patience": None,
                "learning_rate": 0.01,
            },
            evaluate={"resamples": 100, "untuned": False, "baseline": "none"},
            output_dir=str(folder / name),
        )
    return runs


def alone(run) -> list[dict]:
    return wt.load(run.path).predict(TEXTS)


def test_runs_on_one_base_are_switched_in_memory(made):
    held = wt.adapters(made["reviews"].path, made["stars"].path)
    assert (held.names, held.active) == (["reviews", "stars"], ("reviews",))
    for name in ("stars", "reviews", "stars"):
        found = held.use(name).predict(TEXTS)
        assert [row["label"] for row in found] == [row["label"] for row in alone(made[name])]
        assert [row["score"] for row in found] == pytest.approx(
            [row["score"] for row in alone(made[name])], rel=1e-5
        )
    assert {row["label"][-5:] for row in held.predict(TEXTS)} == {"stars"}
    stacked = held.use("reviews", "stars").predict(TEXTS)
    assert {row["label"][-5:] for row in stacked} == {"stars"}, "the head is the last one's"
    assert [row["score"] for row in stacked] != pytest.approx([row["score"] for row in alone(made["stars"])])
    held.use()
    with pytest.raises(WeitiaoError, match="no adapter is in use(.|\n)*use one of: reviews, stars"):
        held.predict(TEXTS)
    held.remove("reviews")
    assert held.names == ["stars"]
    assert held.use("stars").predict(TEXTS)[0]["label"] == alone(made["stars"])[0]["label"]


def test_what_cannot_lie_on_the_base_is_refused(made):
    held = wt.adapters(made["reviews"].path)
    with pytest.raises(WeitiaoError, match="wrong_usage(.|\n)*a whole model"):
        held.add(made["whole"].path)
    assert held.names == ["reviews"]
    with pytest.raises(WeitiaoError, match="no_run"):
        held.add("nowhere")


def test_a_merged_run_is_a_plain_model_that_says_the_same(made, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = made["reviews"].merge(tmp_path / "merged")
    assert not (folder / "adapter_config.json").exists()
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        logits = model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits.double().softmax(-1)
    expected = alone(made["reviews"])
    assert [model.config.id2label[int(i)] for i in logits.argmax(1)] == [row["label"] for row in expected]
    assert logits.max(1).values.tolist() == pytest.approx([row["score"] for row in expected], rel=1e-4)
    with pytest.raises(WeitiaoError, match="exists already"):
        made["reviews"].merge(folder)
    with pytest.raises(WeitiaoError, match="adapter puts modules beside the weights"):
        made["stars"].merge(tmp_path / "other")


def test_the_report_says_how_each_layout_is_used(made):
    titles = {name: [way["title"] for way in run.results["usage"]] for name, run in made.items()}
    assert titles["reviews"] == ["Command line", "Python", "Without weitiao: PEFT", "As one plain model"]
    assert titles["stars"] == ["Command line", "Python"]
    assert titles["whole"] == ["Command line", "Python", "Without weitiao: Transformers"]


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "lora", "r": 64}, "unfit_setting"),
        ({"name": "lora", "target_modules": ["quary"]}, "no_such_modules"),
        ({"name": "top_layers", "n": 9}, "unfit_setting"),
        (
            {"name": "prompt", "num_virtual_tokens": 63},
            "unfit_setting(.|\n)*64 positions(.|\n)*take 16 or less",
        ),
        ({"name": "prefix", "num_virtual_tokens": 70}, "unfit_setting(.|\n)*64 positions"),
        ({"name": "adapter", "reduction_factor": 100}, "unfit_setting"),
    ],
)
def test_what_does_not_fit_the_model_is_told_before_anything_is_read(
    bert, tmp_path, monkeypatch, method, message
):
    from weitiao.models import load

    def never(*_, **__):
        raise AssertionError("the weights were loaded")

    monkeypatch.setattr(load, "load", never)
    with pytest.raises(WeitiaoError, match=message):
        wt.train(
            model=bert,
            task="text_classification",
            method=method,
            data={"train": str(tmp_path / "not-there.csv")},
            output_dir=str(tmp_path / "run"),
        )
    assert not (tmp_path / "run").exists(), "no folder is left behind"


def test_prompts_take_their_positions_from_the_rows(bert, review_file, tmp_path):
    words = {
        "model": bert,
        "task": "text_classification",
        "method": {"name": "prompt", "num_virtual_tokens": 54},
        "train": {"max_steps": 1, "bf16": False, "early_stopping_patience": None},
        "evaluate": {"resamples": 100, "untuned": True, "baseline": "none"},
    }
    run = wt.train(**words, data={"train": str(review_file)}, output_dir=str(tmp_path / "run"))
    tokens = run.folder.json("data/ledger.json")["tokens"]
    assert tokens["limit"] == 64 - 54
    assert tokens["max"] > 10
    assert tokens["truncated_rows"]
    with pytest.raises(WeitiaoError, match="wrong_value(.|\n)*64 positions, 54 of which the method takes"):
        wt.train(
            **words, data={"train": str(review_file), "max_length": 20}, output_dir=str(tmp_path / "other")
        )


def test_holding_a_run_leaves_the_callers_run_alone(made):
    run = wt.load(made["reviews"].path)
    before = run.predict(TEXTS)
    held = wt.adapters(run, made["stars"].path)
    held.use("stars")
    assert run.predict(TEXTS) == before
    held.use()
    assert run.predict(TEXTS) == before


def test_rows_are_cut_for_all_prefixes_in_use(bert, review_file, tmp_path, made):
    prefix = wt.train(
        model=bert,
        task="text_classification",
        method={"name": "p_tuning_v2", "num_virtual_tokens": 10},
        data={"train": str(review_file)},
        train={"max_steps": 1, "bf16": False, "early_stopping_patience": None},
        evaluate={"resamples": 100, "untuned": False, "baseline": "none"},
        output_dir=str(tmp_path / "prefix"),
    )
    long = ["the film was great " * 40]
    held = wt.adapters(prefix.path, made["reviews"].path)
    for names in (("prefix",), ("prefix", "reviews"), ("reviews", "prefix"), ("reviews",)):
        assert held.use(*names).predict(long)[0]["label"] in ("good", "bad")


def test_nothing_held_is_said_and_not_stumbled_over():
    held = wt.adapters()
    for call in (
        lambda: held.use("x"),
        lambda: held.remove("x"),
        lambda: held.predict(TEXTS),
        lambda: held.answer([]),
    ):
        with pytest.raises(WeitiaoError, match="no adapter is held"):
            call()


def test_a_recipe_that_was_edited_afterwards_does_not_change_the_model(made, tmp_path):
    import shutil

    copied = tmp_path / "copy"
    shutil.copytree(made["reviews"].path, copied)
    recipe = copied / "recipe.yaml"
    assert "lora_alpha: 32" in recipe.read_text()
    recipe.write_text(recipe.read_text().replace("lora_alpha: 32", "lora_alpha: 320"))
    assert wt.load(copied).predict(TEXTS) == alone(made["reviews"])
