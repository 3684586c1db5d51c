"""A task that is talked with: prompts are turns, written by the chat template, and an answer is one turn more.

Speaking                        what tasks of conversations share in use
conversations(records, ...)     ids and labels of those that hold their answers
last_answer(record)             what is compared with what is said
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from weitiao.core.contracts import Example, Record
from weitiao.data import chat
from weitiao.data.chat import seeing
from weitiao.data.formats import Unusable
from weitiao.tasks.parts import packed


class Speaking(packed.Writing):
    """What tasks of conversations share in use; what they learn is their own."""

    split_special_tokens: bool
    """Are special tokens that a text spells read as characters?"""

    def opening(self, turns: Sequence[Mapping[str, Any]], processor: Any, *, tools: Any = None) -> list[int]:
        """By the chat template, up to where the answer begins."""
        return chat.prompt_ids(turns, processor, tools=tools, plain=self.split_special_tokens)

    def answered(self, record: Record, answer: str) -> tuple[Record, str, int]:
        """The turns, and the answer as one more."""
        turns = [*record.values["messages"], {"role": "assistant", "content": answer}]
        values = {**record.values, "messages": turns}
        return replace(record, values=values), f"messages.{len(turns) - 1}.content", 0

    def ends(self, processor: Any) -> list[int]:
        """What the chat template writes behind an answer."""
        return chat.ends(processor)


def conversations(
    records: Iterable[Record], processor: Any, *, limit: int, last_only: bool, plain: bool
) -> Iterator[Example]:
    """Ids and labels of each conversation; the end of a long one is cut.

    Args:
        records: rows with `messages`.
        processor: a tokenizer with a chat template.
        limit: tokens of a row, at most.
        last_only: is the last answer alone learnt?
        plain: are special tokens that a text spells read as characters?
    """
    if isinstance(processor, chat.Seeing):
        yield from _that_show(records, processor, limit=limit, last_only=last_only, plain=plain)
        return
    rendered = chat.encode(records, processor, last_only=last_only, plain=plain)
    while True:
        try:
            yield packed.cut(*next(rendered), limit=limit)
        except StopIteration:
            return
        except Unusable as error:  # this row; the next ones can still be asked for
            yield Example({}, refused=str(error))


def _that_show(
    records: Iterable[Record], processor: chat.Seeing, *, limit: int, last_only: bool, plain: bool
) -> Iterator[Example]:
    """The same for a base that reads pictures: an example also holds where they lie."""
    for row in chat.encode_shown(records, processor, last_only=last_only, plain=plain):
        if isinstance(row, Unusable):
            yield Example({}, refused=str(row))
            continue
        room, kept = seeing.cut(row, limit=limit)
        example = packed.cut(row.ids, row.labels, limit=room)
        ids = example.inputs["input_ids"]
        pictures = {seeing.PICTURES: seeing.as_array(kept)}
        yield replace(example, inputs={**example.inputs, **processor.kinds(ids), **pictures})


def last_answer(record: Record) -> dict[str, Any]:
    """The turns before the last answer of a conversation, and that answer."""
    turns = list(record.values["messages"])
    last = max(i for i, turn in enumerate(turns) if turn["role"] == "assistant")
    return {"prompt": turns[:last], "reference": turns[last]["content"]}
