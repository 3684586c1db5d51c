"""Rewards: what each rule says, every setting of it, and their weighted sum."""

from __future__ import annotations

import importlib.util
import json

import pytest

from weitiao.core import registry
from weitiao.core.contracts import Answered
from weitiao.core.errors import WeitiaoError
from weitiao.tasks.parts.rewarding import judge

PERSON = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]}
DRAFT_7 = "http://json-schema.org/draft-07/schema#"

CASES = [
    ({"name": "exact_answer"}, "  Four. ", 1.0),
    ({"name": "exact_answer"}, "It is four", 0.0),
    ({"name": "exact_answer", "column": "number"}, "4,000.0", 1.0),
    ({"name": "exact_answer", "column": "number", "within": "last_number"}, "1 and 2 make 4000.", 1.0),
    ({"name": "exact_answer", "column": "number", "within": "last_number"}, "4000, or 3", 0.0),
    ({"name": "exact_answer", "within": "last_line"}, "I think.\nFour\n", 1.0),
    ({"name": "exact_answer", "column": "zh"}, "“四”。", 1.0),
    ({"name": "exact_answer"}, "", 0.0),
    ({"name": "exact_answer", "within": "anywhere"}, "I think it is Four, yes.", 1.0),
    ({"name": "exact_answer", "within": "anywhere"}, "fourteen", 0.0),
    ({"name": "exact_answer", "column": "zh", "within": "anywhere"}, "是四吧", 1.0),
    ({"name": "regex", "pattern": r"\d+"}, "is 4", 1.0),
    ({"name": "regex", "pattern": r"\d+", "whole": True}, "is 4", 0.0),
    ({"name": "regex", "pattern": "a.b"}, "a\nb", 1.0),
    ({"name": "length", "min": 2, "max": 4}, "one two three", 1.0),
    ({"name": "length", "min": 2, "max": 4}, "one", 0.5),
    ({"name": "length", "max": 4}, "a b c d e f g h", 0.5),
    ({"name": "length", "max": 2, "unit": "characters"}, "四个字儿", 0.5),
    ({"name": "length", "max": 5, "unit": "tokens"}, "whatever", 0.5),
    ({"name": "length", "min": 1}, "", 0.0),
    ({"name": "valid_json"}, '{"a": 1}', 1.0),
    ({"name": "valid_json"}, "{a: 1}", 0.0),
    ({"name": "valid_json", "keys": ["a", "b"]}, '{"a": 1}', 0.75),
    ({"name": "valid_json", "keys": ["a"]}, "[1]", 0.5),
    ({"name": "valid_json"}, "[" * 100_000, 0.0),
    ({"name": "json_schema", "schema": PERSON}, '{"age": 4}', 1.0),
    ({"name": "json_schema", "schema": PERSON}, '{"age": "4"}', 0.0),
    ({"name": "json_schema", "schema": PERSON}, "age: 4", 0.0),
    ({"name": "json_schema", "schema": PERSON}, "[" * 100_000, 0.0),
    # A list of schemas stood for its places until 2020-12, and names none since.
    ({"name": "json_schema", "schema": {"$schema": DRAFT_7, "items": [{"type": "number"}]}}, '["a"]', 0.0),
    ({"name": "words", "wanted": ["kind", "film"]}, "A Kind word, kind.", 0.5),
    ({"name": "words", "wanted": ["kin"]}, "kind", 0.0),
    ({"name": "words", "unwanted": ["dull"]}, "dull", -1.0),
    ({"name": "words", "wanted": ["好"]}, "很好看", 1.0),
]


def said(answer):
    row = {"answer": "four", "number": 4000, "zh": "四"}
    return Answered([{"role": "user", "content": "2 + 2?"}], answer, row, 10, "rows.csv line 3")


@pytest.mark.parametrize(("settings", "answer", "worth"), CASES)
def test_a_rule_says_what_its_page_says(settings, answer, worth):
    (found,) = judge([settings])([said(answer)])
    assert found == {"reward": pytest.approx(worth), settings["name"]: pytest.approx(worth)}


def test_every_rule_of_the_shelf_is_tried():
    # test_rollouts.py, test_reward.py, test_reward_classifier.py, below
    elsewhere = {"function", "reward_model", "classifier", "sentiment"}
    assert {settings["name"] for settings, *_ in CASES} | elsewhere == {*registry.names("reward")}


def test_parts_are_weighed_and_told_apart():
    asked = [
        {"name": "regex", "pattern": "a", "weight": 2},
        {"name": "regex", "pattern": "b", "weight": -0.5},
    ]
    (found,) = judge(asked)([said("a b")])
    assert found == {"reward": 1.5, "regex": 1.0, "regex#2": 1.0}


def test_a_row_without_the_right_answer_is_named():
    with pytest.raises(
        WeitiaoError, match=r"rows\.csv line 3[\s\S]*no column solution[\s\S]*answer, number, zh"
    ):
        judge([{"name": "exact_answer", "column": "solution"}])([said("4")])


def test_a_schema_may_be_a_file_and_what_is_none_is_refused(tmp_path):
    file = tmp_path / "person.json"
    file.write_text(json.dumps(PERSON))
    (found,) = judge([{"name": "json_schema", "schema": str(file)}])([said('{"age": 1}')])
    assert found["reward"] == 1
    file.write_text("[1]")
    for bad in ({"type": "objekt"}, str(file), str(tmp_path / "none.json")):
        with pytest.raises(WeitiaoError, match=r"task\.rewards\.schema[\s\S]*no JSON Schema"):
            judge([{"name": "json_schema", "schema": bad}])
    # What leads elsewhere is not followed, and the row is named.
    elsewhere = {"$ref": "https://example.org/person.json"}
    with pytest.raises(WeitiaoError, match=r"rows\.csv line 3"):
        judge([{"name": "json_schema", "schema": elsewhere}])([said("{}")])


def test_a_schema_without_its_library_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jsonschema" else find(name)
    )
    with pytest.raises(WeitiaoError, match=r"missing_extra[\s\S]*\[rewards\]"):
        judge([{"name": "json_schema", "schema": {}}])


def test_how_answers_are_drawn_is_what_was_asked():
    task = registry.build(
        "task", {"name": "grpo", "top_p": 0.9, "top_k": 7, "temperature": 0.5, "max_completion_length": 3}
    )
    assert task.drawing() == {"max_new_tokens": 3, "temperature": 0.5, "top_k": 7, "top_p": 0.9}
    plain = registry.build("task", {"name": "rloo"}).drawing()
    assert (plain["top_k"], plain["top_p"], plain["temperature"]) == (None, None, 1.0)


def test_kind_words_are_worth_more_and_a_negation_turns_them(monkeypatch, tmp_path):
    from weitiao.models.assets import catalog

    (tmp_path / "word-valence.csv").write_text("text,label\ngood,1.9\ndull,-1.7\n", encoding="utf-8")
    monkeypatch.setattr(catalog, "dataset_path", lambda name: tmp_path / f"{name}.csv")
    # VADER's own say of these sentences, to its four digits: s / sqrt(s^2 + 15), s turned by -0.74.
    wanted = {
        "a good film": 0.4404,
        "a dull film": -0.4019,
        "It isn't a good film": -0.3412,
        "Good, and good again": 0.7003,
        "a film": 0.0,
        "": 0.0,
    }
    found = judge(["sentiment"])([said(answer) for answer in wanted])
    assert [one["sentiment"] for one in found] == pytest.approx([*wanted.values()], abs=5e-5)
