"""Forgetting: what a language model knew of other texts before it was tuned, and what is left of it.

    texts(), (loss, tokens) of each before and after  ->  compared(...)  ->  {"texts": [...], "rise": {"value": 1.31, ...}}

The perplexity of a text is exp(loss / tokens).  `rise` is the factor by which it grew, the geometric mean over texts, with the
interval of paired differences of its logarithm (t).  A text counts where the model knew something of it: its loss a token
stood well below that of who guesses among all tokens, log V, and its tokens are words that the tokenizer has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, TypeAlias

import numpy as np

from weitiao.core.contracts import both
from weitiao.core.contracts.section import Column, Table, TableRow

AUTO, NONE = "auto", "none"
"""Values of `evaluate.general_text` that are no file."""
MOST = 200
"""So many texts of a file are read."""
LONGEST = 512
"""Tokens of a text that are read."""
GUESSED = 0.8
"""A loss above this share of log V is hardly better than guessing."""
UNKNOWN = 0.1
"""A text with a larger share of unknown tokens says nothing."""
SHOWN = 80
"""Characters of a text that name it."""

Losses: TypeAlias = Sequence[tuple[float, int]]
"""Of each text, its loss summed over tokens, and how many they are."""


def texts() -> list[str]:
    """Those that travel with weitiao."""
    import yaml

    return list(
        yaml.safe_load(resources.files(__package__).joinpath("general_texts.yaml").read_text("utf-8"))
    )


def compared(
    asked: Sequence[str],
    before: Losses,
    after: Losses,
    *,
    unknown: Sequence[float],
    vocabulary: int,
    confidence: float,
) -> dict[str, Any] | None:
    """Each text before and after, and by how much perplexity rose; None where nothing can be told of any.

    Args:
        asked: the texts.
        before: of the untuned model.
        after: of the tuned one.
        unknown: the share of tokens of each text that the tokenizer does not know.
        vocabulary: how many tokens the model tells apart.
        confidence: of the interval.
    """
    rows, risen = [], []
    for text, (was, count), (now, _), lost in zip(asked, before, after, unknown, strict=True):
        if not count or not math.isfinite(was) or not math.isfinite(now):
            continue
        known = was / count < GUESSED * math.log(vocabulary) and lost <= UNKNOWN
        shown = text if len(text) <= SHOWN else text[:SHOWN].rstrip() + " …"
        rows.append({"text": shown, "untuned": _exp(was / count), "tuned": _exp(now / count), "known": known})
        risen += [(now - was) / count] if known else []
    if not rows:
        return None
    return {"texts": rows, "rise": _rise(np.array(risen), confidence)}


def section(found: Mapping[str, Any]) -> Table:
    """Each text with its perplexity before and after, for the page."""
    return Table(
        title=both("Perplexity on general texts", "通用文本的困惑度"),
        note=both(
            "What a model knew before it was tuned it should know after. A text of which it knew next to nothing (in brackets) "
            "does not count.",
            "模型微调前懂得的，微调后也应懂得。它原本几乎不懂的文本（括号内）不计入。",
        ),
        head=both("text", "文本"),
        columns=[
            Column(title=both("untuned", "微调前")),
            Column(title=both("tuned", "微调后")),
            Column(title=both("times", "倍数")),
        ],
        rows=[
            TableRow(
                name=one["text"] if one["known"] else f"({one['text']})",
                values=[one["untuned"], one["tuned"], one["tuned"] / one["untuned"]],
            )
            for one in found["texts"]
        ],
    )


def _rise(each_N: Any, confidence: float) -> dict[str, float] | None:
    from scipy import stats

    count = len(each_N)
    if count < 2:
        return None
    mean, error = float(each_N.mean()), float(each_N.std(ddof=1)) / math.sqrt(count)
    far = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    return {"value": _exp(mean), "low": _exp(mean - far), "high": _exp(mean + far)}


def _exp(power: float) -> float:
    return math.exp(min(power, 700.0))  # the largest that a float holds
