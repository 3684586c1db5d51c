"""Conversations in, text and the answer's place out: the loss mask by rendering prefixes.

    [user, assistant, user, assistant]  ->  render(...)  ->  text, [(start, end), (start, end)]

What is trained is what the template adds between "everything before this answer, with the generation prompt" and
"everything up to and with this answer": the assistant's words and their end token.  No `{% generation %}` marks
are needed, and a template that rewrites earlier turns is found out.  Transformers renders templates in a sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import fault

IGNORE = -100  # PyTorch's ignore_index
Span = tuple[int, int]


def render(record: Record, processor: Any) -> tuple[str, list[Span]]:
    """The conversation as the model sees it, and the character spans of the assistant's answers to something.

    Raises:
        WeitiaoError: `chat_template` when the tokenizer has none, refuses the turns, or rewrites earlier ones.
    """
    messages: Sequence[Mapping[str, str]] = record.values["messages"]
    spans: list[Span] = []
    whole = _render(record, processor, messages, prompt=False)
    for number, turn in enumerate(messages):
        # An opening turn answers nothing, and templates render no prompt before it.
        if turn["role"] != "assistant" or not number:
            continue
        before = _render(record, processor, messages[:number], prompt=True)
        upto = _render(record, processor, messages[: number + 1], prompt=False)
        if not (upto.startswith(before) and whole.startswith(upto.rstrip())):
            raise fault(
                "chat_template", place=record.place, why=f"it rewrites what stands before turn {number + 1}"
            )
        # What follows the end token (a line feed, in ChatML) belongs to the next turn.
        spans.append((len(before), len(upto.rstrip())))
    return whole, spans


def prompt_text(messages: Sequence[Mapping[str, str]], processor: Any, *, place: str = "the prompt") -> str:
    """Turns up to a question, rendered so that the model answers next; as in training, so in use."""
    return _render(Record(place, 1, {}), processor, messages, prompt=True)


def _render(record: Record, processor: Any, messages: Sequence[Mapping[str, str]], *, prompt: bool) -> str:
    if not processor.chat_template:
        why = "this tokenizer has no chat template"
        raise fault("chat_template", place=record.place, why=why)
    try:
        return processor.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=prompt)
    except Exception as error:  # a template is somebody's program, and may fail in any way
        why = str(error) or type(error).__name__
        raise fault("chat_template", place=record.place, why=why) from None


def token_labels(processor: Any, text: str, spans: Sequence[Span]) -> tuple[list[int], list[int]]:
    """Token ids of the rendered text and, beside each, itself where it is trained and IGNORE where not."""
    encoded = processor(text, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = encoded["input_ids"]
    labels = [IGNORE] * len(ids)
    answers = iter(spans)
    start, end = next(answers, (len(text), len(text)))
    for index, (left, right) in enumerate(encoded["offset_mapping"]):
        while left >= end and end < len(text):
            start, end = next(answers, (len(text), len(text)))
        # A first token has nothing before it to be predicted from.
        if index and start <= left < right <= end:
            labels[index] = ids[index]
    return ids, labels
