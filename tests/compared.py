"""The words of toy rows, and rows of texts that are compared: with each other, for a query, as answers."""

from __future__ import annotations

import random
from typing import Any

GOOD = ("great", "wonderful", "lovely", "brilliant", "charming")
BAD = ("awful", "boring", "terrible", "dull", "dreadful")
FILL = ("film", "plot", "actor", "scene", "music", "story", "ending", "the", "was", "and", "very", "quite")


def alike(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Two texts and how many of their words they share, of five."""
    rng = random.Random(seed)
    made: dict[tuple[str, str], float] = {}
    while len(made) < rows:
        words, shared = rng.sample(FILL + GOOD, 5), rng.randint(0, 5)
        other = words[:shared] + rng.sample(BAD, 5 - shared)
        made[" ".join(words), " ".join(other)] = float(shared)
    return [{"sentence1": one, "sentence2": other, "score": score} for (one, other), score in made.items()]


def queries(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """A few words, and two to four passages of which one or two say something good; the others something bad."""
    rng = random.Random(seed)
    made: dict[str, tuple[list[str], list[float]]] = {}
    while len(made) < rows:
        query = " ".join(rng.sample(FILL, rng.randint(2, 4)))
        scores = [1.0] * rng.randint(1, 2) + [0.0] * rng.randint(1, 2)
        words = [rng.sample(GOOD if score else BAD, 2) for score in scores]
        passages = [" ".join([*rng.sample(FILL, rng.randint(1, 6)), *each]) for each in words]
        if len({*passages}) == len(passages):
            made.setdefault(query, (passages, scores))
    return [{"query": q, "passages": passages, "scores": scores} for q, (passages, scores) in made.items()]


def preferred(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Prompts with an answer that says something good and one that does not, of different length."""
    rng = random.Random(seed)
    made: dict[str, tuple[str, str]] = {}
    while len(made) < rows:
        prompt = " ".join(rng.sample(FILL, rng.randint(2, 5)))
        chosen, rejected = (
            " ".join([rng.choice(words), *rng.sample(FILL, rng.randint(1, 4))]) for words in (GOOD, BAD)
        )
        made.setdefault(prompt, (chosen, rejected))
    return [{"prompt": prompt, "chosen": a, "rejected": b} for prompt, (a, b) in made.items()]


def prompts(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """A few words to be answered, and one of them as the right answer."""
    rng = random.Random(seed)
    made: dict[str, str] = {}
    while len(made) < rows:
        words = rng.sample(FILL, rng.randint(2, 5))
        made.setdefault(" ".join(words), words[0])
    return [{"prompt": prompt, "answer": word} for prompt, word in made.items()]


def liked(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Prompts with one answer, every other one of which says something good and was liked."""
    made = preferred(rows, seed=seed)
    return [
        {"prompt": row["prompt"], "completion": row["rejected" if n % 2 else "chosen"], "label": not n % 2}
        for n, row in enumerate(made)
    ]


def paired(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """A few words, and a longer text that says them again; every other row has a text that does not."""
    rng = random.Random(seed)
    made: dict[str, str] = {}
    while len(made) < rows:
        words = rng.sample(FILL + GOOD, rng.randint(2, 4))
        made.setdefault(" ".join(words), " ".join([*words, *rng.sample(BAD, rng.randint(1, 4))]))
    wrong = [[" ".join(rng.sample(BAD, 3))] if row % 2 else [] for row in range(rows)]
    return [
        {"anchor": anchor, "positive": positive, "negative": negative}
        for (anchor, positive), negative in zip(made.items(), wrong, strict=True)
    ]


def asked(rows: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Texts with a good word, a bad one, or both; asked for one kind, every fifth time for one that is not there."""
    rng = random.Random(seed)
    made: dict[tuple[str, str], list[dict[str, Any]]] = {}
    while len(made) < rows:
        words = [rng.choice(FILL) for _ in range(rng.randint(3, 12))]
        kind, other = rng.sample([GOOD, BAD], 2)
        answer = "" if len(made) % 5 == 4 else rng.choice(kind)
        for word in filter(None, (answer, rng.choice(other))):
            words.insert(rng.randrange(len(words) + 1), word)
        context = " ".join(words)
        answers = [{"text": answer, "start": context.index(answer)}] if answer else []
        made["film" if kind is GOOD else "plot", context] = answers
    return [{"question": q, "context": c, "answers": a} for (q, c), a in made.items()]
