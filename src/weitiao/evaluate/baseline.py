"""What the tuned model must beat: TF-IDF and logistic regression on the same training rows, and the commonest label.

tfidf(train texts, train labels, test texts)  ->  one label a test text
majority({"good": 30, "bad": 20})             ->  "good"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weitiao.data.tfidf import fitted, without_spaces

__all__ = ["majority", "tfidf", "without_spaces"]


def tfidf(texts: Sequence[str], labels: Sequence[str], unseen: Sequence[str]) -> list[str]:
    """Labels for `unseen`, by the features of `data.tfidf`."""
    from sklearn.linear_model import LogisticRegression

    if len(set(labels)) == 1:
        return [labels[0]] * len(unseen)  # nothing to tell apart
    features, rows = fitted(texts)
    model = LogisticRegression(C=10, max_iter=1000)
    model.fit(rows, labels)
    return [str(label) for label in model.predict(features.transform(unseen))]


def majority(counts: Mapping[str, int]) -> str:
    """The commonest label of the training rows; of equals the first by name."""
    return max(sorted(counts), key=counts.__getitem__)
