"""Which tokens hold a part of an answer: at the border with the prompt, at the end, and by brute force."""

from __future__ import annotations

import random

import pytest

from tests.data.chat.families import FAMILIES, IM, TEMPLATES, tokenizer
from weitiao.core.contracts import Record
from weitiao.data.chat import IGNORE, encode, notices, render, token_labels
from weitiao.data.formats import Unusable


def row(asked: str, *said: str, **columns) -> Record:
    turns = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate((asked, *said))]
    return Record("talk.jsonl", 7, {"messages": turns, **columns})


def trained_words(processor, record) -> list[str]:
    ((ids, labels),) = encode([record], processor)
    words = processor.convert_ids_to_tokens(ids)
    return [word for word, label in zip(words, labels, strict=True) if label != IGNORE]


class Stub:
    """A tokenizer whose tokens are given; ids count from 5."""

    bos_token_id = None

    def __init__(self, offsets, ids=None):
        self.offsets = offsets
        self.ids = ids or list(range(5, 5 + len(offsets)))

    def __call__(self, texts, **options):
        assert options["add_special_tokens"] is False
        return {"input_ids": [list(self.ids)] * len(texts), "offset_mapping": [self.offsets] * len(texts)}

    def convert_ids_to_tokens(self, index):
        return "x"


# --- the rule


def test_a_token_that_holds_a_part_of_an_answer_is_trained():
    """At both ends; one of no width inside, too; none that only touches it."""
    offsets = [(0, 1), (1, 3), (3, 5), (5, 5), (5, 7), (7, 9), (9, 9), (9, 10)]
    ids, labels = token_labels(Stub(offsets), "abcdefghij", [(4, 8)])
    assert [index for index, label in enumerate(labels) if label != IGNORE] == [2, 3, 4, 5]
    assert ids == list(range(5, 13))


def test_the_first_token_is_never_trained():
    _, labels = token_labels(Stub([(0, 2), (2, 4)]), "abcd", [(0, 4)])
    assert labels == [IGNORE, 6]


def test_as_brute_force_finds_it():
    rng = random.Random(0)
    for _ in range(500):
        cuts = sorted(rng.choices(range(31), k=rng.randint(2, 20)))
        offsets = list(zip(cuts, cuts[1:], strict=False))
        edges = sorted(rng.sample(range(31), 2 * rng.randint(1, 3)))
        spans = list(zip(edges[::2], edges[1::2], strict=True))
        # A token of no width counts where it stands strictly inside.
        expected = [
            index > 0 and any(left < end and right > start for start, end in spans)
            for index, (left, right) in enumerate(offsets)
        ]
        if not any(expected):
            with pytest.raises(Unusable, match="nothing to train on"):
                token_labels(Stub(offsets), "x" * 30, spans)
        else:
            assert [label != IGNORE for label in token_labels(Stub(offsets), "x" * 30, spans)[1]] == expected


# --- the border between prompt and answer, on real tokenizers

SPACE_PROMPT = (
    "{% for m in messages %}{{ m.role | upper + ': ' + m.content + (eos_token if m.role == 'assistant' else ' ') }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT: ' }}{% endif %}"
)


@pytest.mark.parametrize(
    ("kind", "first"), [("bytes", "ĠYes"), ("bytes_trimmed", "ĠYes"), ("sentencepiece", "▁Yes")]
)
def test_a_space_of_the_prompt_that_joins_the_answers_first_word_is_trained_with_it(kind, first):
    processor = tokenizer(kind, ("<s>", "</s>"), "<s>", "</s>")
    processor.chat_template = SPACE_PROMPT
    record = row("Is it so?", "Yes, it is.")
    text, ((start, _),) = render(record, processor)
    assert text[:start].endswith("ASSISTANT: ")
    words = trained_words(processor, record)
    assert words[0].startswith(first)  # it holds the prompt's space
    assert words[-1] == "</s>"
    assert "".join(words).translate({ord("Ġ"): " ", ord("▁"): " "}) == " Yes, it is.</s>"


def test_line_feeds_of_prompt_and_answer_that_are_one_token_are_trained():
    processor = FAMILIES["qwen2.5"].tokenizer
    assert trained_words(processor, row("hello", "\nhello")) == ["ĊĊ", "hello", IM[1]]
    assert trained_words(processor, row("hello", "hello\n")) == ["hello", "Ċ", IM[1]]


def test_spaces_that_trimmed_offsets_leave_out_are_trained():
    """Code is indented: those tokens are part of the answer although their offsets say that they hold nothing."""
    processor = FAMILIES["smollm2"].tokenizer
    encoded = processor("hello\n    indented", return_offsets_mapping=True)
    assert any(right - left < len(processor.decode([token])) for token, (left, right) in
               zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))  # fmt: skip
    for answer in ("hello\n    indented", "    indented", "a      b"):
        words = trained_words(processor, row("hello", answer))
        assert "".join(words).replace("Ġ", " ").replace("Ċ", "\n").lstrip("\n") == answer + IM[1]


def test_a_mark_of_the_prompt_that_swallows_the_answers_space_is_not_trained():
    processor = FAMILIES["phi3"].tokenizer
    ids = processor("<|assistant|>\n  hello", add_special_tokens=False, return_offsets_mapping=True)
    assert ids["offset_mapping"][0] == (0, len("<|assistant|>\n  "))
    words = trained_words(processor, row("hello", "  hello"))
    assert "<|assistant|>" not in words
    assert words[-1] == "<|end|>"


def test_characters_that_are_several_tokens_are_trained_whole():
    for name in ("chatml", "vicuna"):
        processor = FAMILIES[name].tokenizer
        words = trained_words(processor, row("hello", "龘🙂"))
        assert len(words) >= 7  # three and four bytes


# --- rows and tokenizers at fault


def test_a_begin_token_that_stands_twice_is_refused():
    processor = FAMILIES["llama3"].tokenizer
    processor.chat_template = "{{ bos_token }}" + processor.chat_template
    with pytest.raises(Unusable, match="the begin token stands twice"):
        trained_words(processor, row("hello", "hello"))


def test_a_begin_token_is_not_added_to_the_templates():
    from tokenizers import processors

    processor = FAMILIES["llama3"].tokenizer
    bos = processor.bos_token
    processor.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, processor.bos_token_id)]
    )
    assert processor("hello")["input_ids"][0] == processor.bos_token_id
    ((ids, _),) = encode([row("hello", "hello")], processor)
    assert ids.count(processor.bos_token_id) == 1
    assert notices(processor) == []
    processor.chat_template = processor.chat_template.replace("{{- bos_token -}}", "")
    (notice,) = notices(processor)
    assert f"leaves out {bos}" in notice


def test_an_end_token_that_is_taken_apart_is_refused():
    """As with `split_special_tokens`: every token of `<|im_end|>` would be trained, and none would stop the model."""
    processor = FAMILIES["chatml"].tokenizer
    processor.split_special_tokens = True
    with pytest.raises(Unusable, match="the end token of an answer is not one token"):
        trained_words(processor, row("hello", "hello"))


def test_an_end_token_that_the_tokenizer_drops_is_refused():
    class Dropping(Stub):
        all_special_tokens = ("</s>",)
        all_special_ids = (2,)

    with pytest.raises(Unusable, match="the end token of an answer is not one token"):
        token_labels(Dropping([(0, 2), (2, 4)]), "abcd</s>", [(2, 8)])
    ids, labels = token_labels(Dropping([(0, 2), (2, 4), (4, 8)], ids=[5, 6, 2]), "abcd</s>", [(2, 8)])
    assert labels == [IGNORE, 6, 2]


# --- thoughts and tools


def test_qwen3_trains_thoughts_of_the_last_answer():
    processor = FAMILIES["qwen3"].tokenizer
    record = row("Is it?", "<think>\nhello\n</think>\n\nYes.")
    text, ((start, end),) = render(record, processor)
    assert text[start:end] == "<think>\nhello\n</think>\n\nYes.<|im_end|>"
    asked = row("Is it?", "<think>\nhello\n</think>\n\nYes.", "And?", "<think>\nfour\n</think>\n\nNo.")
    asked.values["messages"][1]["weight"] = 0
    text, ((start, end),) = render(asked, processor)
    assert text[start:end] == "<think>\nfour\n</think>\n\nNo.<|im_end|>"
    assert "hello" not in text[:start]  # as the model will see it


def test_a_template_whose_prompt_opens_a_thought_is_refused():
    processor = FAMILIES["deepseek-v3"].tokenizer
    processor.chat_template = (TEMPLATES / "deepseek-r1.jinja").read_text(encoding="utf-8")
    with pytest.raises(Unusable, match="some open a thought there"):
        render(row("Is it?", "Yes."), processor)


def test_calls_of_tools_are_trained_and_what_tools_say_is_not():
    processor = FAMILIES["qwen2.5"].tokenizer
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "北京"}'}}
    turns = [
        {"role": "user", "content": "今天天气好吗？"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "good", "tool_call_id": "c1", "name": "weather"},
        {"role": "assistant", "content": "很好。"},
    ]
    text, spans = render(Record("talk.jsonl", 7, {"messages": turns, "tools": tools}), processor)
    assert text == (
        "<|im_start|>system\nYou are a helper.\n\n# Tools\n\n<tools>\n"
        '{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}\n</tools><|im_end|>\n'
        "<|im_start|>user\n今天天气好吗？<|im_end|>\n"
        '<|im_start|>assistant\n<tool_call>\n{"name": "weather", "arguments": {"city": "北京"}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\ngood\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n很好。<|im_end|>\n"
    )
    assert [text[a:b] for a, b in spans] == [
        '\n<tool_call>\n{"name": "weather", "arguments": {"city": "北京"}}\n</tool_call><|im_end|>'.lstrip(
            "\n"
        ),
        "很好。<|im_end|>",
    ]
    direct = processor.apply_chat_template(
        [
            *turns[:1],
            {
                **turns[1],
                "tool_calls": [{**call, "function": {"name": "weather", "arguments": {"city": "北京"}}}],
            },
            *turns[2:],
        ],
        tools=tools,
        tokenize=False,
    )
    assert text == direct
