"""What a key means is told in the reader's language: no key without its Chinese, no Chinese without its key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import rarely, reviews, write_csv, write_jsonl
from weitiao.cli import run
from weitiao.core import registry
from weitiao.core.meanings import chinese, meaning
from weitiao.core.recipe import Recipe
from weitiao.core.section_values import Section

HAN = re.compile(r"[\u4e00-\u9fff]")


def told(section: type[Section] = Recipe) -> set[str]:
    """All that the recipe's keys and sections say of themselves."""
    found = set()
    for field in section.model_fields.values():
        found.add(field.description)
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            found |= {field.annotation.__doc__, *told(field.annotation)}
    return {text for text in found if text}


def shelved() -> set[str]:
    """All that the settings of our tasks, methods, metrics, augmentations, rewards and forms say of themselves."""
    kinds = {
        registry.entry(shelf, name).kind
        for shelf in ("task", "method", "metric", "augmentation", "reward", "form")
        for name in registry.names(shelf)
    }
    kinds = {kind for kind in kinds if kind.__module__.startswith("weitiao.")}
    return {registry.meanings(kind)[key] for kind in kinds for key in registry.settings(kind)}


def test_every_key_and_setting_has_its_chinese_and_nothing_else_has():
    texts = {" ".join(text.split()) for text in told() | shelved()}
    assert sorted(texts) == sorted(chinese())
    assert all(HAN.search(text) for text in chinese().values())


def test_names_that_are_typed_are_the_same_in_both_languages():
    for english, text in chinese().items():
        assert set(re.findall(r"`[^` ]+`", english)) == set(re.findall(r"`[^` ]+`", text)), english
        assert set(re.findall(r"docs/[\w.-]+md", english)) == set(re.findall(r"docs/[\w.-]+md", text)), (
            english
        )


def test_a_meaning_without_chinese_is_told_as_it_stands():
    assert meaning("How\n    deep.", "zh") == "How deep."


@pytest.mark.parametrize("rows", [rarely("labels"), "answers"])
def test_init_writes_the_same_recipe_in_both_languages(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if rows == "labels":
        file = write_csv(Path("rows.csv"), reviews(20))
    else:
        turns = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "Four."}]
        file = write_jsonl(Path("rows.jsonl"), [{"messages": turns}] * 9)
    written = {}
    for lang in ("en", "zh"):
        monkeypatch.setenv("WEITIAO_LANG", lang)
        assert run(["init", str(file), "-o", f"{lang}.yaml"]) == 0
        written[lang] = Path(f"{lang}.yaml").read_text(encoding="utf-8").splitlines()
    assert Recipe.read("en.yaml") == Recipe.read("zh.yaml")
    keys = {
        lang: [line for line in lines if not line.strip().startswith("#")] for lang, lines in written.items()
    }
    assert keys["en"] == keys["zh"]
    assert (
        sum(bool(HAN.search(line)) for line in written["en"]) == 1
    )  # the Chinese label that `relabel` shows
    above = ""
    for line in written["zh"]:
        if line.strip().startswith("#"):
            above += line
        else:
            assert HAN.search(above) or not above, line
            above = ""
