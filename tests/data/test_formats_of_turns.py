"""Conversations and preferences in every spelling become turns and answers; what is neither is refused with a reason."""

from __future__ import annotations

import json
import math

import pytest

from tests.data import test_formats
from tests.data.test_formats import OF, converted, dialogue, turn
from weitiao.data.formats import Unusable

picture = test_formats.picture


def calls(*functions: dict) -> list[dict]:
    return [{"type": "function", "function": function} for function in functions]


# --- conversations


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("human", "user"),
        ("user", "user"),
        ("gpt", "assistant"),
        ("chatgpt", "assistant"),
        ("bot", "assistant"),
    ]
    + [("model", "assistant"), ("bing", "assistant"), ("observation", "tool"), ("function_response", "tool")]
    + [("system", "system"), ("tool", "tool"), ("assistant", "assistant"), ("developer", "developer")],
)
def test_the_roles_of_sharegpt(theirs, ours):
    found = converted("sharegpt", {"conversations": [{"from": theirs, "value": "x"}]})
    assert found == {"messages": [turn(ours, "x")]}


def test_sharegpt_with_system_tools_and_a_call():
    called = {"name": "weather", "arguments": {"city": "北京"}}
    row = {
        "system": "s",
        "tools": json.dumps([{"name": "weather"}]),
        "conversations": [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": json.dumps(called)},
            {"from": "observation", "value": "sunny"},
            {"from": "gpt", "value": "a"},
        ],
    }
    assert converted("sharegpt", row) == {
        "messages": [
            turn("system", "s"),
            turn("user", "q"),
            turn("assistant", None, tool_calls=calls(called)),
            turn("tool", "sunny"),
            turn("assistant", "a"),
        ],
        "tools": [{"name": "weather"}],
    }
    several = {"conversations": [{"from": "function_call", "value": [called, called]}]}
    assert converted("sharegpt", several)["messages"][0]["tool_calls"] == calls(called, called)


@pytest.mark.parametrize(
    "value", ["no json", "[]", '"name"', '{"arguments": 1}', "[1]", None, 3, "[" * 10**5]
)
def test_a_function_call_that_is_none(value):
    with pytest.raises(Unusable, match="function call of turn 1|lacks|content of turn 1"):
        converted("sharegpt", {"conversations": [{"from": "function_call", "value": value}]})


@pytest.mark.parametrize("name", ["weight", "loss", "train"])
@pytest.mark.parametrize(("said", "heard"), [(0, 0), (1, 1), (False, 0), (True, 1), (0.0, 0), (1.0, 1)])
def test_whether_an_answer_is_learnt_has_three_names_and_becomes_weight(name, said, heard):
    (found,) = converted("messages", {"messages": [turn("assistant", "a", **{name: said})]})["messages"]
    assert found == turn("assistant", "a", weight=heard)
    assert type(found["weight"]) is int


@pytest.mark.parametrize("said", [2, -1, 0.5, "yes", "1", [1], {"a": 1}])
def test_a_weight_between_is_refused(said):
    with pytest.raises(Unusable, match="`weight` of turn 1 .* neither 0 nor 1"):
        converted("messages", {"messages": [turn("assistant", "a", weight=said)]})


def test_messages_keep_what_templates_read_and_nothing_else():
    kept = {"name": "n", "tool_call_id": "1", "reasoning_content": "r", "thinking": "t"}
    turns = [turn("user", "u", id=4, mood="odd", **kept), turn("assistant", "a", weight=None)]
    found = converted("messages", {"messages": turns, "tools": [{"name": "f"}]})
    assert found == {
        "messages": [turn("user", "u", **kept), turn("assistant", "a")],
        "tools": [{"name": "f"}],
    }


def test_content_in_parts_is_put_together():
    parts = [{"type": "text", "text": "a "}, "b"]
    assert converted("messages", {"messages": [turn("user", parts)]})["messages"] == [turn("user", "a b")]
    picture = [{"type": "text", "text": "a"}, {"type": "input_audio", "input_audio": "x"}]
    with pytest.raises(Unusable, match="turn 1 holds parts that are not text"):
        converted("messages", {"messages": [turn("user", picture)]})


def test_a_cell_of_a_table_may_hold_turns_as_json():
    row = dialogue("问", "答")
    assert converted("messages", {"messages": json.dumps(row["messages"])}) == row
    for cell in ("[1, 2", "[" * 10**5):
        with pytest.raises(Unusable, match="text that is not a list of turns"):
            converted("messages", {"messages": cell})


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        (None, "not a list"),
        ([], "not a list"),
        ({}, "not a list"),
        ("hello", "not a list"),
        (["hello"], "turn 1 is of type str, not an object"),
        ([{"role": "user", "content": "u"}, {"role": "assistant"}], "turn 2 lacks `role` or `content`"),
        ([{"from": "human"}], "turn 1 lacks `from` or `value`"),
        ([{"content": "u"}], "turn 1 lacks"),
        (
            [{"role": "assistent", "content": "a"}],
            'turn 1 has the role "assistent".*Did you mean "assistant"',
        ),
        ([{"role": ["user"], "content": "a"}], "turn 1 has the role"),
        ([{"role": "user", "content": None}], "content of turn 1 is missing, not text"),
        ([{"role": "user", "content": {}}], "content of turn 1 is of type dict, not text"),
        ([{"role": "user", "content": [{"type": "text"}]}], "turn 1 holds parts that are not text"),
    ],
)
def test_messages_that_are_none_are_refused(turns, why):
    with pytest.raises(Unusable, match=why):
        converted("messages", {"messages": turns})


@pytest.mark.parametrize("tools", ["{", "[" * 10**5, {"name": "f"}, [1], 3, "[1]"])
def test_tools_that_are_none_are_refused(tools):
    with pytest.raises(Unusable, match="`tools` is"):
        converted("messages", {**dialogue("q", "a"), "tools": tools})


@pytest.mark.parametrize("tools", [None, "", [], "[]"])
def test_no_tools_are_no_column(tools):
    assert converted("messages", {**dialogue("q", "a"), "tools": tools}) == dialogue("q", "a")


def test_prompt_and_completion_as_texts_or_turns():
    assert converted("prompt_completion", {"prompt": "p", "completion": "c"}) == dialogue("p", "c")
    as_turns = {"prompt": [turn("user", "p")], "completion": turn("assistant", "c")}
    assert converted("prompt_completion", as_turns) == dialogue("p", "c")
    for row, why in (
        ({"prompt": "p"}, "`completion` is missing"),
        ({"prompt": {3: 4}, "completion": "c"}, "turn 1 lacks `role`"),
        ({"prompt": None, "completion": "c"}, "`prompt` is missing"),
    ):
        with pytest.raises(Unusable, match=why):
            converted("prompt_completion", row)


def test_alpaca_with_and_without_input_system_and_history():
    assert converted("alpaca", {"instruction": "i", "input": "x", "output": "o"}) == dialogue("i\n\nx", "o")
    for empty in ("", None):
        row = {"instruction": "i", "input": empty, "system": empty, "history": empty, "output": "o"}
        assert converted("alpaca", row) == dialogue("i", "o")
    row = {"instruction": "i", "output": "o", "system": "s", "history": [["a", "b"], ["c", "d"]]}
    words = [(t["role"][0], t["content"]) for t in converted("alpaca", row)["messages"]]
    assert words == [("s", "s"), ("u", "a"), ("a", "b"), ("u", "c"), ("a", "d"), ("u", "i"), ("a", "o")]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"input": ["x"]}, "`input` is of type list"),
        ({"output": None}, "`output` is missing"),
        ({"system": [4]}, "`system` is of type list"),
        ({"history": 4}, "`history` is not a list of"),
        ({"history": True}, "`history` is not a list of"),
        ({"history": "abc"}, "`history` is not a list of"),
        ({"history": {"a": "b"}}, "`history` is not a list of"),
        ({"history": [["a"]]}, "`history` is not a list of"),
        ({"history": [["a", None]]}, "`history` is not a list of"),
    ],
)
def test_alpaca_rows_that_are_none(more, why):
    with pytest.raises(Unusable, match=why):
        converted("alpaca", {"instruction": "i", "output": "o", **more})


# --- preferences


PREFERRED = {
    "prompt": [turn("user", "q")],
    "chosen": [turn("assistant", "a")],
    "rejected": [turn("assistant", "b")],
}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        PREFERRED,
        {"prompt": "q", "chosen": turn("assistant", "a"), "rejected": [turn("assistant", "b")]},
        {
            "chosen": [turn("user", "q"), turn("assistant", "a")],
            "rejected": [turn("user", "q"), turn("assistant", "b")],
        },
        # UltraFeedback's way: the prompt stands beside the whole conversations.
        {
            "prompt": "q",
            "chosen": [turn("user", "q"), turn("assistant", "a")],
            "rejected": [turn("user", "q"), turn("assistant", "b")],
        },
        {
            "conversations": [{"from": "human", "value": "q"}],
            "chosen": {"from": "gpt", "value": "a"},
            "rejected": {"from": "gpt", "value": "b"},
        },
        {"instruction": "q", "input": "", "chosen": "a", "rejected": "b"},
    ],
)
def test_a_preference_in_every_spelling(row):
    assert converted("preference", row) == PREFERRED


def test_a_preference_with_all_that_alpaca_has():
    row = {
        "instruction": "i",
        "input": "x",
        "system": "s",
        "history": [["a", "b"]],
        "chosen": "c",
        "rejected": "r",
    }
    found = converted("preference", row)
    assert [t["content"] for t in found["prompt"]] == ["s", "a", "b", "i\n\nx"]


def test_the_shared_beginning_of_two_conversations_is_the_prompt():
    before = [turn("system", "s"), turn("user", "q"), turn("assistant", "a"), turn("user", "r")]
    row = {"chosen": [*before, turn("assistant", "good")], "rejected": [*before, turn("assistant", "bad")]}
    found = converted("preference", row)
    assert found == {
        "prompt": before,
        "chosen": [turn("assistant", "good")],
        "rejected": [turn("assistant", "bad")],
    }
    for same in (row["chosen"], "a"):
        assert "turn" in OF["preference"].faults(converted("preference", {"chosen": same, "rejected": same}))


@pytest.mark.parametrize(
    ("value", "liked"),
    [(True, True), (False, False), (1, True), (0, False), (1.0, True), (0.0, False)]
    + [("true", True), ("False", False), (" YES ", True), ("no", False), ("1", True), ("0", False)],
)
def test_what_counts_as_liked(value, liked):
    assert converted("kto", {"prompt": "p", "completion": "c", "label": value})["label"] is liked


@pytest.mark.parametrize("value", [None, 2, -1, 0.5, "maybe", "", math.nan, math.inf, [], {}, "10", "是的"])
def test_what_is_neither_liked_nor_not(value):
    with pytest.raises(Unusable, match="neither true nor false"):
        converted("kto", {"prompt": "p", "completion": "c", "label": value})


def test_the_answer_of_kto_messages_is_the_last_turn():
    turns = [turn("user", "q"), turn("assistant", "a"), turn("user", "r"), turn("assistant", "b")]
    found = converted("kto_messages", {"messages": turns, "label": 1})
    assert found == {"prompt": turns[:3], "completion": turns[3:], "label": True}
