"""One label a row, whatever the row is: the label set, the loss, what is said of a row and how it is compared.

    {..., "label": "positive"}  ->  {"label": "positive", "score": 0.98, "scores": {...}}

A task adds how its rows are read: `logits`, `encode`, `collate`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from weitiao.core.contracts import Batch, Categorical, Example, Record, Target, chosen_targets
from weitiao.core.errors import fault
from weitiao.core.function import NAMED
from weitiao.core.section_values import Once
from weitiao.core.why import reason
from weitiao.tasks.parts import label_sets
from weitiao.tasks.parts.losses import Kind, balanced, chosen, refuse_unknown

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weitiao.tasks.parts.losses import RowLosses


@dataclass(frozen=True)
class OneLabel(Categorical):
    """Which of a fixed set of labels does a row carry?"""

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

    predicts: ClassVar[tuple[str, ...]] = ("label", "scores")
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "precision", "recall", "f1")
    loss_metric: ClassVar[str] = "log_loss"
    training_only: ClassVar[tuple[str, ...]] = ("loss_type", "focal_gamma", "class_weights")

    def learn(self, records: Sequence[Record]) -> Self:
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

    def learn_training(self, examples: Sequence[Example], weights: Sequence[float] | None) -> Self:
        """Balanced class weights, from how often the labels come in an epoch."""
        if self.class_weights != "balanced":
            return self
        targets = [example.target for example in examples]
        return replace(self, class_weights=balanced(targets, weights, self.labels))

    def follow(self, outputs: Sequence[str]) -> Self:
        """The base's order, when its outputs are these labels but for case: then its head knows them."""
        return replace(self, labels=label_sets.in_order_of(self.labels, outputs))

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

    def _with_labels(self, records: Sequence[Record]) -> Self:
        counts = Counter(record.values["label"] for record in records)
        if self.labels:
            for record in records:
                label_sets.refuse_unknown(record, [record.values["label"]], self.labels)
            return self
        if len(counts) < 2:
            raise fault("too_few_labels", labels=", ".join(counts) or "-", rows=len(records))
        numbers = [label for label in counts if label_sets.is_number(label)]
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
        return replace(self, labels=label_sets.ordered(counts))

    def model_options(self) -> dict[str, Any]:
        """The size of the head, the names of its outputs, and that one of them is right."""
        return {**label_sets.outputs(self.labels), "problem_type": "single_label_classification"}

    def answer_code(self) -> str:
        """The likeliest label, and how likely each is."""
        return (
            'odds = np.exp(said["logits"] - said["logits"].max())\n'
            'labels = [CONFIG["id2label"][str(place)] for place in range(len(odds))]\n'
            "scores = dict(zip(labels, (odds / odds.sum()).tolist()))\n"
            "label = max(scores, key=scores.get)\n"
            'return {"label": label, "score": scores[label], "scores": scores}'
        )

    def known(self, record: Record) -> tuple[Record, tuple[str, ...]]:
        """Without its label, if that is none of these."""
        label = record.values["label"]
        if label in self._index:
            return record, ()
        return replace(record, values={**record.values, "label": None}), (label,)

    def unknown(self, label: str) -> str:
        """A label that the model does not know."""
        return label_sets.unknown([label], self._index)

    def goal(self, label: str) -> int:
        """The place of the label among the model's outputs."""
        return self._index[label]

    @cached_property
    def _index(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.labels)}

    def stacked(self, targets: Sequence[int]) -> Tensor:
        """Class indices (B,)."""
        import torch

        return torch.tensor(targets)

    def counts(self, targets: Sequence[int]) -> list[float] | None:
        """The weight of the label of each row."""
        return [self._weights[target] for target in targets] if self._weights else None

    def loss(self, model: nn.Module, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """What `loss_type` says, summed over the rows."""
        return self.losses(self.logits(model, batch), batch, label_smoothing=label_smoothing).sum()

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
        probabilities_BL = self.logits(model, batch).double().softmax(-1).tolist()
        found = []
        for row in probabilities_BL:
            scores = dict(zip(self.labels, row, strict=True))
            label = max(scores, key=scores.__getitem__)
            found.append({"label": label, "score": scores[label], "scores": scores})
        return found

    def explains(
        self, record: Record, prediction: Mapping[str, Any], *, asked: Sequence[str] = ()
    ) -> list[Target]:
        """The logit of the predicted label, or of those that are asked for."""
        known = [Target(label, "logit", place) for place, label in enumerate(self.labels)]
        return chosen_targets(known, asked or [prediction["label"]])

    def target_scores(self, model: nn.Module, batch: Batch, target: Target) -> Tensor:
        """The logit of a label (B,)."""
        return self.logits(model, batch)[:, target.of]

    def expected(self, example: Example) -> dict[str, Any]:
        """The true label."""
        return {"label": self.labels[example.target]}
