"""A recipe is read strictly, names what is wrong with it, and comes back from its own file unchanged."""

from __future__ import annotations

import re
from typing import get_args

import pytest
import yaml

from weitiao.core.errors import WeitiaoError
from weitiao.core.read_yaml import read_yaml
from weitiao.core.recipe import Recipe, Section, known_keys

SMALL = {"model": "minilm-l6", "task": "text_classification", "output_dir": "runs/x"}


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


def sections(model: type[Section] = Recipe, path: str = "") -> dict[str, type[Section]]:
    found = {path: model}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            found |= sections(field.annotation, f"{path}{name}.")
    return found


# --- in and out


@pytest.mark.parametrize("write", [Recipe.to_yaml, Recipe.to_commented_yaml])
def test_file_and_overrides_come_back_from_yaml_unchanged(write, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "model: 模型\ntask: sft\noutput_dir: 'a: b # c'\ndata: {train: a.csv, columns: {text: 评论}}\n"
    )
    words = ["train.learning_rate=1e-4", "method.r=8", "train.early_stopping_patience=null", "seed=3"]
    asked = Recipe.read(
        path, [*words, "train.eval_strategy=no", "data.split.test=0.25", "data.train=[x.csv, y.csv]"]
    )
    again = tmp_path / "again.yaml"
    again.write_text(write(asked), encoding="utf-8")
    assert Recipe.read(again) == asked
    assert asked.train.learning_rate == 1e-4
    assert asked.train.early_stopping_patience is None
    assert (asked.train.eval_strategy, asked.seed, asked.data.split.test) == ("no", 3, 0.25)
    assert asked.method == {"name": "lora", "r": 8}
    assert (asked.data.train, asked.data.columns) == (["x.csv", "y.csv"], {"text": "评论"})


def test_every_value_comes_back_from_yaml(tmp_path):
    """Each key once with a value that is not its default, so that no value is lost in writing."""
    values = {
        "data.train": ["a.csv#5"],
        "data.columns": {"text": "no", "label": "1"},
        "data.format": "alpaca",
        "data.encoding": "gb18030",
        "data.weights": [0.5],
        "data.validation": ["v.csv"],
        "data.bad_rows": "drop",
        "data.max_dropped_fraction": 0.25,
        "data.clean": ["control", "personal"],
        "data.relabel": {"是": "yes", "0": "no"},
        "data.augment": [{"name": "delete", "p": 0.2}],
        "data.split.group_by": "user",
        "data.split.folds": 4,
        "data.split.fold": 3,
        "data.duplicates": "keep",
        "data.max_length": 7,
        "data.overlong": "fail",
        "data.split.validation": 0.0,
        "data.split.stratify": False,
        "train.bf16": True,
        "train.max_steps": 3,
        "train.adam_epsilon": 1e-7,
        "train.eval_strategy": "no",
        "train.save_strategy": "no",
        "train.metric_for_best_model": "null",
        "evaluate.baseline": "none",
    }
    tree: dict = dict(SMALL)
    for key, value in values.items():
        *path, last = key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    asked = Recipe.read(tree)
    for write in (asked.to_yaml, asked.to_commented_yaml):
        assert Recipe.read(yaml.safe_load(write())) == asked
    for key, value in values.items():
        found = asked
        for part in key.split("."):
            found = getattr(found, part)
        assert found == value, key


def test_a_commented_recipe_says_what_each_key_means():
    text = re.sub(r"\n *# ", " ", Recipe.read(SMALL).to_commented_yaml())
    for section in sections().values():
        for name, field in section.model_fields.items():
            if field.description:
                assert re.search(rf"{re.escape(' '.join(field.description.split()))}\n *{name}:", text), name


def test_the_method_s_name_may_be_left_out_and_a_bare_word_is_a_name():
    assert Recipe.read(SMALL).method == {"name": "lora"}
    assert Recipe.read({**SMALL, "method": {"r": 4}}).method == {"name": "lora", "r": 4}
    assert Recipe.read(SMALL, ["method=full"]).method == {"name": "full"}
    assert Recipe.read(SMALL, ["method=qlora", "method.r=2"]).method == {"name": "qlora", "r": 2}
    assert Recipe.read(SMALL, ["task=sft"]).task == {"name": "sft"}


@pytest.mark.parametrize("key", ["eval_strategy", "save_strategy"])
def test_a_bare_no_of_yaml_is_the_word_no(key):
    assert getattr(Recipe.read({**SMALL, "train": yaml.safe_load(f"{key}: no")}).train, key) == "no"
    assert getattr(Recipe.read(SMALL, [f"train.{key}=no"]).train, key) == "no"


def test_an_override_is_yaml_or_else_a_plain_sentence():
    asked = Recipe.read(SMALL, ["output_dir=a: b: c", "data.columns.text=review", "data.train=a.csv#20"])
    assert asked.output_dir == "a: b: c"
    assert asked.data.columns == {"text": "review"}
    assert asked.data.train == ["a.csv#20"]


def test_later_overrides_win():
    assert Recipe.read({**SMALL, "seed": 1}, ["seed=2", "seed=5"]).seed == 5


# --- what is refused


@pytest.mark.parametrize(
    ("tree", "key", "hint"),
    [
        ({"outputdir": "x"}, "outputdir", 'Did you mean "output_dir"'),
        ({"train": {"learning_rat": 1}}, "train.learning_rat", 'Did you mean "learning_rate"'),
        ({"data": {"split": {"tset": 0.1}}}, "data.split.tset", 'Did you mean "test"'),
        ({"train": {"LEARNING_RATE": 1}}, "train.LEARNING_RATE", 'Did you mean "learning_rate"'),
        # Known, but in another section.
        ({"learning_rate": 1}, "learning_rate", "-> train.learning_rate"),
        ({"train": {"max_length": 1}}, "train.max_length", "-> data.max_length"),
        ({"train": {"zzzzzz": 1}}, "train.zzzzzz", "is not a key of the recipe\\."),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(tree, key, hint):
    with refused("unknown_key", f'"{key}"', hint):
        Recipe.read({**SMALL, **tree})


def test_a_mistyped_required_key_is_told_as_such():
    with refused("unknown_key", '"modle"', 'Did you mean "model"'):
        Recipe.read({"modle": "x", "task": "sft", "output_dir": "o"})


@pytest.mark.parametrize("missing", ["model", "task", "output_dir"])
def test_a_missing_key_is_named(missing):
    with refused("missing_key", f'"{missing}"'):
        Recipe.read({key: value for key, value in SMALL.items() if key != missing})


@pytest.mark.parametrize(
    ("word", "key", "why"),
    [
        ("train.max_steps=many", "train.max_steps", "whole number"),
        ("train.max_steps=0", "train.max_steps", "greater than or equal to 1"),
        ("train.bf16=maybe", "train.bf16", "true or false.*'auto'"),
        ("train.lr_scheduler_type=sine", "train.lr_scheduler_type", "'cosine'"),
        ("train.learning_rate=0", "train.learning_rate", "greater than 0"),
        ("train.learning_rate=nan", "train.learning_rate", ""),
        ("train.learning_rate=inf", "train.learning_rate", "finite"),
        ("train.learning_rate=1e30", "train.learning_rate", "less than or equal to 1000"),
        ("train.head_learning_rate_ratio=1e30", "train.head_learning_rate_ratio", "less than"),
        ("train.weight_decay=1e30", "train.weight_decay", "less than"),
        ("train.per_device_train_batch_size=1000000000000", "train.per_device_train_batch_size", "less than"),
        ("train.dataloader_num_workers=1000000", "train.dataloader_num_workers", "less than"),
        ("train.save_total_limit=1000000000000", "train.save_total_limit", "less than"),
        ("data.weights=[1e300]", "data.weights.0", "less than"),
        ("evaluate.resamples=1000000000000", "evaluate.resamples", "less than"),
        ("method={name: lora, lora_alpha: 1e300}", "method.lora_alpha", "less than"),
        ("method={name: lora, loraplus_lr_ratio: 1e300}", "method.loraplus_lr_ratio", "less than"),
        ("method={name: adapter, reduction_factor: .inf}", "method.reduction_factor", "finite"),
        ("seed=100000000000000000000", "seed", "less than"),
        ("data.split={test: 0.9, folds: null}", "data.split", "{test: 0.9, folds: null}"),
        ("train.warmup_steps=-1", "train.warmup_steps", "greater"),
        ("data.split.test=1", "data.split.test", "less than 1"),
        ("data.split.test=0.9", "data.split", "below 1"),
        ("data.columns=text", "data.columns", "mapping"),
        ("data.columns.label=[1]", "data.columns.label", "a text"),
        ("data.train=[[1]]", "data.train.0", "a text"),
        ("evaluate.confidence=95", "evaluate.confidence", "less than or equal to 0.9999"),
        ("seed=-1", "seed", "greater"),
        ("task=5", "task", "mapping"),
        ("output_dir=[2024]", "output_dir", "a text"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(word, key, why):
    with refused("wrong_value", f" {key}: ", why):
        Recipe.read(SMALL, [word])


@pytest.mark.parametrize("word", ["seed", "=3", "=", "model.x=1", "train.max_steps.x=1"])
def test_an_override_that_is_none_is_refused(word):
    with refused("bad_override", word):
        Recipe.read({**SMALL, "train": {"max_steps": 3}}, [word])


@pytest.mark.parametrize(
    ("raw", "line", "why"),
    [
        (b"model: a\ntask: b\nmodel: c\n", 3, '"model" stands twice'),
        (b"train:\n  max_steps: 1\n  seed: 2\n  max_steps: 3\n", 4, '"max_steps" stands twice'),
        (b"model: a\noutput_dir: {{name}}\n", 2, "cannot be a key"),
        (b"model: a\ntask: [1\n", 3, "opens in line 2"),
        (b"model: a\n\tb: c\n", 2, "a tab"),
        ("model: a\noutput_dir: 输出\n".encode("gbk"), 2, "not UTF-8"),
        (b"model: a\ntask: b\x00\n", 2, "0x0"),
        (b"- model\n", 1, "list of `key: value`"),
        (b"", 1, "list of `key: value`"),
        (b"model: !!python/object/apply:os.system ['true']\n", 1, "a tag"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_with_its_line(raw, line, why, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(raw)
    with refused("bad_yaml", f"recipe.yaml line {line}: ", why):
        read_yaml(path)


def test_a_recipe_that_is_not_there_or_not_ours_to_read(tmp_path, monkeypatch):
    with refused("recipe_missing", "nowhere.yaml", "weitiao init"):
        Recipe.read(tmp_path / "nowhere.yaml")
    with refused("wrong_usage", "recipe.yaml"):
        Recipe.read(tmp_path)
    path = tmp_path / "recipe.yaml"
    path.write_text("model: a\n")

    def denied(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", denied)
    with refused("no_permission", "read", "recipe.yaml"):
        Recipe.read(path)


@pytest.mark.parametrize(
    "name", ["mails.csv", "my mails.TSV", "rows.jsonl", "rows.json", "a.csv.gz", "a.xlsx"]
)
def test_rows_where_a_recipe_is_expected_are_answered_with_the_way(name, tmp_path):
    path = tmp_path / name
    path.write_text('[{"text": "a", "label": "b"}]', encoding="utf-8")
    with refused("table_for_recipe", f"weitiao init '?{path}'? -o recipe.yaml"):
        Recipe.read(path)


def test_a_recipe_may_be_json_and_an_object_is_none(tmp_path):
    path = tmp_path / "recipe.json"
    path.write_text('{"model": "m", "task": "t", "output_dir": "o"}')
    assert Recipe.read(path).model == "m"
    with refused("no_recipe", "list", "data="):
        Recipe.read([{"text": "a"}])


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xef\xbb\xbfmodel: a\n")
    assert read_yaml(path) == {"model": "a"}


def test_a_recipe_does_not_change():
    asked = Recipe.read(SMALL)
    with pytest.raises(ValueError):
        asked.seed = 1


# --- the schema


def test_every_key_has_a_meaning():
    schema = Recipe.model_json_schema()
    assert len(known_keys()) > 40
    for path, section in sections().items():
        tree = schema if section is Recipe else schema["$defs"][section.__name__]
        for name, facts in tree["properties"].items():
            target = facts.get("$ref", "").rpartition("/")[2]
            described = facts.get("description") or schema["$defs"].get(target, {}).get("description")
            assert described, f"{path}{name}"
            assert described.endswith("."), f"{path}{name}"


def test_known_keys_are_all_keys_with_their_paths():
    expected = {path + name for path, section in sections().items() for name in section.model_fields}
    assert set(known_keys()) == expected
    assert {"seed", "train.adam_beta1", "data.split.stratify"} <= expected


def test_every_choice_of_a_literal_is_accepted():
    for path, section in sections().items():
        for name, field in section.model_fields.items():
            choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
            for choice in choices:
                asked = Recipe.read(SMALL, [f"{path}{name}={choice}"])
                for part in path.split(".")[:-1]:
                    asked = getattr(asked, part)
                assert getattr(asked, name) == choice


@pytest.mark.parametrize(
    ("text", "line", "english", "chinese"),
    [
        ("model: m\n\ttask: t", 2, "a tab", "制表符"),
        ("train:\n\tseed: 1", 2, "a tab", "制表符"),
        ("model: [a\ntask: b", 2, "opens in line 1 is", "第 1 行的括号"),
        ("model: 'a\n", 2, "the quote that opens in line 1", "第 1 行的引号"),
        ("model: m: n", 1, "second `: `", "第二个"),
        ("model: m\ntask t\nseed: 1", 3, "there is no `: `", "却没有"),
        ("data:\n  seed: 1\n test: 2", 3, "indented otherwise", "缩进"),
        ("model: @a", 1, "character (@)", "字符（@）"),
        ("model: *a", 1, "`&`", "`&`"),
        ("model: !a b", 1, "a tag", "标签"),
        ('model: "C:\\models"', 1, "single quotes", "单引号"),
        ("model: m\n---\nmodel: n", 2, "second recipe", "第二份配方"),
    ],
)
@pytest.mark.parametrize("loader", ["libyaml", "python"])
def test_what_is_no_yaml_is_said_in_words(text, line, english, chinese, loader, tmp_path, monkeypatch):
    from weitiao.core import read_yaml

    if loader == "python":  # what is read where PyYAML has no libyaml
        monkeypatch.setattr(read_yaml, "_UniqueKeys", yaml.SafeLoader)
    file = tmp_path / "recipe.yaml"
    file.write_text(text, encoding="utf-8")
    for lang, words in (("en", english), ("zh", chinese)):
        monkeypatch.setenv("WEITIAO_LANG", lang)
        with pytest.raises(WeitiaoError) as caught:
            read_yaml.read_yaml(file)
        assert caught.value.code == "bad_yaml"
        assert words in caught.value.values["why"], caught.value
        assert caught.value.values["line"] in (line, line - 1)
