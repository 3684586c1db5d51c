"""On every stock template: what is trained reads as the answers with their end tokens, and nothing else."""

from __future__ import annotations

import random

import pytest

from tests.data.chat.families import FAMILIES, Family
from weitiao.core.contracts import Record
from weitiao.data import chat
from weitiao.data.chat import IGNORE
from weitiao.data.formats import Unusable

ALL = pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))


def record(*turns: tuple[str, str] | dict, tools=None) -> Record:
    messages = [turn if isinstance(turn, dict) else {"role": turn[0], "content": turn[1]} for turn in turns]
    return Record("talk.jsonl", 7, {"messages": messages, **({"tools": tools} if tools else {})})


def runs(tokenizer, row: Record, **options) -> tuple[str, list[str]]:
    """The text as the model sees it, and what each run of trained tokens adds to what is decoded before it."""
    ((ids, labels),) = chat.encode([row], tokenizer, **options)
    assert all(label in (IGNORE, token) for token, label in zip(ids, labels, strict=True))

    def said(count: int) -> str:
        return tokenizer.decode(ids[:count], clean_up_tokenization_spaces=False)

    edges = [i for i in range(1, len(ids)) if (labels[i] == IGNORE) != (labels[i - 1] == IGNORE)] + [len(ids)]
    spoken = [said(b)[len(said(a)) :] for a, b in zip(edges, edges[1:], strict=False) if labels[a] != IGNORE]
    return said(len(ids)), spoken


@ALL
def test_one_answer(family: Family):
    row = record(("user", "Is it so?"), ("assistant", "Yes, it is."))
    assert runs(family.tokenizer, row)[1] == [family.decoded("Yes, it is.")]


@ALL
def test_a_system_turn_and_two_answers(family: Family):
    asked = [
        ("user", "Is it so?"),
        ("assistant", "Yes."),
        ("user", "And there?"),
        ("assistant", "No, hello."),
    ]
    row = record(*([("system", "Say hello.")] if family.system else []), *asked)
    if not family.many:
        with pytest.raises(
            Unusable, match="turn 3: the template writes this answer otherwise.*task.answers=last"
        ):
            runs(family.tokenizer, row)
        assert runs(family.tokenizer, row, last_only=True)[1] == [family.decoded("No, hello.")]
    else:
        assert runs(family.tokenizer, row)[1] == [family.decoded("Yes."), family.decoded("No, hello.")]


@ALL
def test_chinese(family: Family):
    """Whose characters are several byte tokens each, or unknown ones."""
    row = record(("user", "今天天气好吗？"), ("assistant", "你好，世界。龘"))
    assert runs(family.tokenizer, row)[1] == [family.decoded("你好，世界。龘")]


@ALL
@pytest.mark.parametrize(
    "answer", [" hello", "\nhello", "\n\n  hello", "hello \n", "    hello\n        hello"]
)
def test_an_answer_that_begins_or_ends_with_white_space(family: Family, answer: str):
    """One white-space token of the prompt may join the answer's own; it is trained with it, and never more."""
    ((trained,), (text, ((start, end),))) = (
        runs(family.tokenizer, record(("user", "Is it?"), ("assistant", answer)))[1],
        chat.render(record(("user", "Is it?"), ("assistant", answer)), family.tokenizer),
    )
    expected = family.trained(answer)
    if family.name == "qwen3":
        expected = family.lead + answer.lstrip("\n") + family.end
    assert text[start:end] == expected
    assert trained.strip() == expected.strip()
    joined = len(trained) - len(expected)
    if family.swallows:
        assert -len(answer) < joined <= 1  # the mark before the answer took its white space
    else:
        assert trained.endswith(expected)
        assert text[:start].endswith(trained[: len(trained) - len(expected)])
        assert joined <= 2


@ALL
def test_an_empty_system_turn(family: Family):
    row = record(("system", ""), ("user", "Is it so?"), ("assistant", "Yes."))
    if family.system:
        assert runs(family.tokenizer, row)[1] == [family.decoded("Yes.")]
    else:
        with pytest.raises(Unusable, match="there is no system turn"):
            runs(family.tokenizer, row)


@ALL
def test_an_answer_that_holds_the_marks_of_the_template(family: Family):
    answer = f"The end is {family.end.strip()} and then user: ASSISTANT: [INST] hello"
    row = record(("user", f"What is {family.end.strip()}?"), ("assistant", answer))
    text, (span,) = chat.render(row, family.tokenizer)
    assert text[slice(*span)] == family.trained(answer)
    (trained,) = runs(family.tokenizer, row)[1]
    # A special token in the answer takes the white space after it, where the family's do.
    assert "".join(trained.split()) == "".join(family.trained(answer).split())


@ALL
def test_an_answer_that_ends_with_the_end_mark(family: Family):
    answer = "hello" + family.end.strip()
    text, (span,) = chat.render(record(("user", "Is it?"), ("assistant", answer)), family.tokenizer)
    assert text[slice(*span)] == family.trained(answer)


@ALL
def test_the_text_is_the_one_of_transformers_and_the_prompt_is_what_stands_before_the_answer(family: Family):
    row = record(("user", "Is it so?"), ("assistant", "Yes."))
    text, ((start, _),) = chat.render(row, family.tokenizer)
    messages = row.values["messages"]
    assert text == family.tokenizer.apply_chat_template(messages, tokenize=False)
    assert chat.prompt_text(messages[:1], family.tokenizer) == text[:start]


@ALL
def test_over_many_conversations(family: Family):
    rng = random.Random(0)
    words = ["Yes", "No", "hello", "你好", "it is.", "世界", "four", "###", "1", "é", "🙂"]
    rows, expected = [], []
    for _ in range(40):
        count = rng.randint(1, 4) if family.many else 1
        said = [" ".join(rng.choices(words, k=rng.randint(1, 6))) for _ in range(2 * count)]
        rows.append(record(*((("user", "assistant")[i % 2], text) for i, text in enumerate(said))))
        expected.append(said[1::2])
    tokenizer = family.tokenizer
    spans = [chat.render(row, tokenizer) for row in rows]
    assert [[text[a:b] for a, b in found] for text, found in spans] == [
        [family.trained(text) for text in said] for said in expected
    ]
    assert [runs(tokenizer, row)[1] for row in rows] == [
        [family.decoded(text) for text in said] for said in expected
    ]


def test_there_are_at_least_twelve():
    assert len(FAMILIES) >= 12
