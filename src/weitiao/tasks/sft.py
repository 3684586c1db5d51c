"""Supervised fine-tuning of a language model on conversations: the loss is on the assistant's words alone.

{"messages": [user, assistant]}  ->  {"loss": 12.3, "tokens": 9}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from weitiao.core.contracts import Batch, Example, Record, Shape, Task
from weitiao.core.registry import register
from weitiao.data import chat
from weitiao.data.formats import Unusable
from weitiao.data.shapes import CONVERSATION
from weitiao.tasks import packed

if TYPE_CHECKING:
    from torch import Tensor, nn


@register("task", "sft")
@dataclass(frozen=True)
class SupervisedFineTuning(Task):
    """Answer as the examples do."""

    answers: Literal["all", "last"] = "all"
    """Train on every answer of a conversation, or on the last one alone (for templates that rewrite earlier turns)."""

    summary: ClassVar[str] = "answer as the examples do (chat, instructions)"
    shape: ClassVar[Shape] = CONVERSATION
    auto_class: ClassVar[str] = "AutoModelForCausalLM"
    peft_task_type: ClassVar[str] = "CAUSAL_LM"
    judge: ClassVar[str] = "likelihood"
    measures: ClassVar[tuple[str, ...]] = ("loss", "perplexity")
    primary: ClassVar[str] = "perplexity"
    higher_is_better: ClassVar[bool] = False
    packs: ClassVar[bool] = True
    splits: ClassVar[bool] = True
    generates: ClassVar[bool] = True

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Ids and labels of the rendered conversation; the end of a long one is cut."""
        rendered = chat.encode(records, processor, last_only=self.answers == "last")
        while True:
            try:
                yield packed.cut(*next(rendered), limit=limit)
            except StopIteration:
                return
            except Unusable as error:  # this row; the next ones can still be asked for
                yield Example({}, refused=str(error))

    def windows(self, record: Record, whole: Example, processor: Any, *, limit: int) -> list[Example]:
        """The conversation in consecutive pieces."""
        return packed.windows(whole.inputs["input_ids"], whole.inputs["labels"], limit=limit)

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """The rows end to end (`packed.collate`)."""
        return packed.collate(examples, rows)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy, summed over the trained tokens."""
        return packed.token_losses(model, batch).sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Summed loss and number of trained tokens of each row."""
        return packed.row_losses(model, batch)

    def measure(
        self, predictions: Sequence[Mapping[str, Any]], examples: Sequence[Example]
    ) -> dict[str, float]:
        """Loss per trained token and its exponential."""
        return packed.likelihood(predictions)

    def opening(self, turns: Sequence[Mapping[str, Any]], processor: Any) -> str:
        """By the chat template, up to where the answer begins."""
        return chat.prompt_text(turns, processor)

    def reference(self, record: Record) -> dict[str, Any]:
        """The turns before the last answer, and that answer."""
        turns = list(record.values["messages"])
        last = max(i for i, turn in enumerate(turns) if turn["role"] == "assistant")
        return {"prompt": turns[:last], "reference": turns[last]["content"]}
