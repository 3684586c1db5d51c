"""Text classification: one label a text, or a pair of texts.

{"text": "Great film.", "label": "positive"}  ->  {"label": "positive", "score": 0.98, "scores": {...}}
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Categorical, Example, Record, Shape
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.function import NAMED
from weitiao.core.registry import register
from weitiao.core.sections import Once
from weitiao.core.why import reason
from weitiao.data.pack import pad
from weitiao.data.plain import plain
from weitiao.data.shapes import LABELLED
from weitiao.data.tokens import Tokens
from weitiao.tasks.losses import Kind, balanced, chosen, refuse_unknown

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weitiao.tasks.losses import RowLosses

SAMPLE = 4096  # texts tokenised at once


@register("task", "text_classification")
@dataclass(frozen=True)
class TextClassification(Categorical):
    """Which of a fixed set of labels does a text carry?"""

    labels: Annotated[tuple[str, ...], Once] = ()
    """The labels, in the order of the model's outputs; default: those in the data, sorted."""
    loss_type: Kind | Annotated[str, Field(pattern=NAMED)] = "cross_entropy"
    """What is made small: cross_entropy, focal, mse, or a function of your own as `path/to/file.py:name`
    (docs/losses.md)."""
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0
    """How much the focal loss turns away from rows that are already right; 0 is cross-entropy."""
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]] = "none"
    """What rows of each label count for in the loss: the same, inversely to how often the label comes among the
    training rows, or as in `{urgent: 3}` (labels left out: 1)."""
    split_special_tokens: bool = True
    """Are special tokens that a text spells (`</s>`) read as characters?  With `false` they become the tokens."""

    summary: ClassVar[str] = "one label a text (sentiment, topic, intent)"
    shape: ClassVar[Shape] = LABELLED
    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    peft_task_type: ClassVar[str] = "SEQ_CLS"
    predicts: ClassVar[tuple[str, ...]] = ("label", "scores")
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "precision", "recall", "f1")
    loss_metric: ClassVar[str] = "log_loss"
    baselines: ClassVar[tuple[str, ...]] = ("tfidf", "majority")
    splits: ClassVar[bool] = True
    training_only: ClassVar[tuple[str, ...]] = ("loss_type", "focal_gamma", "class_weights")

    def learn(self, records: Sequence[Record]) -> TextClassification:
        """The label set of the data, or a check against the one that was given.

        Raises:
            WeitiaoError: `too_few_labels`, `mixed_labels` (numbers beside words), `unknown_label`; `unknown_class`
                for a weight of a label that is none; `no_such_function`.
        """
        self._losses  # noqa: B018 - a function that is not there is told before the model is loaded
        learnt = self._with_labels(records)
        if isinstance(learnt.class_weights, dict):
            refuse_unknown(learnt.class_weights, learnt.labels)
        return learnt

    def learn_training(
        self, examples: Sequence[Example], weights: Sequence[float] | None
    ) -> TextClassification:
        """Balanced class weights, from how often the labels come in an epoch."""
        if self.class_weights != "balanced":
            return self
        targets = [example.target for example in examples]
        return replace(self, class_weights=balanced(targets, weights, self.labels))

    def follow(self, outputs: Sequence[str]) -> TextClassification:
        """The base's order, when its outputs are these labels but for case: then its head knows them."""
        ours, order = (
            {label.casefold(): label for label in self.labels},
            [name.casefold() for name in outputs],
        )
        if len(ours) < len(self.labels) or sorted(ours) != sorted(order):
            return self
        return replace(self, labels=tuple(ours[name] for name in order))

    def refuses(self, key: str) -> str:
        """What has no meaning beside the loss that was chosen."""
        if key == "label_smoothing_factor" and self.loss_type not in ("cross_entropy", "mse"):
            return reason("no_spread_target", loss=self.loss_type)
        if key == "r_drop_alpha" and self.loss_type == "mse":
            return reason("no_log_probabilities")
        return ""

    def classes(self) -> tuple[str, ...]:
        """The labels."""
        return self.labels

    def _with_labels(self, records: Sequence[Record]) -> TextClassification:
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
        """The size of the head, the names of its outputs, and that one of them is right."""
        names = dict(enumerate(self.labels))
        options = {"num_labels": len(names), "id2label": names, "label2id": {v: k for k, v in names.items()}}
        return {**options, "problem_type": "single_label_classification"}

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Token ids with the model's special tokens; the end of a long text (of the longer, in a pair) is cut."""
        index = {label: i for i, label in enumerate(self.labels)}
        records, paired, tokens = iter(records), None, Tokens(processor, plain=self.split_special_tokens)
        read = self._reader(processor)
        while part := list(islice(records, SAMPLE)):
            for record, inputs in zip(part, _encoded(part, read, tokens), strict=True):
                paired = paired if paired is not None else "text_pair" in record.values
                if paired != ("text_pair" in record.values):
                    yield Example({}, refused=reason("first_is_pair" if paired else "first_is_one"))
                    continue
                label = record.values.get("label")
                target = None if label is None else index[label]
                length = len(inputs["input_ids"])
                lost = max(0, length - limit)
                if lost and limit <= processor.num_special_tokens_to_add(pair=paired):
                    yield Example({}, refused=reason("no_word_left", length=length, limit=limit))
                    continue
                if lost and not paired and (short := tokens.cut(inputs["input_ids"], limit)):
                    inputs = {"input_ids": short}
                elif lost:  # the tokenizer knows what of a pair goes first
                    cut = read(*_texts(record), truncation=True, max_length=limit)
                    inputs = {name: cut[name] for name in inputs}
                yield Example(inputs, target=target, tokens_lost=lost)

    def windows(self, record: Record, whole: Example, processor: Any, *, limit: int) -> list[Example]:
        """The text in consecutive pieces, each with the label; of a pair it is the second that goes on, beside the
        whole of the first.  Empty when the first leaves no room.
        """
        texts, read = _texts(record), self._reader(processor)
        cut = "longest_first" if len(texts) == 1 else "only_second"
        room = limit - processor.num_special_tokens_to_add(pair=len(texts) == 2)
        if (
            len(texts) == 2
            and len(read(texts[0], add_special_tokens=False, verbose=False)["input_ids"]) >= room
        ):
            return []
        found = read(*texts, truncation=cut, max_length=limit, return_overflowing_tokens=True)
        names = (
            ["input_ids", "token_type_ids"]
            if len(texts) == 2 and "token_type_ids" in found
            else ["input_ids"]
        )
        target = self.labels.index(record.values["label"])
        return [
            Example(dict(zip(names, piece, strict=True)), target=target)
            for piece in zip(*(found[name] for name in names), strict=True)
        ]

    def _reader(self, processor: Any) -> Any:
        return plain(processor) if self.split_special_tokens else processor

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Right-padded ids (B, T), attention mask (B, T), class indices (B,)."""
        import torch

        inputs = {
            name: pad(
                [example.inputs[name] for example in examples],
                (processor.pad_token_id or 0) if name == "input_ids" else 0,
            )
            for name in examples[0].inputs
        }
        inputs["attention_mask"] = pad([np.ones(len(example), dtype=np.int64) for example in examples], 0)
        known = all(example.target is not None for example in examples)
        target_B = torch.tensor([example.target for example in examples]) if known else None
        weights = [self._weights[example.target] for example in examples] if known and self._weights else None
        tokens = sum(map(len, examples))
        return Batch(
            inputs,
            target_B,
            trained=len(examples) if weights is None else sum(weights),
            rows=list(rows),
            tokens=tokens,
            padding=inputs["input_ids"].numel() - tokens,
            weights=None if weights is None else torch.tensor(weights),
        )

    def loss(self, model: nn.Module, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """What `loss_type` says, summed over the rows."""
        return self.losses(self.logits(model, batch), batch, label_smoothing=label_smoothing).sum()

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """Scores (B, L)."""
        return model(**batch.inputs).logits.float()  # type: ignore[no-any-return]

    def losses(self, logits_NC: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Of each row (B,), times the weight of its label."""
        weights_L = logits_NC.new_tensor(self._weights) if self._weights else None
        return self._losses(logits_NC, batch.target, weights_L, label_smoothing)

    @cached_property
    def _losses(self) -> RowLosses:
        return chosen(self.loss_type, focal_gamma=self.focal_gamma)

    @cached_property
    def _weights(self) -> list[float]:
        """Of each label, in order; empty when all count the same."""
        given = self.class_weights
        return [given.get(label, 1.0) for label in self.labels] if isinstance(given, dict) else []

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Label, its probability, and all probabilities by label."""
        probabilities_BL = model(**batch.inputs).logits.double().softmax(-1).tolist()
        found = []
        for row in probabilities_BL:
            scores = dict(zip(self.labels, row, strict=True))
            label = max(scores, key=scores.__getitem__)
            found.append({"label": label, "score": scores[label], "scores": scores})
        return found

    def reference(self, record: Record) -> dict[str, Any]:
        """Text, or both, and true label."""
        return {**self.shape.texts(record.values), "label": record.values["label"]}

    def expected(self, example: Example) -> dict[str, Any]:
        """The true label."""
        return {"label": self.labels[example.target]}

    def record(self, text: str) -> dict[str, Any]:
        """The columns of an unlabelled text."""
        return {"text": text, "label": None}


def _encoded(records: Sequence[Record], read: Any, tokens: Tokens) -> list[dict[str, list[int]]]:
    """Whatever the tokenizer gives for texts of any length, at once; token types only where there are two."""
    texts = [_texts(record) for record in records]
    paired = all(len(text) == 2 for text in texts)
    if not paired and any(len(text) == 2 for text in texts):
        return [found for record in records for found in _encoded([record], read, tokens)]
    if not paired:
        return [{"input_ids": ids} for ids in tokens.whole([text for (text,) in texts])]
    options = {"truncation": False, "verbose": False, "return_attention_mask": False}
    found = read([list(text) for text in texts], **options)
    return [{name: found[name][place] for name in found} for place in range(len(texts))]


def _texts(record: Record) -> tuple[str, ...]:
    texts = record.values
    return (texts["text"], texts["text_pair"]) if "text_pair" in texts else (texts["text"],)


def _is_number(label: str) -> bool:
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False
