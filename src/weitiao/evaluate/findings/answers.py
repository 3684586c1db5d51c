"""What answers in words tell: one answer to everything, and what was known before and is known no more."""

from __future__ import annotations

import math
from difflib import SequenceMatcher
from statistics import mean, median, stdev

from weitiao.evaluate.findings.evidence import BEYOND, Evidence, Numbers

FEWEST = 4
"""Answers that are looked at."""
LONGEST = 400
"""Characters of an answer that are looked at."""
MOST = 200
"""Pairs of answers that are compared."""
ALIKE, UNLIKE = 0.9, 0.6
"""Likeness of two texts, from 0 to 1: answers above the first are one template, references below the second none."""
RISE = 0.1
"""A loss per token that rises by so much is a perplexity 11 % higher."""


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


def forgetting(e: Evidence) -> Numbers | None:
    """General text, which the task has nothing to do with, has become less likely."""
    rises = [text["after"] - text["before"] for text in e.general]
    if len(rises) < FEWEST:
        return None
    error, rise = stdev(rises) / math.sqrt(len(rises)), mean(rises)
    if rise <= max(RISE, BEYOND * error):
        return None
    before, after = (math.exp(mean(text[side] for text in e.general)) for side in ("before", "after"))
    return {"texts": len(rises), "before": before, "after": after, "worse": sum(each > 0 for each in rises)}


def _likeness(texts: list[str]) -> float:
    """How alike texts are that stand one behind the other, the middle of all pairs."""
    some = [" ".join(text.split())[:LONGEST] for text in texts[: MOST + 1]]
    pairs = zip(some, some[1:], strict=False)
    return median(SequenceMatcher(None, one, other, autojunk=False).ratio() for one, other in pairs)
