"""Each shape finds its faults, tells rows apart by what they say, and gives every text back by its address."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weitiao.data.equal_text import normalised
from weitiao.data.formats import FORMATS
from weitiao.data.shapes import (
    CONVERSATION,
    LABELLED,
    MULTI_LABELLED,
    NUMBERED,
    PICTURED,
    PLAIN,
    PREFERENCE,
    QUESTIONED,
    RANKED,
    SHAPES,
    TAGGED,
    TRANSLATION,
    UNPAIRED,
)


def turn(role: str, content: str | None, **more) -> dict:
    return {"role": role, "content": content, **more}


CALL = [{"type": "function", "function": {"name": "f"}}]
ASKED, ANSWER = [turn("user", "q")], [turn("assistant", "a")]
GOOD = [
    (LABELLED, {"text": "t", "label": "x"}),
    (LABELLED, {"text": "t", "text_pair": "u", "label": "x"}),
    (MULTI_LABELLED, {"text": "t", "label": ["y", "x"]}),
    (MULTI_LABELLED, {"text": "t", "label": []}),
    (NUMBERED, {"text": "t", "label": 0.0}),
    (CONVERSATION, {"messages": [turn("system", "s"), *ASKED, *ANSWER]}),
    (
        CONVERSATION,
        {"messages": [*ASKED, turn("assistant", None, tool_calls=CALL), turn("tool", "r"), *ANSWER]},
    ),
    (PLAIN, {"text": "t"}),
    (PREFERENCE, {"prompt": ASKED, "chosen": ANSWER, "rejected": [turn("assistant", "b")]}),
    (UNPAIRED, {"prompt": ASKED, "completion": ANSWER, "label": False}),
    (TAGGED, {"tokens": ["我", "b"], "tags": ["O", "B-X"]}),
    (TRANSLATION, {"source": "s", "target": "t"}),
    (PICTURED, {"image": "a.png", "label": "x"}),
    (QUESTIONED, {"question": "q", "context": "b a", "answers": []}),
    (RANKED, {"query": "q", "passages": ["a", "b"], "scores": [0.5, 0.0]}),
]
each = pytest.mark.parametrize(("shape", "values"), GOOD)


@each
def test_a_good_row_has_no_fault_and_all_its_columns_are_known(shape, values):
    assert shape.faults(values) == ""
    assert set(values) <= set(shape.columns)


def leaves(node, address=()):
    """Every text of a row by the plainest walk, with its address."""
    if isinstance(node, str):
        yield ".".join(map(str, address)), node
    for key, value in (
        node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    ):
        yield from leaves(value, (*address, key))


@each
def test_texts_are_found_and_replaced_by_their_address(shape, values):
    before = copy.deepcopy(values)
    texts = shape.texts(values)
    everything = dict(leaves(values))
    assert set(texts.items()) <= set(everything.items())
    written = {
        a: t for a, t in everything.items() if a.rpartition(".")[2] in ("text", "text_pair", "content")
    }
    assert written.items() <= texts.items(), "whatever a person wrote is among them"
    assert shape.with_texts(values, texts) == values
    loud = {address: text + "!" for address, text in texts.items()}
    changed = shape.with_texts(values, loud)
    assert shape.texts(changed) == loud
    assert dict(leaves(changed)) == {**everything, **loud}, "and nothing else has changed"
    assert values == before, "the row itself least of all"


# --- faults


@pytest.mark.parametrize(
    ("shape", "values", "why"),
    [
        (LABELLED, {"text": " \t", "label": "x"}, "the text is empty"),
        (LABELLED, {"text": "\u3000", "label": "x"}, "the text is empty"),
        (LABELLED, {"text": None, "label": "x"}, "the text is missing"),
        (LABELLED, {"text": 3, "label": "x"}, "the text is of type int"),
        (LABELLED, {"text": "t", "label": None}, "the label is missing"),
        (LABELLED, {"text": "t", "text_pair": "", "label": "x"}, "the text_pair is empty"),
        (NUMBERED, {"text": "t", "label": None}, "the label is missing"),
        (CONVERSATION, {"messages": ASKED}, "there is no assistant turn to learn from"),
        (CONVERSATION, {"messages": [*ASKED, turn("assistant", " ")]}, "turn 2 (assistant) is empty"),
        (CONVERSATION, {"messages": [turn("user", ""), *ANSWER]}, "turn 1 (user) is empty"),
        (PLAIN, {"text": ""}, "the text is empty"),
        (PREFERENCE, {"prompt": [], "chosen": ANSWER, "rejected": ASKED}, "`prompt` holds no turn"),
        (
            PREFERENCE,
            {"prompt": ASKED, "chosen": ANSWER, "rejected": ANSWER},
            "chosen and rejected are the same",
        ),
        (
            PREFERENCE,
            {"prompt": ASKED, "chosen": ANSWER, "rejected": [turn("assistant", "")]},
            "turn 1 of `rejected` (assistant) is empty",
        ),
        (
            PREFERENCE,
            {"prompt": ASKED, "chosen": ANSWER, "rejected": [*ANSWER, turn("user", "no!")]},
            "`rejected` does not end with an answer",
        ),
        (UNPAIRED, {"prompt": [], "completion": ANSWER, "label": True}, "`prompt` holds no turn"),
        (UNPAIRED, {"prompt": ASKED, "completion": [], "label": True}, "`completion` holds no turn"),
        (
            UNPAIRED,
            {"prompt": ASKED, "completion": [turn("user", "u")], "label": True},
            "`completion` does not end with an answer",
        ),
        (TAGGED, {"tokens": [], "tags": []}, "there are no tokens"),
        (TAGGED, {"tokens": ["a"], "tags": ["X", "Y"]}, "1 tokens and 2 tags"),
        (TAGGED, {"tokens": ["a", " "], "tags": ["X", "Y"]}, "token 2 is empty"),
        (TRANSLATION, {"source": "s", "target": ""}, "the target is empty"),
        (TRANSLATION, {"source": None, "target": "t"}, "the source is missing"),
        (PICTURED, {"image": "", "label": "x"}, "the image is empty"),
        (QUESTIONED, {"question": " ", "context": "c", "answers": []}, "the question is empty"),
        (QUESTIONED, {"question": "q", "context": None, "answers": []}, "the context is missing"),
        (PICTURED, {"image": "a", "label": None}, "the label is missing"),
        (RANKED, {"query": "", "passages": ["a"], "scores": [1.0]}, "the query is empty"),
        (RANKED, {"query": "q", "passages": [], "scores": []}, "there is no passage"),
        (RANKED, {"query": "q", "passages": ["a", " "], "scores": [1.0, 0.0]}, "the passage is empty"),
        (RANKED, {"query": "q", "passages": ["a"], "scores": [1.0, 0.0]}, "1 passages and 2 scores"),
        (
            RANKED,
            {"query": "q", "passages": ["a b", "A  b"], "scores": [1.0, 0.0]},
            'the passage "A  b" stands there twice, with two scores',
        ),
    ],
)
def test_planted_faults_are_named(shape, values, why):
    assert shape.faults(values) == why


# --- what tells rows apart


def same(shape, one: dict, other: dict) -> bool:
    return normalised(shape.key(one)) == normalised(shape.key(other))


@pytest.mark.parametrize(
    ("shape", "one", "other"),
    [
        # Where one part ends and the next begins must tell rows apart, or good rows are lost as duplicates.
        (LABELLED, {"text": "a b", "text_pair": "c"}, {"text": "a", "text_pair": "b c"}),
        (LABELLED, {"text": "a b"}, {"text": "a", "text_pair": "b"}),
        (TRANSLATION, {"source": "a b", "target": "c"}, {"source": "a", "target": "b c"}),
        (TAGGED, {"tokens": ["a", "x"], "tags": ["x", "y"]}, {"tokens": ["a x", "x"], "tags": ["y", ""]}),
        (
            CONVERSATION,
            {"messages": [turn("user", "a"), turn("assistant", "b")]},
            {"messages": [turn("user", "a\nassistant: b")]},
        ),
        (CONVERSATION, {"messages": [*ASKED, *ANSWER]}, {"messages": [*ASKED, turn("assistant", "b")]}),
        (
            CONVERSATION,
            {"messages": [*ASKED, turn("assistant", None, tool_calls=CALL)]},
            {"messages": [*ASKED, turn("assistant", None, tool_calls=[{"function": {"name": "g"}}])]},
        ),
        (
            PREFERENCE,
            {"prompt": ASKED, "chosen": ANSWER, "rejected": ASKED},
            {"prompt": ASKED, "chosen": ASKED, "rejected": ANSWER},
        ),
        (NUMBERED, {"text": "a", "label": 1.0}, {"text": "a", "label": 2.0}),
        (
            RANKED,
            {"query": "q", "passages": ["a", "b"], "scores": [1.0, 0.0]},
            {"query": "q", "passages": ["a", "b"], "scores": [0.0, 1.0]},
        ),
        (PICTURED, {"image": "a.png", "sha256": "00"}, {"image": "a.png", "sha256": "01"}),
        (
            QUESTIONED,
            {"question": "q", "context": "a a", "answers": [{"text": "a", "start": 0}]},
            {"question": "q", "context": "a a", "answers": [{"text": "a", "start": 2}]},
        ),
    ],
)
def test_different_rows_are_told_apart(shape, one, other):
    assert not same(shape, one, other)


@pytest.mark.parametrize(
    ("shape", "one", "other"),
    [
        (LABELLED, {"text": "A  b", "label": "x"}, {"text": "a b ", "label": "y"}),
        (LABELLED, {"text": "A ", "text_pair": " b"}, {"text": "a", "text_pair": "B"}),
        (
            RANKED,
            {"query": "q", "passages": ["a"], "scores": [1.0]},
            {"query": "Q", "passages": ["a "], "scores": [0.0]},
        ),
        (TRANSLATION, {"source": "a ", "target": "\tb"}, {"source": "ａ", "target": "b"}),
        (PICTURED, {"image": "a.png", "sha256": "00"}, {"image": "b.png", "sha256": "00"}),
        (
            UNPAIRED,
            {"prompt": ASKED, "completion": ANSWER, "label": True},
            {"prompt": ASKED, "completion": ANSWER, "label": False},
        ),
    ],
)
def test_like_rows_are_the_same(shape, one, other):
    assert same(shape, one, other)


@each
def test_the_same_rows_ask_the_same(shape, values):
    louder = shape.with_texts(values, {a: f"  {t.upper()}\n" for a, t in shape.texts(values).items()})
    assert same(shape, values, louder)
    assert normalised(shape.group(values)) == normalised(shape.group(louder))


def test_rows_that_ask_the_same_are_one_group_whatever_the_answer():
    def said(answer: str) -> dict:
        return {"messages": [turn("system", answer), *ASKED, turn("assistant", answer)]}

    assert CONVERSATION.group(said("a")) == CONVERSATION.group(said("b")) == "q"
    other = {"prompt": ASKED, "chosen": ANSWER, "rejected": [turn("assistant", "c")]}
    assert (
        PREFERENCE.group(other)
        == UNPAIRED.group({"prompt": ASKED, "completion": ANSWER, "label": True})
        == "q"
    )
    assert NUMBERED.group({"text": "a", "label": 1.0}) == NUMBERED.group({"text": "a", "label": 2.0})
    tagged = ({"tokens": ["a"], "tags": [tag]} for tag in "XY")
    assert len({TAGGED.group(values) for values in tagged}) == 1
    translated = ({"source": "a", "target": target} for target in "xy")
    assert len({TRANSLATION.group(values) for values in translated}) == 1


@pytest.mark.parametrize(
    "turns",
    [
        [turn("user", None, tool_calls=CALL), *ANSWER],
        [turn("user", None, tool_calls=CALL), turn("user", "q"), *ANSWER],
        [turn("system", "s"), *ANSWER],
    ],
)
def test_a_user_who_says_nothing_first_breaks_nothing(turns):
    values = {"messages": turns}
    assert CONVERSATION.faults(values) == ""
    assert isinstance(CONVERSATION.group(values), str)
    assert CONVERSATION.group(values)


def test_strata_are_labels():
    assert LABELLED.stratum({"label": "x"}) == "x"
    assert (
        LABELLED.stratum({"label": None})
        == NUMBERED.stratum({"label": 3.0})
        == PLAIN.stratum({"text": "t"})
        == ""
    )
    assert (
        MULTI_LABELLED.stratum({"label": ["b", "a"]})
        == MULTI_LABELLED.stratum({"label": ["a", "b"]})
        == "a + b"
    )
    assert [UNPAIRED.stratum({"label": liked}) for liked in (True, False)] == ["true", "false"]
    assert PICTURED.stratum({"label": "x"}) == "x"


def test_every_format_belongs_to_exactly_one_shape():
    assert sorted(name for shape in SHAPES for name in shape.formats) == sorted(FORMATS)
    for shape in SHAPES:
        assert shape.formats
        assert all(words for words in shape.columns.values())


PART = st.text("aB \tＡ\u3000é", min_size=1, max_size=4)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.tuples(PART, PART), st.tuples(PART, PART))
def test_two_texts_are_the_same_when_each_of_them_is(one, other):
    alike = [normalised(a) for a in one] == [normalised(b) for b in other]
    assert same(TRANSLATION, *({"source": s, "target": t} for s, t in (one, other))) == alike
    assert same(LABELLED, *({"text": s, "text_pair": t} for s, t in (one, other))) == alike
