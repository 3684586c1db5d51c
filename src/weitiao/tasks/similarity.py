"""Similarity: how alike two texts are, as the cosine of their vectors; learnt from pairs with a number.

    {"sentence1": "A dog runs.", "sentence2": "A dog is running.", "score": 4.8}  ->  {"number": 0.91}

    cosent   log(1 + sum over pairs i, j with score_i > score_j of exp(s (cos_j - cos_i)))       Su 2022, kexue.fm/archives/8847
    cosine   (cos - score)^2

CoSENT looks at the order of the scores alone, so any numbers do; for `cosine` they must be cosines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from weitiao.core.contracts import Batch, Example, Record, Shape, Target, chosen_targets
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.data.shapes import SCORED_PAIR
from weitiao.tasks.parts.vectors import OfVectors, unit

if TYPE_CHECKING:
    from torch import Tensor, nn


@register("task", "similarity")
@dataclass(frozen=True)
class Similarity(OfVectors):
    """How alike are two texts?"""

    loss_type: Literal["cosent", "cosine"] = "cosent"
    """What is made small: `cosent` (pairs with a higher score shall have the higher cosine) or `cosine` (the squared
    difference of cosine and score; scores from -1 to 1)."""
    scale: Annotated[float, Field(gt=0)] = 20.0
    """What differences of cosines are multiplied by (`cosent`): 1 / temperature."""

    summary: ClassVar[str] = "how alike two texts are, by their vectors (pairs with a score)"
    shape: ClassVar[Shape] = SCORED_PAIR
    predicts: ClassVar[tuple[str, ...]] = ("number", "loss", "tokens")
    metrics: ClassVar[tuple[str, ...]] = ("spearman", "pearson")
    baselines: ClassVar[tuple[str, ...]] = ("shared_words",)
    training_only: ClassVar[tuple[str, ...]] = ("loss_type", "scale", "matryoshka_dims", "mini_batch_size")

    def learn(self, records: Sequence[Record]) -> Similarity:
        """Nothing; for `cosine` a look at the scores.

        Raises:
            WeitiaoError: `scores_no_cosines`; `constant_target` where all are equal.
        """
        scores = [record.values["score"] for record in records]
        if scores and min(scores) == max(scores):
            raise fault("constant_target", number=f"{scores[0]:g}", rows=len(scores))
        if self.loss_type == "cosine" and scores and not -1 <= min(scores) <= max(scores) <= 1:
            raise fault("scores_no_cosines", low=f"{min(scores):g}", high=f"{max(scores):g}")
        return self

    def sides(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Both texts, read alike."""
        return [(self.query_prefix or "", values[name]) for name in ("sentence1", "sentence2")]

    def goal(self, values: Mapping[str, Any]) -> float | None:
        """The score."""
        return values.get("score")

    def contrast(self, vectors_KD: Tensor, batch: Batch) -> Tensor:
        """What `loss_type` says; CoSENT's one number counts for each row, so that a step is divided by its rows."""
        cosines_B = (vectors_KD[::2] * vectors_KD[1::2]).sum(-1)
        if self.loss_type == "cosine":
            return (cosines_B - batch.target).square().sum()
        return _cosent(cosines_B, batch.target, self.scale) * len(cosines_B)

    def together(
        self, predictions: Sequence[dict[str, Any]], examples: Sequence[Example]
    ) -> list[dict[str, Any]]:
        """The cosine of each row, and where all scores are known the loss of all rows together, each with its share."""
        import torch

        cosines = [
            float((each[0] * each[1]).sum()) for each in (unit(told["vectors"]) for told in predictions)
        ]
        told: list[dict[str, Any]] = [{"number": cosine} for cosine in cosines]
        scores = [example.target for example in examples]
        if None in scores or not scores:
            return told
        if self.loss_type == "cosine":
            losses = [(cosine - score) ** 2 for cosine, score in zip(cosines, scores, strict=True)]
        else:
            cosines_N, scores_N = (torch.tensor(each, dtype=torch.float64) for each in (cosines, scores))
            losses = [_cosent(cosines_N, scores_N, self.scale).item()] * len(cosines)
        return [{**one, "loss": loss, "tokens": 1} for one, loss in zip(told, losses, strict=True)]

    def explains(
        self, record: Record, prediction: Mapping[str, Any], *, asked: Sequence[str] = ()
    ) -> list[Target]:
        """The cosine."""
        return chosen_targets([Target("number", "number")], asked)

    def target_scores(self, model: nn.Module, batch: Batch, target: Target) -> Tensor:
        """The cosine of each row (B,)."""
        from torch.nn import functional as F

        vectors_KD = F.normalize(self.vectors(model, batch), dim=-1)
        return (vectors_KD[::2] * vectors_KD[1::2]).sum(-1)

    def reference(self, record: Record) -> dict[str, Any]:
        """Both texts and the true score."""
        return {**self.shape.texts(record.values), "number": record.values["score"]}

    def expected(self, example: Example) -> dict[str, Any]:
        """The true score."""
        return {"number": example.target}

    def record(self, text: str) -> dict[str, Any]:
        """A text has no likeness alone: a row asks with two."""
        return {"sentence1": text, "sentence2": text, "score": None}


def _cosent(cosines_B: Tensor, scores_B: Tensor, scale: float) -> Tensor:
    """log(1 + sum of exp) over all pairs of rows whose scores differ, row by row of pairs where rows are many."""
    import torch

    zero = cosines_B.new_zeros(1)
    parts = [zero]
    step = max(1, (1 << 22) // len(cosines_B))
    for start in range(0, len(cosines_B), step):
        here = slice(start, start + step)
        apart_PB = scale * (cosines_B - cosines_B[here, None])
        apart_PB = apart_PB.masked_fill(scores_B[here, None] <= scores_B, -torch.inf)
        parts.append(torch.logsumexp(apart_PB.flatten(), 0, keepdim=True))
    return torch.logsumexp(torch.cat(parts), 0)
