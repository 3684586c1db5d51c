"""What models that write tell: one answer to everything, and other texts forgotten."""

from __future__ import annotations

import math
from difflib import SequenceMatcher
from statistics import median

from weitiao.evaluate.findings.evidence import Evidence, Numbers

SIDES = ("untuned", "tuned")
FEWEST = 4
"""Answers that are looked at."""
LONGEST = 400
"""Characters of an answer that are looked at."""
MOST = 200
"""Pairs of answers that are compared."""
ALIKE, UNLIKE = 0.9, 0.6
"""Likeness of two texts, from 0 to 1: answers above the first are one template, references below the second none."""


RISEN = 1.1
"""Perplexity that surely rose by more than this factor is more than any tuning brings with it."""


def forgot(e: Evidence) -> Numbers | None:
    """Perplexity on general texts rose, in all of the interval by more than a tenth."""
    general = e.results.get("general")
    if not general or not general["rise"] or general["rise"]["low"] <= RISEN:
        return None
    texts = [text for text in general["texts"] if text["known"]]
    worst = max(texts, key=lambda text: text["tuned"] / text["untuned"])
    return {
        "texts": len(texts),
        **{side: math.exp(sum(math.log(text[side]) for text in texts) / len(texts)) for side in SIDES},
        "rise": general["rise"]["value"],
        "low": general["rise"]["low"],
        "high": general["rise"]["high"],
        "worst": worst["text"],
        "worst_before": worst["untuned"],
        "worst_after": worst["tuned"],
    }


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
