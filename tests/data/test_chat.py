"""The loss is on the assistant's words and their end token: on all of them, and on nothing else."""

from __future__ import annotations

import random

import pytest

from tests.conftest import CHATML, FILL, GOOD
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.data.chat import IGNORE, prompt_text, render, token_labels

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
    assert render(conversation((ASSISTANT, "film")), tokenizer)[1] == []


def test_an_answer_that_looks_like_a_question_is_still_an_answer(tokenizer):
    _, trained = labelled(tokenizer, conversation((USER, "film"), (ASSISTANT, "film\n\nuser film")))
    assert [word for word in trained if word] == ["film", "\n", "\n", "user", "film", END]


def test_the_first_token_is_never_trained(tokenizer):
    """Nothing stands before it, so nothing can predict it."""
    text = "film plot"
    ids, labels = token_labels(tokenizer, text, [(0, len(text))])
    assert labels == [IGNORE, ids[1]]


def test_a_token_that_is_only_partly_an_answer_is_not_trained():
    """And neither is one of no width, such as a mark that a tokenizer puts in."""

    def processor(text, **options):
        return {"input_ids": [5, 6, 7, 8, 9], "offset_mapping": [(0, 2), (2, 4), (4, 4), (4, 5), (5, 7)]}

    ids, labels = token_labels(processor, "abcdefg", [(1, 6)])
    assert labels == [IGNORE, 6, IGNORE, 8, IGNORE]
    assert ids == [5, 6, 7, 8, 9]


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


# --- refusals


def test_a_tokenizer_without_a_template_is_refused(tokenizer):
    tokenizer.chat_template = None
    with refused("chat_template", "talk.jsonl line 7", "has no chat template"):
        render(conversation((USER, "film"), (ASSISTANT, "plot")), tokenizer)
    with refused("chat_template", "the prompt"):
        prompt_text([{"role": USER, "content": "film"}], tokenizer)


LAST_ANSWER_ONLY = (
    "{% for m in messages %}{% if m['role'] == 'user' or loop.last %}"
    "{{ m['role'] + ': ' + m['content'] + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
NO_GENERATION_PROMPT = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
OTHER_GENERATION_PROMPT = NO_GENERATION_PROMPT + "{% if add_generation_prompt %}{{ 'bot: ' }}{% endif %}"


def test_a_template_that_rewrites_earlier_turns_is_found_out(tokenizer):
    tokenizer.chat_template = LAST_ANSWER_ONLY
    render(conversation((USER, "film"), (ASSISTANT, "plot")), tokenizer)  # one answer: nothing is rewritten
    with refused("chat_template", "line 7", "rewrites what stands before turn"):
        render(conversation((USER, "a"), (ASSISTANT, "b"), (USER, "c"), (ASSISTANT, "d")), tokenizer)


def test_a_generation_prompt_that_training_never_sees_is_found_out(tokenizer):
    tokenizer.chat_template = OTHER_GENERATION_PROMPT
    with refused("chat_template", "line 7", "turn 2"):
        render(conversation((USER, "a"), (ASSISTANT, "b")), tokenizer)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[0]['content'] + 1 }}", "concatenate"),
        ("{% for %}", "Expected an expression"),
        ("{{ 1 // 0 }}", "zero"),
        ("{% for i in range(10 ** 9) %}x{% endfor %}", "Range too big"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
    ],
)
def test_a_template_that_fails_names_the_row(template, why, tokenizer):
    tokenizer.chat_template = template
    with refused("chat_template", "talk.jsonl line 7", why):
        render(conversation((USER, "film"), (ASSISTANT, "plot")), tokenizer)


def test_the_toy_template_is_chatml():
    assert CHATML.count("<|im_start|>") == 2
