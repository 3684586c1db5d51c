"""Supervised fine-tuning of a language model on conversations: the loss is on the assistant's words alone.

{"messages": [user, assistant]}  ->  {"loss": 12.3, "tokens": 9}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from weitiao.core.contracts import Example, Record, Shape
from weitiao.core.registry import register
from weitiao.data.shapes import CONVERSATION
from weitiao.tasks.parts import packed
from weitiao.tasks.parts.speaking import Speaking, conversations, last_answer


@register("task", "sft")
@dataclass(frozen=True)
class SupervisedFineTuning(Speaking, packed.PackedTask):
    """Answer as the examples do."""

    answers: Literal["all", "last"] = "all"
    """Train on every answer of a conversation, or on the last one alone (for templates that rewrite earlier turns)."""
    split_special_tokens: bool = True
    """Are special tokens that a text spells (`<|im_end|>`) read as characters?  With `false` they become the tokens."""

    metrics: ClassVar[tuple[str, ...]] = (
        "perplexity",
        "loss",
        "bits_per_byte",
        "exact_match",
        "token_f1",
        "rouge_1",
        "rouge_2",
        "rouge_l",
        "bleu",
        "chrf",
        "length_ratio",
        "distinct_1",
        "distinct_2",
        "self_bleu",
        "repetition",
        "valid_json",
    )
    baselines: ClassVar[tuple[str, ...]] = ("nearest",)
    seeing_class: ClassVar[str] = "AutoModelForImageTextToText"
    summary: ClassVar[str] = "answer as the examples do (chat, instructions)"
    shape: ClassVar[Shape] = CONVERSATION

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Ids and labels of the rendered conversation; the end of a long one is cut."""
        last, plain = self.answers == "last", self.split_special_tokens
        return conversations(records, processor, limit=limit, last_only=last, plain=plain)

    def reference(self, record: Record) -> dict[str, Any]:
        """The turns before the last answer, and that answer."""
        return last_answer(record)
