"""What answers in words tell: one answer to everything."""

from __future__ import annotations

from difflib import SequenceMatcher
from statistics import median

from weitiao.evaluate.findings.evidence import Evidence, Numbers

FEWEST = 4
"""Answers that are looked at."""
LONGEST = 400
"""Characters of an answer that are looked at."""
MOST = 200
"""Pairs of answers that are compared."""
ALIKE, UNLIKE = 0.9, 0.6
"""Likeness of two texts, from 0 to 1: answers above the first are one template, references below the second none."""


def template(e: Evidence) -> Numbers | None:
    """Answers that are nearly all alike, where what was expected is not."""
    both = zip(e.references, e.systems["tuned"], strict=True)
    pairs = [(row["reference"], one["answer"]) for row, one in both if "answer" in one]
    if len(pairs) < FEWEST:
        return None
    expected, said = (_likeness([pair[side] for pair in pairs]) for side in (0, 1))
    if said < ALIKE or expected > UNLIKE:
        return None
    return {"answers": len(pairs), "likeness": said, "expected": expected, "first": pairs[0][1][:80]}


def _likeness(texts: list[str]) -> float:
    """How alike texts are that stand one behind the other, the middle of all pairs."""
    some = [" ".join(text.split())[:LONGEST] for text in texts[: MOST + 1]]
    pairs = zip(some, some[1:], strict=False)
    return median(SequenceMatcher(None, one, other, autojunk=False).ratio() for one, other in pairs)
