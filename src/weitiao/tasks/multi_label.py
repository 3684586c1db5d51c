"""Text classification with any number of labels a text, or a pair of texts; none is a number too.

    {"text": "A sad and funny film.", "labels": ["comedy", "drama"]}
        ->  {"labels": ["comedy", "drama"], "scores": {"comedy": 0.81, "drama": 0.64, "horror": 0.02}}

Each label is a question of its own:

    loss of a row   mean over labels l of  - w_l y_l log p_l - (1 - y_l) log (1 - p_l)        p = sigmoid(logits)
    said            the labels with p_l >= threshold_l

`w_l` is the weight of rows that carry the label beside those that do not (`pos_weight`).  A threshold is where F1 of its label is
best on the validation rows (Lipton et al. 2014, arXiv 1402.1892).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Example, Record, Shape, Target, chosen_targets
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.section_values import Once
from weitiao.data.shapes import MULTI_LABELLED
from weitiao.tasks.parts import label_sets, losses
from weitiao.tasks.parts.texts import OfTexts

if TYPE_CHECKING:
    from torch import Tensor, nn

HALF = 0.5
FEWEST = 5
"""Validation rows that must carry a label, and that must not, before a threshold is chosen for it."""


@register("task", "multi_label_classification")
@dataclass(frozen=True)
class MultiLabelClassification(OfTexts):
    """Which of a fixed set of labels does a text carry, be it several or none?"""

    labels: Annotated[tuple[str, ...], Once] = ()
    """The labels, in the order of the model's outputs; default: those in the data, sorted."""
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]] = "none"
    """What a row that carries a label counts for beside one that does not: the same, so much that both kinds count alike among
    the training rows, or as in `{urgent: 3}` (labels left out: 1)."""
    thresholds: dict[str, Annotated[float, Field(gt=0, le=1)]] = field(default_factory=dict)
    """From which probability on a label is said; default, for each: chosen for the best F1 on the validation rows when the
    model is trained, or 0.5 where few of them carry it."""

    summary: ClassVar[str] = "several labels a text, or none (topics, kinds of content)"
    shape: ClassVar[Shape] = MULTI_LABELLED
    predicts: ClassVar[tuple[str, ...]] = ("labels", "scores", "loss", "tokens")
    metrics: ClassVar[tuple[str, ...]] = ("f1_micro", "f1", "f1_samples", "subset_accuracy", "hamming_loss")
    baselines: ClassVar[tuple[str, ...]] = ("tfidf_each", "majority_set")
    settles: ClassVar[bool] = True
    training_only: ClassVar[tuple[str, ...]] = ("class_weights", "thresholds")

    def learn(self, records: Sequence[Record]) -> MultiLabelClassification:
        """The label set of the data, or a check against the one that was given.

        Raises:
            WeitiaoError: `too_few_labels` where all rows carry the same; `unknown_label`; `unknown_class` for a weight or a
                threshold of a label that is none.
        """
        sets = Counter(tuple(sorted(record.values["label"])) for record in records)
        carried = {label for each in sets for label in each}
        if self.labels:
            for record in records:
                label_sets.refuse_unknown(record, record.values["label"], self.labels)
        elif len(sets) < 2:
            raise fault("too_few_labels", labels=", ".join(sorted(carried)) or "-", rows=len(records))
        learnt = self if self.labels else replace(self, labels=label_sets.ordered(carried))
        for named in (learnt.class_weights, learnt.thresholds):
            if isinstance(named, dict):
                losses.refuse_unknown(named, learnt.labels)
        return learnt

    def learn_training(
        self, examples: Sequence[Example], weights: Sequence[float] | None
    ) -> MultiLabelClassification:
        """Balanced class weights: rows without a label / rows with it, as they come in an epoch; 1 where one of them is 0."""
        if self.class_weights != "balanced":
            return self
        marks_NL = self._marks([example.target for example in examples])
        with_L = np.average(marks_NL, axis=0, weights=weights)
        own = np.where((with_L > 0) & (with_L < 1), (1 - with_L) / np.where(with_L > 0, with_L, 1), 1.0)
        return replace(self, class_weights=dict(zip(self.labels, own.tolist(), strict=True)))

    def settle(
        self, examples: Sequence[Example], predictions: Sequence[Mapping[str, Any]]
    ) -> MultiLabelClassification:
        """A threshold for each label that the validation rows know well enough, and that has none."""
        true_NL = self._marks([example.target for example in examples])
        found = {}
        for place, label in enumerate(self.labels):
            true_N = true_NL[:, place] > 0
            if label not in self.thresholds and min(true_N.sum(), (~true_N).sum()) >= FEWEST:
                found[label] = best_threshold(
                    np.array([told["scores"][label] for told in predictions]), true_N
                )
        return replace(self, thresholds={**found, **self.thresholds})

    def restated(self, predictions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The labels whose scores reach its own thresholds."""
        return [{**told, "labels": self._said(told["scores"])} for told in predictions]

    def _said(self, scores: Mapping[str, float]) -> list[str]:
        return [label for label, score in scores.items() if score >= self.thresholds.get(label, HALF)]

    def unsettled(self) -> MultiLabelClassification:
        """With thresholds of 0.5."""
        return replace(self, thresholds={})

    def follow(self, outputs: Sequence[str]) -> MultiLabelClassification:
        """The base's order, when its outputs are these labels but for case: then its head knows them."""
        return replace(self, labels=label_sets.in_order_of(self.labels, outputs))

    def classes(self) -> tuple[str, ...]:
        """The labels."""
        return self.labels

    def model_options(self) -> dict[str, Any]:
        """The size of the head, the names of its outputs, and that any of them may be right."""
        return {**label_sets.outputs(self.labels), "problem_type": "multi_label_classification"}

    def of_logits(self) -> str:
        """Probabilities beside the thresholds."""
        inputs = '**tokenizer("...", return_tensors="pt")'
        from_L = [self.thresholds.get(label, HALF) for label in self.labels]
        return (
            f"thresholds = {from_L!r}\nscores = model({inputs}).logits.sigmoid()[0].tolist()\n"
            "labels = [model.config.id2label[i] for i, score in enumerate(scores) if score >= thresholds[i]]"
        )

    def answer_code(self) -> str:
        """The labels that reach their thresholds, and how likely each is."""
        return (
            'odds = (1 / (1 + np.exp(-said["logits"].astype(float)))).tolist()\n'
            'labels = [CONFIG["id2label"][str(place)] for place in range(len(odds))]\n'
            f"least = {[self.thresholds.get(label, HALF) for label in self.labels]!r}\n"
            "carried = [label for label, score, at in zip(labels, odds, least) if score >= at]\n"
            'return {"labels": carried, "scores": dict(zip(labels, odds))}'
        )

    def known(self, record: Record) -> tuple[Record, tuple[str, ...]]:
        """With those of its labels alone that are among these."""
        carried = record.values["label"]
        strange = tuple(label for label in carried if label not in self._index)
        if not strange:
            return record, ()
        ours = [label for label in carried if label in self._index]
        return replace(record, values={**record.values, "label": ours}), strange

    def unknown(self, label: Sequence[str]) -> str:
        """The first label that the model does not know."""
        return label_sets.unknown(label, self._index)

    def goal(self, label: Sequence[str]) -> Any:
        """The places of the labels among the model's outputs; none where there is none."""
        return np.array(sorted(self._index[each] for each in label), dtype=np.int64)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.labels)}

    def _marks(self, targets: Sequence[Any]) -> Any:
        """1 for each label that a row carries, else 0 (N, L)."""
        marks_NL = np.zeros((len(targets), len(self.labels)), dtype=np.float32)
        for row, places in enumerate(targets):
            marks_NL[row, np.asarray(places, dtype=np.int64)] = 1
        return marks_NL

    def stacked(self, targets: Sequence[Any]) -> Tensor:
        """1 or 0 for each label (B, L)."""
        import torch

        return torch.from_numpy(self._marks(targets))

    @cached_property
    def _weights(self) -> list[float]:
        """Of each label, in order; empty when all count the same."""
        given = self.class_weights
        return [given.get(label, 1.0) for label in self.labels] if isinstance(given, dict) else []

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Binary cross-entropy, summed over the rows."""
        logits_BL = self.logits(model, batch)
        weights_L = logits_BL.new_tensor(self._weights) if self._weights else None
        return _losses(logits_BL, batch.target, weights_L).sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """The labels that are said, and the probability of each; the loss of a row whose labels are known."""
        logits_BL = self.logits(model, batch).double()
        known = [] if batch.target is None else _losses(logits_BL, batch.target.double()).tolist()
        found = []
        for place, row in enumerate(logits_BL.sigmoid().tolist()):
            scores = dict(zip(self.labels, row, strict=True))
            told: dict[str, Any] = {"labels": self._said(scores), "scores": scores}
            found.append(told | ({"loss": known[place], "tokens": 1} if known else {}))
        return found

    def explains(
        self, record: Record, prediction: Mapping[str, Any], *, asked: Sequence[str] = ()
    ) -> list[Target]:
        """The logit of each label that is said, or asked for; of the likeliest one where none is."""
        known = [Target(label, "logit", place) for place, label in enumerate(self.labels)]
        scores = prediction["scores"]
        return chosen_targets(known, asked or prediction["labels"] or [max(scores, key=scores.__getitem__)])

    def target_scores(self, model: nn.Module, batch: Batch, target: Target) -> Tensor:
        """The logit of a label (B,)."""
        return self.logits(model, batch)[:, target.of]

    def reference(self, record: Record) -> dict[str, Any]:
        """Text, or both, and true labels."""
        return {**self.shape.texts(record.values), "labels": list(record.values["label"])}

    def expected(self, example: Example) -> dict[str, Any]:
        """The true labels."""
        return {"labels": [self.labels[place] for place in example.target]}


def _losses(logits_BL: Tensor, target_BL: Tensor, weights_L: Tensor | None = None) -> Tensor:
    """Of each row (B,)."""
    from torch.nn import functional as F

    each_BL = F.binary_cross_entropy_with_logits(logits_BL, target_BL, pos_weight=weights_L, reduction="none")
    return each_BL.mean(-1)


def best_threshold(scores_N: Any, true_N: Any) -> float:
    """Where F1 is best, in the middle between the last score that is said and the first that is not.

    Args:
        scores_N: the probability of a label in each row.
        true_N: whether the row carries it; at least one does.
    """
    order = np.argsort(-scores_N, kind="stable")
    scores, hits = scores_N[order], np.cumsum(true_N[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + true_N.sum())
    # Rows of one score are said together, or not at all.
    f1[:-1][scores[:-1] == scores[1:]] = -1
    last = int(f1.argmax())
    below = scores[last + 1] if last + 1 < len(scores) else 0.0
    return float((scores[last] + below) / 2)
