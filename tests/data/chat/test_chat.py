"""The loss is on the assistant's words and their end token: on all of them, and on nothing else."""

from __future__ import annotations

import random

import pytest

from tests.conftest import CHATML, FILL, GOOD
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.chat import IGNORE, encode, notices, prompt_text, render, token_labels
from weitiao.data.formats import Unusable

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
END = "<|im_end|>"


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


def conversation(*turns: tuple[str, str]) -> Record:
    return Record(
        "talk.jsonl", 7, {"messages": [{"role": role, "content": content} for role, content in turns]}
    )


@pytest.fixture
def tokenizer(llama):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(llama)


def labelled(tokenizer, record) -> tuple[list[str], list[str | None]]:
    """Tokens as words, and beside each the word where it is trained, None where not."""
    text, spans = render(record, tokenizer)
    ids, labels = token_labels(tokenizer, text, spans)
    assert all(label in (IGNORE, token) for token, label in zip(ids, labels, strict=True))
    words = tokenizer.convert_ids_to_tokens(ids)
    return words, [None if label == IGNORE else word for word, label in zip(words, labels, strict=True)]


# --- by hand


def test_one_answer(tokenizer):
    words, trained = labelled(tokenizer, conversation((USER, "the film was"), (ASSISTANT, "very great")))
    # fmt: off
    assert words == [
        "<|im_start|>", "user", "\n", "the", "film", "was", END, "\n",
        "<|im_start|>", "assistant", "\n", "very", "great", END, "\n",
    ]
    assert trained == [
        None, None, None, None, None, None, None, None,
        None, None, None, "very", "great", END, None,
    ]
    # fmt: on


def test_every_answer_of_a_conversation_is_trained_and_nothing_between(tokenizer):
    record = conversation(
        (SYSTEM, "great"),
        (USER, "film"),
        (ASSISTANT, "plot"),
        (USER, "assistant"),
        (ASSISTANT, "story ending"),
    )
    words, trained = labelled(tokenizer, record)
    # fmt: off
    assert list(zip(words, trained, strict=True)) == [
        ("<|im_start|>", None), ("system", None), ("\n", None), ("great", None), (END, None), ("\n", None),
        ("<|im_start|>", None), ("user", None), ("\n", None), ("film", None), (END, None), ("\n", None),
        ("<|im_start|>", None), ("assistant", None), ("\n", None), ("plot", "plot"), (END, END), ("\n", None),
        ("<|im_start|>", None), ("user", None), ("\n", None), ("assistant", None), (END, None), ("\n", None),
        ("<|im_start|>", None), ("assistant", None), ("\n", None),
        ("story", "story"), ("ending", "ending"), (END, END), ("\n", None),
    ]
    # fmt: on


def test_two_answers_in_a_row(tokenizer):
    turns = ((USER, "the"), (ASSISTANT, "film"), (ASSISTANT, "plot"), (USER, "story"))
    _, trained = labelled(tokenizer, conversation(*turns))
    assert [word for word in trained if word] == ["film", END, "plot", END]


def test_an_opening_turn_answers_nothing_and_is_not_trained(tokenizer):
    _, trained = labelled(tokenizer, conversation((ASSISTANT, "film"), (USER, "plot"), (ASSISTANT, "story")))
    assert [word for word in trained if word] == ["story", END]
    with pytest.raises(Unusable, match="no assistant turn to learn from"):
        render(conversation((ASSISTANT, "film")), tokenizer)


def test_an_answer_that_looks_like_a_question_is_still_an_answer(tokenizer):
    _, trained = labelled(tokenizer, conversation((USER, "film"), (ASSISTANT, "film\n\nuser film")))
    assert [word for word in trained if word] == ["film", "\n", "\n", "user", "film", END]


def test_the_first_token_is_never_trained(tokenizer):
    """Nothing stands before it, so nothing can predict it."""
    text = "film plot"
    ids, labels = token_labels(tokenizer, text, [(0, len(text))])
    assert labels == [IGNORE, ids[1]]


# --- over many


def test_trained_tokens_read_as_the_answers_with_their_ends(tokenizer):
    rng = random.Random(0)
    for _ in range(60):
        words = [
            " ".join(rng.choices([*FILL, *GOOD], k=rng.randint(1, 6))) for _ in range(rng.randint(1, 5) * 2)
        ]
        turns = [(SYSTEM, "great")] * rng.randint(0, 1)
        turns += [((USER, ASSISTANT)[i % 2], word) for i, word in enumerate(words)]
        record = conversation(*turns)
        text, spans = render(record, tokenizer)
        assert [text[a:b] for a, b in spans] == [word + END for word in words[1::2]]
        _, trained = labelled(tokenizer, record)
        assert " ".join(word for word in trained if word) == " ".join(f"{word} {END}" for word in words[1::2])
        assert text == tokenizer.apply_chat_template(record.values["messages"], tokenize=False)


def test_the_prompt_in_use_is_the_one_that_training_saw(tokenizer):
    record = conversation((SYSTEM, "great"), (USER, "film"), (ASSISTANT, "plot"))
    text, spans = render(record, tokenizer)
    assert prompt_text(record.values["messages"][:2], tokenizer) == text[: spans[0][0]]


# --- which answers


def turn(role: str, content: str | None, **more) -> dict:
    return {"role": role, "content": content, **more}


def row(*turns: dict, line: int = 7, **columns) -> Record:
    return Record("talk.jsonl", line, {"messages": list(turns), **columns})


@pytest.mark.parametrize("choice", [{"weight": 0}, {"loss": False}, {"train": False}, {"weight": 0.0}])
def test_a_turn_of_no_weight_is_seen_and_not_trained(choice, tokenizer):
    asked = row(
        turn(USER, "the"),
        turn(ASSISTANT, "film", **choice),
        turn(USER, "a"),
        turn(ASSISTANT, "plot", weight=1),
    )
    words, trained = labelled(tokenizer, asked)
    assert "film" in words
    assert [word for word in trained if word] == ["plot", END]


def test_what_stands_after_the_last_trained_answer_is_left_out(tokenizer):
    asked = row(
        turn(USER, "the"), turn(ASSISTANT, "film"), turn(USER, "very"), turn(ASSISTANT, "plot", weight=0)
    )
    words, trained = labelled(tokenizer, asked)
    assert "very" not in words
    assert [word for word in trained if word] == ["film", END]


def test_the_last_answer_alone(tokenizer):
    asked = row(turn(USER, "the"), turn(ASSISTANT, "film"), turn(USER, "very"), turn(ASSISTANT, "plot"))
    text, spans = render(asked, tokenizer, last_only=True)
    assert [text[a:b] for a, b in spans] == ["plot" + END]
    ((ids, labels),) = encode([asked], tokenizer, last_only=True)
    assert tokenizer.decode([label for label in labels if label != IGNORE]).split() == ["plot", END]


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ([turn(USER, "a"), turn(ASSISTANT, "b", weight=0)], "every assistant turn has weight 0"),
        ([turn(USER, "a"), turn(USER, "b")], "no assistant turn"),
        ([turn(USER, "a"), turn(ASSISTANT, "b", weight=0.5)], "`weight` of turn 2 is 0.5, neither 0 nor 1"),
        ([turn(USER, "a"), turn(ASSISTANT, "b", loss="no")], "`loss` of turn 2 is 'no', neither 0 nor 1"),
        ([turn(USER, "a"), turn(ASSISTANT, "b", weight=1, train=False)], "`weight`, `train` contradict"),
    ],
)
def test_a_row_that_trains_nothing_says_why(turns, why, tokenizer):
    with pytest.raises(Unusable, match=why):
        render(row(*turns), tokenizer)


# --- many rows


def test_a_row_at_fault_leaves_the_others(tokenizer):
    good = [row(turn(USER, "the"), turn(ASSISTANT, "film"), line=line) for line in range(200)]
    bad = row(turn(USER, "a"), line=999)
    rows = [*good[:70], bad, *good[70:130], bad, *good[130:]]
    found, faults = [], []
    encoded = encode(rows, tokenizer)
    for index in range(len(rows)):
        try:
            found.append(next(encoded))
        except Unusable:
            faults.append(index)
    assert next(encoded, None) is None
    assert faults == [70, 131]
    assert found == list(encode(good, tokenizer))


def test_rows_one_by_one_and_together_are_the_same(tokenizer):
    rng = random.Random(1)
    rows = []
    for line in range(150):
        turns = [
            turn((USER, ASSISTANT)[i % 2], " ".join(rng.choices(FILL, k=3)))
            for i in range(2 * rng.randint(1, 3))
        ]
        rows.append(row(*turns, line=line))
    together = list(encode(rows, tokenizer))
    assert together == [token_labels(tokenizer, *render(one, tokenizer)) for one in rows]


# --- refusals


def test_a_tokenizer_without_a_template_is_refused(tokenizer):
    tokenizer.chat_template = None
    with refused("chat_template", "talk.jsonl line 7", "has none"):
        render(conversation((USER, "film"), (ASSISTANT, "plot")), tokenizer)
    with refused("chat_template", "the prompt"):
        prompt_text([{"role": USER, "content": "film"}], tokenizer)


def test_several_templates_without_a_default_are_refused(tokenizer):
    tokenizer.chat_template = {"one": CHATML, "two": CHATML}
    with refused("chat_template", "talk.jsonl line 7", "no default"):
        render(conversation((USER, "film"), (ASSISTANT, "plot")), tokenizer)


def test_rows_with_tools_take_the_template_for_tools(tokenizer):
    tokenizer.chat_template = {"default": CHATML, "tool_use": "{{ tools[0].name }} " + CHATML}
    plain = conversation((USER, "film"), (ASSISTANT, "plot"))
    tools = Record("talk.jsonl", 8, {**plain.values, "tools": [{"name": "very"}]})
    rows = [plain, tools, tools, plain]
    words = [tokenizer.convert_ids_to_tokens(ids)[0] for ids, _ in encode(rows, tokenizer)]
    assert words == ["<|im_start|>", "very", "very", "<|im_start|>"]


def test_a_slow_tokenizer_is_refused(tokenizer):
    class Slow:
        bos_token_id = None

        def __call__(self, texts, **options):
            raise NotImplementedError("return_offset_mapping is not available when using Python tokenizers")

    with refused("slow_tokenizer", "Slow"):
        token_labels(Slow(), "film", [(0, 4)])


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[0]['content'] + 1 }}", "concatenate"),
        ("{{ 1 // 0 }}", "zero"),
        ("{{ messages[0].nothing.at_all }}", "has no attribute 'nothing'"),
    ],
)
def test_a_template_that_refuses_the_turns_is_the_rows_fault(template, why, tokenizer):
    tokenizer.chat_template = template
    with pytest.raises(Unusable, match=f"the chat template refuses the turns: .*{why}"):
        render(conversation((USER, "film"), (ASSISTANT, "plot")), tokenizer)
    with refused("chat_template", "the prompt", why):
        prompt_text([{"role": USER, "content": "film"}], tokenizer)


# --- oddities that are said once


def test_a_sound_template_gives_no_notice(tokenizer):
    assert notices(tokenizer) == []


def test_a_template_without_an_end_token_is_noticed(tokenizer):
    tokenizer.chat_template = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    (notice,) = notices(tokenizer)
    assert "no end token" in notice


def test_another_end_token_than_the_tokenizers_is_noticed(tokenizer):
    tokenizer.eos_token = "<unk>"
    (notice,) = notices(tokenizer)
    assert END in notice
    assert "<unk>" in notice


def test_a_template_that_writes_the_date_is_noticed(tokenizer):
    tokenizer.chat_template = "{{ strftime_now('%Y') }} " + CHATML
    (notice,) = notices(tokenizer)
    assert "date" in notice


def test_the_toy_template_is_chatml():
    assert CHATML.count("<|im_start|>") == 2


@pytest.mark.parametrize("lost", ["tools", "tool_calls"])
def test_what_a_template_never_shows_is_a_reason_to_refuse_the_row(tokenizer, lost):
    """SmolLM2's template passes over tools: a call would be learnt as an empty answer, without a word."""
    turns = [{"role": "user", "content": "film"}, {"role": "assistant", "content": "plot"}]
    values = {"messages": turns}
    if lost == "tools":
        values["tools"] = [{"type": "function", "function": {"name": "look"}}]
    else:
        call = {"type": "function", "function": {"name": "look", "arguments": {}}}
        values["messages"] = [turns[0], {"role": "assistant", "content": "", "tool_calls": [call]}]
    rows = encode([Record("a", 1, values), Record("a", 2, {"messages": turns})], tokenizer)
    with pytest.raises(Unusable, match=f"does not show `{lost}`"):
        next(rows)
    ids, labels = next(rows)
    assert len(ids) == len(labels), "the next row is encoded all the same"
