"""The tags of a span as one number: the sum of their log-odds.

targets(["Ada", "in", "Paris"], prediction, index)  ->  [Target("Ada", ...), Target("Paris", ...)]
odds(logits (N, L), batch, target)                  ->  (B,)      log p / (1 - p) of each word's tag, summed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import Batch, Target, no_such_target
from weitiao.data.segment import How, joined
from weitiao.tasks.parts.pieces import NONE

if TYPE_CHECKING:
    from torch import Tensor


def targets(
    words: Sequence[str],
    prediction: Mapping[str, Any],
    index: Mapping[str, int],
    *,
    asked: Sequence[str],
    how: How = "whitespace",
) -> list[Target]:
    """Spans that are asked for by their type or words, and any other word by itself; all spans where none is.

    Raises:
        WeitiaoError: `no_such_target`.
    """
    row = prediction["tags"]

    def target(start: int, end: int) -> Target:
        of = [(word, index[row[word]]) for word in range(start, end) if prediction["scores"][word]]
        return Target(joined(words[start:end], how)[0], "log_odds", of)

    spans = [(target(span["start"], span["end"]), span["type"]) for span in prediction["spans"]]
    found = []
    for name in asked:
        named = [one for one, kind in spans if name in (kind, one.name)]
        # A word that no token shows has no tag of its own.
        alone = [target(place, place + 1) for place, word in enumerate(words) if word == name]
        named = named or [one for one in alone if one.of][:1]
        if not named:
            known = dict.fromkeys([one.name for one, _ in spans] + [kind for _, kind in spans] + [*words])
            raise no_such_target(name, list(known))
        found += named
    return found if asked else [one for one, _ in spans]


def odds(logits_NL: Tensor, batch: Batch, target: Target) -> Tensor:
    """Of every row (B,), all of which are the same one."""
    import torch

    logits_BWL = logits_NL.unflatten(0, (len(batch.rows), -1))
    readable = np.flatnonzero(batch.extra["first"][0] != NONE).tolist()
    found = []
    for word, tag in target.of:
        own_BL = logits_BWL[:, readable.index(word)]
        others_BL = torch.cat([own_BL[:, :tag], own_BL[:, tag + 1 :]], 1)
        found.append(own_BL[:, tag] - others_BL.logsumexp(1))
    return torch.stack(found).sum(0)
