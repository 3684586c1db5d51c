"""Text classification: one label a text.

{"text": "Great film.", "label": "positive"}  ->  {"label": "positive", "score": 0.98, "scores": {...}}
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.core.contracts import Batch, Example, Record, Task
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.registry import register
from weitiao.data.pack import pad

if TYPE_CHECKING:
    from torch import Tensor, nn

SAMPLE = 4096  # texts tokenised at once


@register("task", "text_classification")
@dataclass(frozen=True)
class TextClassification(Task):
    """Which of a fixed set of labels does a text carry?"""

    labels: tuple[str, ...] = ()
    """The labels, in the order of the model's outputs; default: those in the data, sorted."""

    summary: ClassVar[str] = "one label a text (sentiment, topic, intent)"
    formats: ClassVar[tuple[str, ...]] = ("table",)
    columns: ClassVar[Mapping[str, str]] = {"text": "the text", "label": "its label"}
    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    peft_task_type: ClassVar[str] = "SEQ_CLS"
    judge: ClassVar[str] = "labels"
    measures: ClassVar[tuple[str, ...]] = ("loss", "accuracy")
    primary: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True

    def faults(self, record: Record) -> str:
        """A text and a label are needed."""
        text, label = record.values["text"], record.values["label"]
        if not isinstance(text, str):
            return f"the text is {'missing' if text is None else f'a {type(text).__name__}'}"
        if not text.strip():
            return "the text is empty"
        return "the label is missing" if label is None else ""

    def stratum(self, record: Record) -> str:
        """The label."""
        return record.values["label"]

    def learn(self, records: Sequence[Record]) -> TextClassification:
        """The label set of the data, or a check against the one that was given.

        Raises:
            WeitiaoError: `too_few_labels`, `mixed_labels` (numbers beside words), `unknown_label`.
        """
        counts = Counter(record.values["label"] for record in records)
        if self.labels:
            self._refuse_unknown(records)
            return self
        if len(counts) < 2:
            raise fault("too_few_labels", labels=", ".join(counts) or "-", rows=len(records))
        numbers = [label for label in counts if _is_number(label)]
        if 0 < len(numbers) < len(counts):
            rarer = (
                set(numbers)
                if sum(map(counts.__getitem__, numbers)) * 2 < len(records)
                else set(counts) - set(numbers)
            )
            place = next(record.place for record in records if record.values["label"] in rarer)
            words = [label for label in counts if label not in numbers]
            raise fault(
                "mixed_labels", numbers=", ".join(numbers[:5]), words=", ".join(words[:5]), place=place
            )
        # Numbers in their own order (2 before 10), words by code point.
        order = sorted(counts, key=float) if numbers else sorted(counts)
        return replace(self, labels=tuple(order))

    def _refuse_unknown(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.values["label"] not in self.labels:
                label = record.values["label"]
                hint, known = did_you_mean(label, self.labels), ", ".join(self.labels)
                raise fault("unknown_label", place=record.place, label=label, known=known, hint=hint)

    def model_options(self) -> dict[str, Any]:
        """The size of the head and the names of its outputs."""
        names = dict(enumerate(self.labels))
        return {"num_labels": len(names), "id2label": names, "label2id": {v: k for k, v in names.items()}}

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Token ids with the model's special tokens; the end of a long text is cut."""
        index = {label: i for i, label in enumerate(self.labels)}
        records = list(records)
        for start in range(0, len(records), SAMPLE):
            part = records[start : start + SAMPLE]
            texts = [record.values["text"] for record in part]
            encoded = processor(texts, truncation=False, verbose=False)["input_ids"]
            for record, ids in zip(part, encoded, strict=True):
                label = record.values.get("label")
                target = None if label is None else index[label]
                lost = max(0, len(ids) - limit)
                if lost:  # the tokenizer knows which special tokens must stay
                    ids = processor(record.values["text"], truncation=True, max_length=limit)["input_ids"]
                yield Example({"input_ids": ids}, target=target, tokens_lost=lost)

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Right-padded ids (B, T), attention mask (B, T), class indices (B,)."""
        import torch

        sequences = [example.inputs["input_ids"] for example in examples]
        ids_BT = pad(sequences, processor.pad_token_id or 0)
        mask_BT = pad([[1] * len(sequence) for sequence in sequences], 0)
        known = all(example.target is not None for example in examples)
        target_B = torch.tensor([example.target for example in examples]) if known else None
        tokens = sum(map(len, sequences))
        return Batch(
            {"input_ids": ids_BT, "attention_mask": mask_BT},
            target_B,
            trained=len(examples),
            rows=list(rows),
            tokens=tokens,
            padding=ids_BT.numel() - tokens,
        )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy, summed over the rows."""
        from torch.nn import functional as F

        logits_BL = model(**batch.inputs).logits.float()
        return F.cross_entropy(logits_BL, batch.target, reduction="sum")

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Label, its probability, and all probabilities by label."""
        probabilities_BL = model(**batch.inputs).logits.double().softmax(-1).tolist()
        found = []
        for row in probabilities_BL:
            scores = dict(zip(self.labels, row, strict=True))
            label = max(scores, key=scores.__getitem__)
            found.append({"label": label, "score": scores[label], "scores": scores})
        return found

    def measure(
        self, predictions: Sequence[Mapping[str, Any]], examples: Sequence[Example]
    ) -> dict[str, float]:
        """Mean cross-entropy and accuracy."""
        truth = [self.labels[example.target] for example in examples]
        tiny = 5e-324  # a probability that rounds to zero still has a finite logarithm
        pairs = list(zip(predictions, truth, strict=True))
        return {
            "loss": sum(-math.log(max(p["scores"][t], tiny)) for p, t in pairs) / len(pairs),
            "accuracy": sum(p["label"] == t for p, t in pairs) / len(pairs),
        }

    def reference(self, record: Record) -> dict[str, Any]:
        """Text and true label."""
        return {"text": record.values["text"], "label": record.values["label"]}

    def record(self, text: str) -> dict[str, Any]:
        """The columns of an unlabelled text."""
        return {"text": text, "label": None}


def _is_number(label: str) -> bool:
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False
