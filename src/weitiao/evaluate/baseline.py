"""The classical baseline: TF-IDF and logistic regression, trained on the same training rows.

tfidf(train texts, train labels, test texts)  ->  one label a test text
"""

from __future__ import annotations

from collections.abc import Sequence

from weitiao.data.features import vectorizer, without_spaces

__all__ = ["tfidf", "without_spaces"]


def tfidf(texts: Sequence[str], labels: Sequence[str], unseen: Sequence[str]) -> list[str]:
    """Labels for `unseen`, by the features of `data.features`."""
    from sklearn.linear_model import LogisticRegression

    words = vectorizer(texts)
    model = LogisticRegression(C=10, max_iter=1000)
    model.fit(words.fit_transform(texts), labels)
    return [str(label) for label in model.predict(words.transform(unseen))]
