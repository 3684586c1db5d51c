"""Embedding: one vector a text, near to those of the texts that belong to it (search, questions and answers).

    {"anchor": "reset password", "positive": "Click on ..."}  ->  {"vector": [0.03, -0.11, ...]}

    info_nce     -log( exp(s cos(a_i, p_i)) / sum over candidates c of exp(s cos(a_i, c)) )      van den Oord et al. 2018,
                 arXiv 1807.03748; candidates are all positives and negatives of the batch, s is `scale` = 1 / temperature
    symmetric    half of it, and half of the same from positives to anchors

A candidate that is known to be right for a row is no negative of it: its own positive's text in another row, and what
any row of the batch with the same anchor names as its positive.  Nothing else is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Example, Record, Shape, Target
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.data.passages import gathered
from weitiao.data.shapes import PAIR
from weitiao.tasks.parts.apart import TEXTS, split
from weitiao.tasks.parts.sentence_files import Told
from weitiao.tasks.parts.vectors import OfVectors, unit

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 1 << 24
"""Similarities that are in memory at once."""


@register("task", "embedding")
@dataclass(frozen=True)
class Embedding(OfVectors):
    """Which texts belong together?"""

    passage_prefix: str | None = None
    """What stands before every text that is to be found, such as `passage: ` (e5).  Default: the prompt that the base names
    (`config_sentence_transformers.json`), else nothing."""
    scale: Annotated[float, Field(gt=0)] = 20.0
    """What cosines are multiplied by before they are compared: 1 / temperature."""
    symmetric: bool = False
    """Learn the way back, too: from a text to what asks for it."""

    summary: ClassVar[str] = "a vector a text, for search (questions and answers, queries and passages)"
    shape: ClassVar[Shape] = PAIR
    predicts: ClassVar[tuple[str, ...]] = ("ranks", "loss", "tokens")
    metrics: ClassVar[tuple[str, ...]] = ("ndcg_at_10", "recall_at_1", "recall_at_5", "recall_at_10", "mrr")
    retrieves: ClassVar[bool] = True
    baselines: ClassVar[tuple[str, ...]] = ("bm25",)
    training_only: ClassVar[tuple[str, ...]] = ("scale", "symmetric", "matryoshka_dims", "mini_batch_size")

    def prompts(self) -> dict[str, str]:
        """Of each side its own."""
        return {"query": self.query_prefix or "", "document": self.passage_prefix or ""}

    def own_prefixes(self, told: Told) -> dict[str, str]:
        """Of each side its own, under the names that sentence-transformers looks for."""
        return {
            "query_prefix": told.prompt("query"),
            "passage_prefix": told.prompt("document", "passage", "corpus"),
        }

    def sides(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The anchor asks; its positive and its negatives are to be found.  One side may stand alone."""
        passages = [values["positive"], *(values.get("negative") or ())] if values.get("positive") else []
        asks = [(self.query_prefix or "", values["anchor"])] if values.get("anchor") else []
        return [*asks, *((self.passage_prefix or "", text) for text in passages)]

    def contrast(self, vectors_KD: Tensor, batch: Batch) -> Tensor:
        """InfoNCE, summed over the rows."""
        import torch
        from torch.nn import functional as F

        device = vectors_KD.device
        counts = batch.extra["counts"]
        starts = [*accumulate([0, *counts[:-1]])]
        # Every row's own positive stands in its place among the candidates.
        negatives = [
            start + place for start, count in zip(starts, counts, strict=True) for place in range(2, count)
        ]
        starts_B = torch.tensor(starts)
        candidates_C = torch.tensor([start + 1 for start in starts] + negatives)
        asked_B, found_C = (batch.extra["equal"][places] for places in (starts_B, candidates_C))
        scores_BC = self.scale * (vectors_KD[starts_B] @ vectors_KD[candidates_C].T)
        known_BC = known(asked_B, found_C).to(device)
        target_B = torch.arange(len(starts_B), device=device)
        there = F.cross_entropy(scores_BC.masked_fill(known_BC, -torch.inf), target_B, reduction="sum")
        if not self.symmetric:
            return there
        back_BB = scores_BC[:, : len(starts_B)].T
        known_BB = known(found_C[: len(starts_B)], asked_B).to(device)
        back = F.cross_entropy(back_BB.masked_fill(known_BB, -torch.inf), target_B, reduction="sum")
        return (there + back) / 2

    def together(
        self, predictions: Sequence[dict[str, Any]], examples: Sequence[Example]
    ) -> list[dict[str, Any]]:
        """The ranks of each row's right passages among all passages of the rows, the places of what was found
        (row, and which of its passages), the cosine of its own, and its loss against all that are wrong."""
        if not predictions or any(len(example.inputs[TEXTS]) < 2 for example in examples):
            return list(predictions)
        passages = gathered([[text.tobytes() for text in split(example)] for example in examples])
        vectors = [unit(told["vectors"]) for told in predictions]
        asked_ND = np.stack([each[0] for each in vectors])
        found_MD = np.stack([vectors[row][1 + which] for row, which in passages.places])
        told: list[dict[str, Any]] = []
        step = max(1, BLOCK // len(found_MD))
        for start in range(0, len(asked_ND), step):
            scores_NM = asked_ND[start : start + step] @ found_MD.T
            ranks = passages.ranks(scores_NM, start)
            told += [self._told(passages, start + n, scores_NM[n], ranks[n]) for n in range(len(scores_NM))]
        return told

    def _told(self, passages: Any, row: int, scores_M: Any, ranks: list[int]) -> dict[str, Any]:
        own = scores_M[passages.own[row]]
        wrong = np.delete(scores_M, passages.right[row]).astype(np.float64)
        loss = np.logaddexp.reduce(np.append(self.scale * (wrong - own), 0.0))
        return {
            "ranks": ranks,
            "found": passages.found(scores_M, row),
            "cosine": float(own),
            "loss": float(loss),
            "tokens": 1,
        }

    def reference(self, record: Record) -> dict[str, Any]:
        """All texts."""
        return dict(self.shape.texts(record.values))

    def shown(self, record: Record, prediction: Mapping[str, Any]) -> dict[str, Any]:
        """The vector of what is asked, as a list; of a row that was judged, what it was judged by."""
        if "vectors" not in prediction:
            return dict(prediction)
        return {"vector": prediction["vectors"][0].tolist()}

    def explains(
        self, record: Record, prediction: Mapping[str, Any], *, asked: Sequence[str] = ()
    ) -> list[Target]:
        """Nothing: a vector is no number.

        Raises:
            WeitiaoError: `vector_unexplained`.
        """
        raise fault("vector_unexplained")

    def record(self, text: str) -> dict[str, Any]:
        """A text that asks."""
        return {"text": text, "anchor": text, "positive": None, "negative": None}

    def passage(self, text: str) -> dict[str, Any]:
        """A text that is to be found."""
        return {"anchor": None, "positive": text, "negative": None}


def known(asked_B: Tensor, found_C: Tensor) -> Tensor:
    """Which candidates (B, C) are known to be right for a row and are not its own, which has the row's place.

    Args:
        asked_B: numbers of the texts that ask; equal texts have one.
        found_C: numbers of the candidates; the first B are the rows' own.
    """
    import torch

    own_B = found_C[: len(asked_B)]
    same_BB = (asked_B[:, None] == asked_B).float()
    right_BC = (own_B[:, None] == found_C).float()
    known_BC = (same_BB @ right_BC) > 0
    places = torch.arange(len(asked_B))
    known_BC[places, places] = False
    return known_BC
