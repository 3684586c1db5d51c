"""Where answers stand, on templates as plain functions: prompts, headers, closings, rewriting, and what it costs."""

from __future__ import annotations

import pytest

from weitiao.data.chat.spans import locate, plain, prompt
from weitiao.data.formats import Unusable


class Drawn:
    """A template as a Python function that counts its calls."""

    def __init__(self, write):
        self.write, self.calls = write, 0

    def __call__(self, turns, *, prompt):
        self.calls += 1
        return self.write([(turn["role"], turn.get("content", "")) for turn in turns], prompt)


def talk(*said: str) -> list[dict]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]


def answers(write, messages, **options) -> list[str]:
    text, spans = locate(messages, Drawn(write), **options)
    return [text[a:b] for a, b in spans]


def marks(turns, prompt):
    return "".join(f"<{role}>{said}</>\n" for role, said in turns) + "<assistant>" * prompt


def bare(turns, prompt):
    """No generation prompt, and no mark of the end."""
    return "".join(f"{role}: {said}\n" for role, said in turns)


def bare_lines(turns, prompt):
    return "".join(f"{role}\n{said}<e>\n" for role, said in turns)


@pytest.mark.parametrize(("count", "calls"), [(1, 2), (2, 4), (5, 10)])
def test_an_answer_costs_two_renderings(count, calls):
    draw = Drawn(marks)
    locate(talk(*(f"word {i}" for i in range(2 * count))), draw)
    assert draw.calls == calls


def test_what_the_template_writes_before_any_answer_is_its_prompt():
    """Where it has no generation prompt: a header is not what the assistant says, a space is left to its words."""
    assert answers(bare, talk("so?", "yes", "no?", "it is")) == [" yes", " it is"]
    assert answers(bare_lines, talk("so?", "yes")) == ["yes<e>"]
    assert prompt(talk("so?"), Drawn(bare)) == "user: so?\nassistant:"
    assert prompt(talk("so?"), Drawn(bare_lines)) == "user\nso?<e>\nassistant\n"


@pytest.mark.parametrize("answer", ["0", "1", "01", "assistant", "assistant: 0", " ", "\n"])
def test_a_header_is_found_whatever_the_answer_is(answer):
    text, ((start, end),) = locate(talk("so?", answer + "."), Drawn(bare))
    assert text[:start] == "user: so?\nassistant:"
    assert text[start:end] == f" {answer}."


def test_what_closes_the_conversation_is_no_part_of_an_answer():
    def closing(turns, prompt):
        return "".join(f"<{role}>{said}<end>\n" for role, said in turns) + (
            "<assistant>" if prompt else "<enough>"
        )

    words = ["<end>", "<enough>", "<assistant>"]
    assert answers(closing, talk("so?", "yes", "no?", "it is"), marks=words) == ["yes<end>", "it is<end>"]
    assert answers(closing, talk("so?", "yes<end>"), marks=words) == ["yes<end><end>"]


def test_two_end_tokens_of_an_answer_both_belong_to_it():
    def twice(turns, prompt):
        return "".join(f"<{role}>{said}<a><b>\n" for role, said in turns) + "<assistant>" * prompt

    assert answers(twice, talk("so?", "yes", "no?", "it is"), marks=["<a>", "<b>"]) == [
        "yes<a><b>",
        "it is<a><b>",
    ]


def test_a_template_that_drops_earlier_answers_is_found_out():
    def last_only(turns, prompt):
        kept = [turn for i, turn in enumerate(turns) if turn[0] == "user" or i == len(turns) - 1]
        return marks(kept, prompt)

    assert answers(last_only, talk("so?", "yes")) == ["yes</>"]
    with pytest.raises(Unusable, match="turn 2: the template writes this answer otherwise"):
        answers(last_only, talk("so?", "yes", "no?", "it is"))
    assert answers(last_only, talk("so?", "yes", "no?", "it is"), last_only=True) == ["it is</>"]


def test_a_template_that_shortens_an_earlier_answer_is_found_out():
    def shortens(turns, prompt):
        last = len(turns) - 1
        return marks(
            [(role, said if i == last else said[:2]) for i, (role, said) in enumerate(turns)], prompt
        )

    with pytest.raises(Unusable, match="turn 2"):
        answers(shortens, talk("so", "yes", "no", "it"))


def test_rewriting_that_touches_nothing_trained_is_no_fault():
    """Earlier answers of weight 0 may be shortened: they are context, in training as in use."""

    def shortens(turns, prompt):
        last = len(turns) - (0 if prompt else 1)
        return marks(
            [
                (role, said if role == "user" or i == last else said[:2])
                for i, (role, said) in enumerate(turns)
            ],
            prompt,
        )

    messages = talk("so?", "yes", "no?", "it is")
    messages[1]["weight"] = 0
    text, spans = locate(messages, Drawn(shortens))
    assert [text[a:b] for a, b in spans] == ["it is</>"]
    assert "<assistant>ye</>" in text


def test_a_prompt_that_training_never_sees_is_found_out():
    def thinking(turns, prompt):
        return marks(turns, False) + "<assistant><think>" * prompt

    with pytest.raises(
        Unusable, match="turn 2: the template asks for this answer with a prompt that does not stand"
    ):
        answers(thinking, talk("so?", "yes"))


def test_an_answer_that_the_template_drops_is_found_out():
    def deaf(turns, prompt):
        return marks([turn for turn in turns if turn[0] == "user"], False)

    with pytest.raises(Unusable, match="turn 2: the template writes nothing for this answer"):
        answers(deaf, talk("so?", "yes"))


def test_a_turn_reaches_the_template_without_empty_fields_and_choices():
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"b": 1, "a": "å"}'}}
    turn = {
        "role": "assistant",
        "content": None,
        "weight": 1,
        "train": None,
        "tool_calls": [call],
        "name": "x",
    }
    assert plain(turn) == {
        "role": "assistant",
        "name": "x",
        "tool_calls": [{**call, "function": {"name": "f", "arguments": {"b": 1, "a": "å"}}}],
    }
    assert turn["tool_calls"][0]["function"]["arguments"] == '{"b": 1, "a": "å"}'  # the row is as it was


@pytest.mark.parametrize("arguments", ["not JSON", "[1]", '"text"', {"a": 1}])
def test_arguments_that_are_no_json_object_stay(arguments):
    turn = {"role": "assistant", "tool_calls": [{"name": "f", "arguments": arguments}, "odd"]}
    assert plain(turn) == turn
