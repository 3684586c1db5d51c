"""Supervised fine-tuning of a language model on conversations: the loss is on the assistant's words alone.

    {"messages": [user, assistant]}  ->  {"loss": 12.3, "tokens": 9}

Rows lie end to end in one sequence without padding; positions that start again at 0 keep attention inside each
row (`models.attention`; Transformers' own attention derives a mask from them), and logits are computed at the
answers' positions only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from weitiao.core.contracts import Batch, Example, Record, Task
from weitiao.core.registry import register
from weitiao.data import chat
from weitiao.data.chat import IGNORE

if TYPE_CHECKING:
    from torch import Tensor, nn


@register("task", "sft")
@dataclass(frozen=True)
class SupervisedFineTuning(Task):
    """Answer as the examples do."""

    answers: Literal["all", "last"] = "all"
    """Train on every answer of a conversation, or on the last one alone (for templates that rewrite earlier turns)."""

    summary: ClassVar[str] = "answer as the examples do (chat, instructions)"
    formats: ClassVar[tuple[str, ...]] = ("messages", "prompt_completion", "alpaca")
    columns: ClassVar[Mapping[str, str]] = {"messages": "the turns of a conversation"}
    auto_class: ClassVar[str] = "AutoModelForCausalLM"
    peft_task_type: ClassVar[str] = "CAUSAL_LM"
    judge: ClassVar[str] = "likelihood"
    measures: ClassVar[tuple[str, ...]] = ("loss", "perplexity")
    primary: ClassVar[str] = "perplexity"
    higher_is_better: ClassVar[bool] = False
    packs: ClassVar[bool] = True
    generates: ClassVar[bool] = True

    def key(self, record: Record) -> str:
        """All turns: rows that ask alike and answer otherwise are different rows."""
        return "\n".join(f"{turn['role']}: {turn['content']}" for turn in record.values["messages"])

    def group(self, record: Record) -> str:
        """What is asked first: rows that ask the same stay on one side of the split."""
        turns = record.values["messages"]
        return next((turn["content"] for turn in turns if turn["role"] == "user"), self.key(record))

    def faults(self, record: Record) -> str:
        """There must be an answer, and no turn may be empty."""
        turns = record.values["messages"]
        if not any(turn["role"] == "assistant" for turn in turns):
            return "there is no assistant turn to learn from"
        for number, turn in enumerate(turns, start=1):
            if not turn["content"].strip():
                return f"turn {number} ({turn['role']}) is empty"
        return ""

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Ids and labels of the rendered conversation; the end of a long one is cut.

        The iterator raises `Unusable` in the place of a row that cannot be used, and can be asked on after that.
        """

        def example(row: tuple[list[int], list[int]]) -> Example:
            ids, labels = row
            lost = labels[limit:]
            ids, labels = ids[:limit], labels[:limit]
            return Example(
                {"input_ids": ids, "labels": labels},
                trained=sum(label != IGNORE for label in labels),
                tokens_lost=len(lost),
                trained_lost=sum(label != IGNORE for label in lost),
            )

        return map(example, chat.encode(records, processor, last_only=self.answers == "last"))

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """The rows end to end: ids (1, T), positions (1, T); targets (N,) and where they are predicted from (N,)."""
        import torch

        ids: list[int] = []
        positions: list[int] = []
        keep: list[int] = []
        targets: list[int] = []
        owner: list[int] = []
        for number, example in enumerate(examples):
            start = len(ids)
            ids += example.inputs["input_ids"]
            positions += range(len(example))
            for offset, label in enumerate(example.inputs["labels"]):
                if label != IGNORE:
                    keep.append(start + offset - 1)
                    targets.append(label)
                    owner.append(number)
        bounds = list(accumulate(map(len, examples), initial=0))
        inputs = {
            # The names under which Transformers hands bounds of packed rows on to attention.
            "cu_seq_lens_q": torch.tensor(bounds),
            "input_ids": torch.tensor([ids]),
            "position_ids": torch.tensor([positions]),
            "logits_to_keep": torch.tensor(keep),
        }
        extra = {"owner": torch.tensor(owner), "rows": len(examples)}
        return Batch(
            inputs, torch.tensor(targets), len(targets), list(rows), tokens=len(ids), padding=0, extra=extra
        )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy, summed over the trained tokens."""
        return _token_losses(model, batch).sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Summed loss and number of trained tokens of each row."""
        import torch

        losses_N = _token_losses(model, batch).double()
        owner_N = batch.extra["owner"].to(losses_N.device)
        sums_B = torch.zeros(batch.extra["rows"], dtype=torch.float64, device=losses_N.device)
        sums_B.index_add_(0, owner_N, losses_N)
        counts_B = torch.bincount(owner_N, minlength=batch.extra["rows"])
        return [{"loss": a, "tokens": b} for a, b in zip(sums_B.tolist(), counts_B.tolist(), strict=True)]

    def measure(
        self, predictions: Sequence[Mapping[str, Any]], examples: Sequence[Example]
    ) -> dict[str, float]:
        """Loss per trained token and its exponential."""
        loss = sum(p["loss"] for p in predictions) / sum(p["tokens"] for p in predictions)
        return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}  # exp(710) overflows

    def reference(self, record: Record) -> dict[str, Any]:
        """The turns before the last answer, and that answer."""
        turns = list(record.values["messages"])
        last = max(i for i, turn in enumerate(turns) if turn["role"] == "assistant")
        return {"prompt": turns[:last], "reference": turns[last]["content"]}


def _token_losses(model: nn.Module, batch: Batch) -> Tensor:
    from torch.nn import functional as F

    # No cache: it would make Transformers skip the packed mask, and nothing is generated here.
    logits_NV = model(**batch.inputs, use_cache=False).logits[0].float()
    return F.cross_entropy(logits_NV, batch.target, reduction="none")
