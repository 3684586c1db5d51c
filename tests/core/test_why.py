"""Why a value does not fit, in both languages, all of it at once, and what is read though nothing is written."""

from __future__ import annotations

from typing import get_args

import pytest
import yaml
from pydantic_core import core_schema

from weitiao.core import registry
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.recipe import Recipe
from weitiao.core.why import _words

SMALL = {"model": "m", "task": "text_classification", "output_dir": "o"}
ODD = {
    "train": {
        "learning_rate": "abc",
        "max_steps": 0,
        "optim": "adamw_bnb_8bit",
        "bf16": "ja",
        "watchers": ["?"],
    },
    "data": {"split": {"test": 0.9}, "columns": "text", "train": [[1]], "weights": 3},
    "seed": 1.5,
    "method": {"r": 8.5, "use_rslora": "ja", "init_lora_weights": "nul"},
}


def refusal(tree) -> WeitiaoError:
    with pytest.raises(WeitiaoError) as caught:
        Recipe.read(tree)
    return caught.value


def test_no_english_stands_in_a_chinese_message(monkeypatch):
    english = refusal({**SMALL, **ODD})
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    chinese = refusal({**SMALL, **ODD})
    assert english.values["count"] == chinese.values["count"] == 13
    for line in chinese.values["lines"].split("\n  "):
        reason = line.partition("不合要求：")[2]
        assert any("\u4e00" <= char <= "\u9fff" for char in reason), line
        assert not any(word in line for word in ("Input", "should", " or ", "must", "here")), line
    assert "Input should" not in str(english)


def test_the_words_of_a_kind_are_those_of_pydantic_or_ours():
    theirs = set(get_args(core_schema.ErrorType))
    ours = set(_words("en")) - theirs
    assert set(_words("en")) == set(_words("zh"))
    assert ours <= {
        *(
            "mapping_type",
            "here_it_is",
            "rows_go",
            "one_method",
            "rows_alone",
            "nothing_left",
            "no_such_fold",
        ),
        *(
            "column_decides",
            "time_or_folds",
            "one_half",
            "steps_or_milestones",
            "positions",
            "positions_shared",
        ),
    }


def test_values_of_the_method_are_told_with_the_rest():
    said = refusal(
        {**SMALL, "method": {"r": 8.5, "use_rslora": "ja", "foo": 1}, "train": {"learning_rate": "abc"}}
    )
    assert (said.code, said.values["count"]) == ("unfit_recipe", 4)
    for words in ("method.r: 8.5", "method.use_rslora: 'ja'", '"method.foo"', "train.learning_rate: 'abc'"):
        assert words in str(said)


def test_an_unknown_task_is_told_with_the_rest():
    said = str(refusal({**SMALL, "task": "text-classificatio", "data": "rev.csv"}))
    assert "write data: {train: rev.csv}" in said
    assert 'Did you mean "text_classification"' in said


def test_a_shelf_tells_all_that_does_not_fit():
    with pytest.raises(WeitiaoError, match="unfit_recipe") as caught:
        registry.build("method", {"name": "lora", "r": 0, "foo": 1})
    assert caught.value.values["count"] == 2


@pytest.mark.parametrize("section", ["train", "data", "evaluate"])
def test_a_section_that_is_all_commented_out_has_its_defaults(section, tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(f"{yaml.safe_dump(SMALL)}{section}:\n  # all of it\n", encoding="utf-8")
    assert Recipe.read(file) == Recipe.read(SMALL)
    key = {"train": "learning_rate=0.5", "data": "max_length=7", "evaluate": "samples=9"}[section]
    assert Recipe.read(file, [f"{section}.{key}"]) == Recipe.read(SMALL, [f"{section}.{key}"])


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("data.split.train", "-> nothing (the rows that data.split.validation and data.split.test leave"),
        ("data.split.valid", "-> data.split.validation"),
        ("data.shuffle", "-> nothing (columns are read by name, and every row comes once"),
        ("metrics", "-> evaluate.metrics"),
        ("task.problem_type", "-> nothing (the name of the task"),
        ("task.max_length", "-> data.max_length"),
    ],
)
def test_a_key_is_answered_by_where_it_stands(key, says):
    tree = {**SMALL, "task": {"name": SMALL["task"]}}
    with pytest.raises(WeitiaoError, match="unknown_key") as caught:
        Recipe.read(tree, [f"{key}=1"])
    assert says in str(caught.value)


def test_a_sample_of_a_table_is_a_table_too(tmp_path):
    (tmp_path / "rev.csv").write_text("text,label\na,b\n", encoding="utf-8")
    with pytest.raises(WeitiaoError, match="table_for_recipe"):
        Recipe.read(tmp_path / "rev.csv#20")
    with pytest.raises(WeitiaoError, match="recipe_missing"):
        Recipe.read(tmp_path / "none.csv#20")


def test_a_missing_column_is_named_from_python_too():
    said = str(fault("missing_column", path="p", column="text", found="body", hint=""))
    assert 'data={"train": ROWS, "columns": {"text": "THE_FILES_COLUMN"}}' in said
