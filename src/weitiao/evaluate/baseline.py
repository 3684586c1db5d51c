"""The classical baseline: TF-IDF and logistic regression, trained on the same training rows.

tfidf(train texts, train labels, test texts)  ->  one label a test text
"""

from __future__ import annotations

from collections.abc import Sequence

CHINESE = range(0x3400, 0xA000)  # CJK Unified Ideographs and Extension A


def tfidf(texts: Sequence[str], labels: Sequence[str], unseen: Sequence[str]) -> list[str]:
    """Labels for `unseen`; words as features, or one to three characters where texts are written without spaces."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    features = {"analyzer": "char", "ngram_range": (1, 3)} if without_spaces(texts) else {"analyzer": "word"}
    vectorizer = TfidfVectorizer(sublinear_tf=True, **features)
    model = LogisticRegression(max_iter=1000)
    model.fit(vectorizer.fit_transform(texts), labels)
    return [str(label) for label in model.predict(vectorizer.transform(unseen))]


def without_spaces(texts: Sequence[str]) -> bool:
    """Is a third or more of a sample of the characters Chinese?"""
    sample = "".join(texts[:: max(1, len(texts) // 200)])
    return sum(ord(char) in CHINESE for char in sample) * 3 > len(sample)
