"""Likely wrong labels: confident learning from cross-validated predictions.

    texts, labels  ->  probabilities, each from a model that has not seen the row
                   ->  confident(probabilities, labels)  ->  rows that are counted under another label

Northcutt, Jiang and Chuang 2021, "Confident Learning", arXiv 1911.00068: the threshold of a label is the mean
probability of it among the rows that carry it; a row counts under the likeliest label above its threshold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.data.doctor.finding import Case, Diagnosis, Finding, Part, Row, finding, percent
from weitiao.data.personal import mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS = 5
LEAST = 50  # rows in all; below, cross-validation says nothing
SHOWN = 50  # suspects in the table


class WrongLabels(Part):
    """Holds all texts: the classifier needs them at once."""

    shapes: ClassVar[tuple[str, ...]] = ("labelled",)

    def __init__(self, case: Case):
        super().__init__(case)
        self.texts: list[str] = []
        self.labels: list[str] = []
        self.rows: list[int] = []

    def see(self, row: Row) -> None:
        """Keep it."""
        if row.label:
            self.texts.append("\n".join(row.texts.values()))
            self.labels.append(row.label)
            self.rows.append(row.index)

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """Suspects, the most certain first."""
        import numpy as np

        labels = np.array([diagnosis.mapping.get(label, label) for label in self.labels])
        counts = Counter(labels.tolist())
        # A label with fewer rows than folds would be missing from some training fold.
        use = np.array([counts[label] >= FOLDS for label in labels], dtype=bool)
        if use.sum() < LEAST or len({label for label in counts if counts[label] >= FOLDS}) < 2:
            return
        kept = np.flatnonzero(use)
        texts = [self.texts[index] for index in kept]
        names, given = np.unique(labels[kept], return_inverse=True)
        probabilities_NL = held_out(texts, given, seed=self.case.seed)
        suspects = confident(probabilities_NL, given)
        rows = [self.rows[kept[index]] for index, _ in suspects]
        top = max(counts[name] for name in names) / len(kept)
        diagnosis.tables["wrong_labels"] = {
            "judged": len(kept),
            "accuracy": float((probabilities_NL.argmax(1) == given).mean()),
            "majority": top,
            "suspects": [
                {
                    "place": self.case.rows[row].place,
                    "text": mask(texts[index])[0][:200],
                    "label": str(names[given[index]]),
                    "rather": str(names[other]),
                    "probability": round(float(probabilities_NL[index, other]), 3),
                }
                for row, (index, other) in list(zip(rows, suspects, strict=True))[:SHOWN]
            ],
        }
        if suspects:
            share = percent(len(suspects), len(kept))
            yield finding(
                "wrong_labels", "warning", count=len(suspects), places=self.case.places(rows), share=share
            )


def held_out(texts: Sequence[str], given: NDArray[Any], *, seed: int) -> NDArray[Any]:
    """Probabilities (N, L) of each label for each text, by TF-IDF and logistic regression that have not seen it."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    from weitiao.data.tfidf import fitted

    found = np.zeros((len(texts), int(given.max()) + 1))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(np.zeros(len(texts)), given):
        features, rows = fitted([texts[index] for index in train])
        model = LogisticRegression(C=10, max_iter=1000)
        model.fit(rows, given[train])
        chances = model.predict_proba(features.transform([texts[index] for index in test]))
        found[np.ix_(test, model.classes_)] = chances
    return found


def confident(probabilities_NL: NDArray[Any], given: NDArray[Any]) -> list[tuple[int, int]]:
    """(row, the label under which it counts) of the rows off the diagonal of the confident joint.

    Ranked by margin: the probability of that label less that of the given one, largest first.
    """
    import numpy as np

    labels = probabilities_NL.shape[1]
    threshold_L = np.array([probabilities_NL[given == label, label].mean() for label in range(labels)])
    above = np.where(probabilities_NL >= threshold_L, probabilities_NL, -1.0)
    counted = above.argmax(1)
    off = np.flatnonzero((above.max(1) >= 0) & (counted != given))
    margin = probabilities_NL[off, counted[off]] - probabilities_NL[off, given[off]]
    return [(int(off[i]), int(counted[off[i]])) for i in np.argsort(-margin, kind="stable")]
