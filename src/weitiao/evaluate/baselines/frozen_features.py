"""What the model sees before it is tuned, and logistic regression: what is to be had without training any of it.

records with what the base's output layer hears of them (D,)  ->  logistic regression  ->  one label a row
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.core.contracts import SEEN, Answers, Baseline, Record, Shape
from weitiao.core.registry import register

if TYPE_CHECKING:
    import numpy as np

COSTS = (0.001, 0.01, 0.1, 1.0)
"""`C` of the regression; that one is taken that does best on a part of the training rows, the least of equals."""
PART = 5
"""One training row in so many chooses."""
MOST = 10_000
"""Training rows, evenly taken, that are learnt from."""


@register("baseline", "frozen_features")
@dataclass(frozen=True)
class FrozenFeatures(Baseline):
    """A linear probe: which direction of the untuned model's pooled features speaks for which label."""

    summary: ClassVar[str] = "what the untuned model sees and logistic regression"
    source: ClassVar[str] = "Alain & Bengio 2016, arXiv 1610.01644; sklearn.linear_model.LogisticRegression"
    sees: ClassVar[bool] = True

    def fit(self, records: Sequence[Record], shape: Shape) -> Answers:
        """Weighs the features; with a single label there is nothing to tell apart."""
        from sklearn.linear_model import LogisticRegression

        records = records[:: -(-len(records) // MOST)]
        labels = [row.values["label"] for row in records]
        if len(set(labels)) == 1:
            return lambda unseen: [{"label": labels[0]} for _ in unseen]
        seen_ND = _stacked(records)
        centre_D, scale_D = seen_ND.mean(0), seen_ND.std(0) + 1e-6
        seen_ND = (seen_ND - centre_D) / scale_D

        def fitted(places: Sequence[int], cost: float) -> Any:
            model = LogisticRegression(C=cost, max_iter=1000)
            return model.fit(seen_ND[places], [labels[place] for place in places])

        every = range(len(labels))
        chooses = [place for place in every if place % PART == 0]
        learns = [place for place in every if place % PART]
        worth = dict.fromkeys(COSTS, 0.0)
        if len({labels[place] for place in learns}) > 1:
            known = [labels[place] for place in chooses]
            worth = {cost: fitted(learns, cost).score(seen_ND[chooses], known) for cost in COSTS}
        model = fitted(every, max(COSTS, key=worth.__getitem__))
        return lambda unseen: [
            {"label": str(label)} for label in model.predict((_stacked(unseen) - centre_D) / scale_D)
        ]


def _stacked(records: Sequence[Record]) -> np.ndarray:
    import numpy as np

    return np.stack([row.values[SEEN] for row in records]).astype(np.float64)
