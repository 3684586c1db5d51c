"""How often "it learned" is said where there is nothing to learn: small trainings on shuffled labels.

python -m benchmarks.chance [TRAININGS]  ->  a line a kind of data: of so many trainings, how often it was said

A training is a linear probe on hashed words, taken some hundred steps of gradient descent from a head drawn at random;
judge and verdict are those of every run, beside the untuned head and the same baselines.  Labels are dealt anew in every
training, in equal shares or not; on the last line they belong to the texts, so that there is something to learn.
"""

from __future__ import annotations

import sys
import zlib
from typing import Any

import numpy as np

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.data.shapes import LABELLED
from weitiao.evaluate.judge import judge
from weitiao.evaluate.verdict import verdict

LABELS = ("a", "b", "c")
WORDS, WIDTH = 60, 48
TRAIN, TEST = 120, 80
SHARES = {
    "equal shares": (1 / 3, 1 / 3, 1 / 3),
    "two labels": (0.5, 0.5, 0.0),
    "unequal shares": (0.75, 0.15, 0.1),
}


def trained(seed: int, *, shares: tuple[float, ...], shuffled: bool = True, resamples: int = 100) -> bool:
    """One training, judged: is it said that it learned?

    Args:
        seed: of texts, labels and head.
        shares: of the labels.
        shuffled: do labels know nothing of the texts?
        resamples: draws behind the intervals, which the verdict does not look at.
    """
    rng = np.random.default_rng(seed)
    label_N = rng.choice(3, TRAIN + TEST, p=shares)
    # The words of a text lean to its label, if labels are to be learnt.
    lean_NW = 3.0 * (np.arange(WORDS) % 3 == label_N[:, None]) * (not shuffled)
    texts = []
    for lean_W in lean_NW:
        chance_W = np.exp(lean_W) / np.exp(lean_W).sum()
        texts.append(" ".join(f"word{word}" for word in rng.choice(WORDS, 12, p=chance_W)))
    seen_NF = np.zeros((len(texts), WIDTH))
    for row, text in enumerate(texts):
        for word in text.split():
            seen_NF[row, zlib.crc32(word.encode()) % WIDTH] += 1.0
    head_FC = rng.normal(0, 0.3, (WIDTH, len(LABELS)))
    tuned_FC = descended(head_FC, seen_NF[:TRAIN], label_N[:TRAIN])
    records = [
        Record("rows", line, {"text": text, "label": LABELS[label_N[line]]})
        for line, text in enumerate(texts)
    ]
    references = [dict(record.values) for record in records[TRAIN:]]
    systems = {
        name: [{"label": LABELS[place]} for place in (seen_NF[TRAIN:] @ weights_FC).argmax(1)]
        for name, weights_FC in (("tuned", tuned_FC), ("untuned", head_FC))
    }
    for name in ("tfidf", "majority"):
        fitted = registry.build("baseline", {"name": name}).fit(records[:TRAIN], LABELLED)
        systems[name] = fitted(records[TRAIN:])
    metrics = {"accuracy": registry.build("metric", {"name": "accuracy"})}
    found = judge(references, systems, metrics, labels=LABELS, resamples=resamples, seed=seed)
    results = {"primary": "accuracy", "higher_is_better": True, "rows": TEST, **found}
    return bool(verdict(results, confidence=0.95)["learned"])


def descended(head_FC: Any, seen_NF: Any, label_N: Any, *, steps: int = 300, rate: float = 0.05) -> Any:
    """The head after so many steps down the mean cross-entropy."""
    weights_FC, true_NC = head_FC.copy(), np.eye(head_FC.shape[1])[label_N]
    for _ in range(steps):
        raw_NC = seen_NF @ weights_FC
        said_NC = np.exp(raw_NC - raw_NC.max(1, keepdims=True))
        said_NC /= said_NC.sum(1, keepdims=True)
        weights_FC -= rate * seen_NF.T @ (said_NC - true_NC) / len(seen_NF)
    return weights_FC


def main() -> None:
    """Shuffled labels in all shares, and labels that can be learnt."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f'{times} trainings on {TRAIN} rows, judged on {TEST}: how often "it learned" is said')
    for name, shares in SHARES.items():
        said = sum(trained(seed, shares=shares) for seed in range(times))
        print(f"shuffled labels, {name:<16} {said:4}")
    said = sum(trained(seed, shares=SHARES["equal shares"], shuffled=False) for seed in range(times))
    print(f"labels that can be learnt         {said:4}")


if __name__ == "__main__":
    main()
