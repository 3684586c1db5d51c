"""The classical baseline: TF-IDF and logistic regression, trained on the same training rows.

tfidf(train texts, train labels, test texts)  ->  one label a test text
"""

from __future__ import annotations

from collections.abc import Sequence

CHINESE = range(0x3400, 0xA000)  # CJK Unified Ideographs and Extension A


def tfidf(texts: Sequence[str], labels: Sequence[str], unseen: Sequence[str]) -> list[str]:
    """Labels for `unseen`; words and word pairs as features, or one to three characters of unspaced text.

    Settings are the strongest of those tried on the film reviews (`notes/LOG.md`), chosen in the baseline's favour.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    features = (
        {"analyzer": "char", "ngram_range": (1, 3)} if without_spaces(texts) else {"ngram_range": (1, 2)}
    )
    # A feature that occurs once says nothing about other rows; in a small table there are few others.
    vectorizer = TfidfVectorizer(min_df=2 if len(texts) >= 1000 else 1, sublinear_tf=True, **features)
    model = LogisticRegression(C=10, max_iter=1000)
    model.fit(vectorizer.fit_transform(texts), labels)
    return [str(label) for label in model.predict(vectorizer.transform(unseen))]


def without_spaces(texts: Sequence[str]) -> bool:
    """Is a third or more of a sample of the characters Chinese?"""
    sample = "".join(texts[:: max(1, len(texts) // 200)])
    return sum(ord(char) in CHINESE for char in sample) * 3 > len(sample)
