"""A task that is talked with: prompts are turns, written by the chat template, and an answer is one turn more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from weitiao.core.contracts import Record
from weitiao.data import chat
from weitiao.tasks.parts.packed import Writing


class Speaking(Writing):
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
