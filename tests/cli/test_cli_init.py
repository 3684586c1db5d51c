"""A file of rows is checked, and gets a recipe that can be trained."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.cli import test_cli
from tests.conftest import reviews, write_csv, write_jsonl
from weitiao.core import registry
from weitiao.core.recipe import Recipe

weitiao = test_cli.weitiao


# --- init


def test_a_recipe_for_the_tutorial_s_own_file(weitiao):
    Path("train.csv").write_text('text,label\n"这是一条正面评论",1\n"这是一条负面评论",0\n', encoding="utf-8")
    said = weitiao("init", "train.csv")
    Path("recipe.yaml").write_text(said.out, encoding="utf-8")
    asked = Recipe.read("recipe.yaml")
    assert (said.exit, said.err) == (0, "")
    assert asked.task["name"] == "text_classification"
    assert asked.data.train == ["train.csv"]
    assert asked.data.columns == {}
    assert asked.model == "e5-small", "a Chinese file gets a model that reads Chinese"
    assert asked.output_dir == "runs/train"
    assert "# Peak learning rate" in said.out


def test_a_recipe_for_chinese_column_names(weitiao):
    rows = "".join(f"{i},第{i}本书很好看,正面\n" for i in range(5))
    Path("评论.csv").write_bytes(f"编号,评论,标签\n{rows}".encode("gb18030"))
    said = weitiao("init", "评论.csv", "-o", "recipe.yaml")
    assert said.exit == 0
    assert said.out == ""
    assert "weitiao train recipe.yaml" in said.err
    asked = Recipe.read("recipe.yaml")
    assert asked.data.columns == {"text": "评论", "label": "标签"}
    assert asked.output_dir == "runs/评论"


@pytest.mark.parametrize(
    ("rows", "task", "columns", "model"),
    [
        ([{"Review": "A fine film", "stars": "5"}], "text_classification", {"text": "Review", "label": "stars"}, "minilm-l6"),
        ([{"instruction": "Add 1 and 1", "input": "", "output": "2"}], "sft", {}, "smollm2-135m"),
        ([{"prompt": "Hi", "completion": "Hello"}], "sft", {}, "smollm2-135m"),
        ([{"question": "Hi", "answer": "Hello"}], "sft", {"prompt": "question", "completion": "answer"}, "smollm2-135m"),
        ([{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}], "sft", {}, "smollm2-135m"),
    ],
)  # fmt: skip
def test_the_task_is_guessed_from_the_columns(rows, task, columns, model, weitiao):
    write_jsonl(Path("mine.jsonl"), rows)
    asked = Recipe.read(yaml.safe_load(weitiao("init", "mine.jsonl").out))
    assert (asked.task["name"], asked.data.columns, asked.model) == (task, columns, model)


@pytest.mark.whole
def test_the_task_that_is_asked_for_decides_how_columns_are_read(weitiao):
    write_jsonl(
        Path("mine.jsonl"), [{"question": "How?", "answer": "So."}, {"question": "Why?", "answer": "Thus."}]
    )
    for task in ("embedding", "reranking", "sft"):
        asked = Recipe.read(yaml.safe_load(weitiao("init", "mine.jsonl", "--task", task).out))
        assert asked.task["name"] == task
    said = weitiao("init", "mine.jsonl", "--task", "dpo")
    assert (said.exit, "rows need `chosen` and `rejected`" in said.err) == (3, True)
    assert "unknown_name" in weitiao("init", "mine.jsonl", "--task", "embeding").err


def test_what_init_writes_can_be_trained(weitiao, bert):
    rows = [{"Review": row["text"], "Verdict class": row["label"]} for row in reviews(60)]
    write_csv(Path("mine.csv"), [{**row, "category": row["Verdict class"]} for row in rows])
    Path("recipe.yaml").write_text(weitiao("init", "mine.csv", "--model", bert).out)
    said = weitiao("train", "recipe.yaml", "train.max_steps=1", "evaluate.untuned=false", "--quiet")
    assert said.exit == 0
    assert Path("runs/mine/report.html").exists()


# --- data check


def test_data_check_counts_and_leaves_3_when_rows_are_bad(weitiao):
    write_csv(
        Path("a.csv"),
        [{"text": t, "label": label} for t, label in (("a", "x"), ("A", "x"), ("", "y"), ("b", "y"))],
    )
    said = weitiao("data", "check", "a.csv", "--json")
    found = json.loads(said.out)
    assert said.exit == 3
    assert found["counts"] == {"kept": 2, "duplicate": 1, "quarantined": 1}
    assert [(row["line"], row["status"]) for row in found["rows"]] == [(3, "duplicate"), (4, "quarantined")]
    said = weitiao("data", "check", "a.csv")
    assert said.exit == 3
    assert "a.csv line 4: quarantined: the text is empty" in said.out
    write_csv(Path("good.csv"), reviews(10))
    assert weitiao("data", "check", "good.csv").exit == 0


def test_labels_are_shown_as_they_are(weitiao):
    labels = [":smile:", "[bold]", "好"]
    write_csv(Path("a.csv"), [{"text": f"{i}", "label": label} for i, label in enumerate(labels)])
    said = weitiao("data", "check", "a.csv")
    assert all(label in said.out for label in labels)


def test_data_check_takes_other_columns(weitiao):
    write_csv(Path("a.csv"), [{"x": row["text"], "y": row["label"]} for row in reviews(10)])
    said = weitiao("data", "check", "a.csv", "--columns", "text=x,label=y", "--json")
    assert said.exit == 0
    assert json.loads(said.out)["counts"] == {"kept": 10}


@pytest.mark.whole
def test_init_writes_every_setting_with_its_meaning(weitiao):
    write_csv(Path("rows.csv"), reviews(20))
    assert weitiao("init", "rows.csv", "-o", "recipe.yaml").exit == 0
    text = re.sub(r"\n *# ", " ", Path("recipe.yaml").read_text(encoding="utf-8"))
    asked = Recipe.read("recipe.yaml")
    for shelf, settings in (("task", asked.task), ("method", asked.method)):
        entry = registry.entry(shelf, settings["name"])
        assert set(settings) == {"name", *registry.settings(entry.kind)}
        assert registry.build(shelf, settings) == registry.build(shelf, {"name": settings["name"]})
        for key, meaning in registry.meanings(entry.kind).items():
            assert f" {' '.join(meaning.split())}\n  {key}:" in text, key


def test_init_that_fails_leaves_nothing(weitiao):
    Path("odd.csv").write_text("x,y\n1,2\n")
    assert weitiao("init", "odd.csv", "-o", "recipe.yaml").exit == 3
    assert not Path("recipe.yaml").exists()


def test_columns_beside_texts_that_nobody_reads_are_named_with_the_way_to_read_them(weitiao):
    kinds = ("billing", "sales", "repairs")
    rows = [
        {"id": at, "year": 2026, "body": f"Invoice {at} is wrong", "department": kinds[at % 3]}
        for at in range(30)
    ]
    write_csv(Path("mails.csv"), rows)
    for words in (["init", "mails.csv"], ["data", "check", "mails.csv"]):
        said = weitiao(*words)
        both = " ".join((said.out + said.err).replace("#", " ").split())
        assert "nothing reads id, year, department" in both
        assert "--columns text=body,label=department" in both
    said = weitiao("init", "mails.csv", "--columns", "text=body,label=department")
    assert "nothing reads" not in said.out + said.err
