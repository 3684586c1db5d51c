"""Why a value does not fit, in both languages, all of it at once, and what is read though nothing is written."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic_core import core_schema

import weitiao
from weitiao.core import registry
from weitiao.core.contracts import Record, places
from weitiao.core.errors import LANGUAGES, WeitiaoError, fault
from weitiao.core.recipe import Recipe

SOURCE = Path(weitiao.__file__).parent
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


@cache
def sentences() -> dict[str, dict[str, dict[str, str]]]:
    """Kind -> language -> part -> words, from the files as they lie there."""
    found = {}
    for file in sorted((SOURCE / "core" / "messages" / "reasons").glob("*.yaml")):
        for kinds, words in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            assert set(words) == set(LANGUAGES), kinds
            for kind in kinds.split():
                assert kind not in found, f"{kind} stands twice"
                found[kind] = {
                    lang: text if isinstance(text, dict) else {"": text} for lang, text in words.items()
                }
    return found


def test_a_reason_says_the_same_in_both_languages():
    for kind, words in sentences().items():
        assert set(words["en"]) == set(words["zh"]) <= {"", "why", "way"}, kind
        for part, text in words["en"].items():
            assert placeholders(text) == placeholders(words["zh"][part]), kind
            chinese = any("\u4e00" <= char <= "\u9fff" for char in words["zh"][part])
            assert chinese or not re.search("[a-z]", re.sub("{.*?}", "", words["zh"][part])), kind


def test_what_pydantic_finds_is_said_in_our_words():
    values = yaml.safe_load((SOURCE / "core/messages/reasons/values.yaml").read_text(encoding="utf-8"))
    theirs = set(get_args(core_schema.ErrorType))
    named = {kind for kinds in values for kind in kinds.split()}
    assert {"bool_parsing", "greater_than", "literal_error", "missing"} <= named & theirs
    raised = {call.args[0].value for _, name, call in calls() if name == "unfit"}
    assert (named - theirs - {"positions", "positions_shared", "mapping_type"}) == raised


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


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", ["a b.csv line 3, 9", "c.json line 1 (row 2 of it), 4"]),
        ("zh", ["a b.csv 第 3, 9 行", "c.json 第 1 行（其中第 2 条）", "c.json 第 4 行"]),
    ],
)
def test_places_of_one_file_are_one(lang, said, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", lang)
    stand = [("a b.csv", 3, {}), ("c.json", 1, {}, 1), ("a b.csv", 9, {}), ("c.json", 4, {})]
    assert places([Record(*one).place for one in stand]) == said


def test_a_missing_column_is_named_from_python_too():
    said = str(fault("missing_column", path="p", column="text", found="body", hint=""))
    assert 'data={"train": ROWS, "columns": {"text": "THE_FILES_COLUMN"}}' in said


# --- every sentence that a person reads comes from the files


@cache
def calls() -> list[tuple[str, str, ast.Call]]:
    """(place, name, call) of everything that is called by a plain name, or by its last one."""
    return [
        (f"{path.relative_to(SOURCE)}:{node.lineno}", _name(node), node)
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def _name(call: ast.Call) -> str:
    return getattr(call.func, "id", "") or getattr(call.func, "attr", "")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def kinds_of(node: ast.AST) -> list[str]:
    """The kinds that an argument may be: a word, one of two, or a word with a gap, as a pattern."""
    if isinstance(node, ast.Constant):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [*kinds_of(node.body), *kinds_of(node.orelse)]
    if isinstance(node, ast.JoinedStr):
        return ["".join(part.value if isinstance(part, ast.Constant) else "*" for part in node.values)]
    return []  # a name: it stands where the name is given


def test_a_reason_is_known_and_gets_what_its_words_ask_for():
    known = sentences()
    for place, name, call in calls():
        if name not in ("reason", "because") or place.startswith("core/why.py"):
            continue
        given = {keyword.arg for keyword in call.keywords}
        for kind in kinds_of(call.args[0]):
            meant = [one for one in known if re.fullmatch(kind.replace("*", r"\w+"), one)]
            assert meant, f"{place}: {kind}"
            for one in meant:
                assert set(known[one]["en"]) == ({""} if name == "reason" else {"why", "way"}), place
                wanted = {field for text in known[one]["en"].values() for field in placeholders(text)}
                assert None in given or given >= wanted, f"{place}: {wanted - given}"


def test_no_reason_is_written_for_nothing():
    said = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    starts = [kind for _, name, call in calls() if name == "reason" for kind in kinds_of(call.args[0])]
    starts = [kind[:-1] for kind in starts if kind.endswith("*")]
    theirs = set(get_args(core_schema.ErrorType)) | {"mapping_type"}
    quoted = {*re.findall(r"(?<=['\"])\w+(?=['\"])", said)}
    for kind in set(sentences()) - theirs - quoted:
        assert any(kind.startswith(start) for start in starts), kind


# Where a sentence is handed on: the callable, and which of its arguments are read by a person.
READ = {
    "fault": ("why", "way", "what", "hint"),
    "Unusable": (0,),
    "_Broken": (0,),
    "BadRow": (2,),
    "note": (2,),
    "View": ("why",),
    "Example": ("refused",),
    "bad": (0,),
    "said": (0,),
}
ANSWERS = ("faults", "refuses", "_fault", "misfit", "_unshown", "_strange", "_unusable", "_why_not", "spoilt")


def prose(node: ast.AST | None, function: ast.AST | None) -> Iterator[str]:
    """The English in an expression: two small words beside each other that no `reason` holds."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if re.search(r"[a-z]{2,} [a-z]{2,}", node.value):
            yield node.value
    elif isinstance(node, ast.Name) and function is not None:
        for each in ast.walk(function):
            if isinstance(each, ast.Assign):
                names = [one for target in each.targets for one in getattr(target, "elts", [target])]
                values = getattr(each.value, "elts", None)
                for place, target in enumerate(names):
                    if isinstance(target, ast.Name) and target.id == node.id:
                        one = values[place] if values and len(values) == len(names) > 1 else each.value
                        yield from prose(one, None)
    elif isinstance(node, ast.Call):
        if getattr(node.func, "id", "") not in ("reason", "because"):
            for part in (node.func, *node.args):
                yield from prose(part, function)
    elif node is not None:
        for part in ast.iter_child_nodes(node):
            yield from prose(part, function)


def test_no_sentence_that_is_read_is_written_in_the_code():
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        place = str(path.relative_to(SOURCE))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
                    read = READ.get(name, ())
                    values = [node.args[at] for at in read if isinstance(at, int) and at < len(node.args)]
                    values += [word.value for word in node.keywords if word.arg in read]
                    if name == "append" and getattr(getattr(node.func, "value", None), "id", "") == "repairs":
                        values += node.args
                elif isinstance(node, ast.Return) and function.name in ANSWERS:
                    values = [node.value]
                else:
                    continue
                for value in values:
                    found += [f"{place}:{node.lineno} {words}" for words in prose(value, function)]
    assert sorted(set(found)) == []
