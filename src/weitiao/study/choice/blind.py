"""What is had by knowing nothing of a row: who does no better has learnt nothing.

nothing(ground, baselines, best, sight)  ->  values, one a fold; none where nobody could say

A baseline that looks at no row says it where the task has one.  Else the answers are dealt anew among the rows, and the same
way of answering is asked again (Ojala & Garriga 2010, JMLR 11, 1833-1863): a head learns from what is seen in other rows,
words learn from sides that chance has swapped, and a model that answers itself is asked for other rows' answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.study.choice import probe
from weitiao.study.choice.asked import Seen, answered
from weitiao.study.choice.look import Ground


def nothing(
    ground: Ground,
    baselines: Mapping[str, Mapping[str, Any]],
    best: Mapping[str, Any] | None,
    sight: Seen | None,
) -> list[float | None]:
    """The metric of each fold.

    Args:
        ground: the rows.
        baselines: by name their `values`.
        best: the model with the best mean.
        sight: what it sees.
    """
    for name, said in baselines.items():
        if registry.entry("baseline", name).kind.blind:
            return list(said["values"])
    kept = sight.rows if sight else np.flatnonzero(ground.fold_N >= 0)
    records = [ground.rows[int(row)] for row in kept]
    fold_N = np.unique(ground.fold_N[kept], return_inverse=True)[1]
    mixed, found = dealt(records, rng=Random(ground.recipe.seed)), list[list[float | None]]()
    if sight is not None:
        mixed_MD = np.random.default_rng(ground.recipe.seed).permutation(sight.vectors_MD)
        own = (sight.task, ground.metric, records, sight.examples, mixed_MD, sight.owner_M, fold_N)
        found.append(probe.folds_of(*own))
    elif best is not None and mixed is not None:
        return answered(best["model"], ground, mixed, fold_N)
    if (name := words_of(baselines)) and mixed is not None:
        baseline = registry.build("baseline", {"name": name})
        found.append(probe.beside(baseline, ground.task, ground.metric, records, fold_N, learnt=mixed))
    # What is had by knowing nothing is the most that anybody has by it.
    sign = 1 if ground.metric.higher_is_better else -1
    known = [values for values in found if None not in values]
    return max(known, key=lambda values: sign * sum(value or 0 for value in values), default=[])


def words_of(baselines: Mapping[str, Any]) -> str:
    """The strongest baseline that looks at rows."""
    return next((name for name in baselines if not registry.entry("baseline", name).kind.blind), "")


def dealt(records: Sequence[Record], *, rng: Random) -> list[Record] | None:
    """The rows with their answers dealt anew; None where an answer makes no sense in another row."""
    values = [dict(record.values) for record in records]
    if not values:
        return None
    if "rejected" in values[0]:
        for row in values:
            if rng.random() < 0.5:
                row["chosen"], row["rejected"] = row["rejected"], row["chosen"]
    elif "tags" in values[0]:
        tags = [tag for row in values for tag in row["tags"]]
        rest = iter(rng.sample(tags, len(tags)))
        for row in values:
            row["tags"] = [next(rest) for _ in row["tags"]]
    elif "messages" in values[0]:
        if any(row["messages"][-1]["role"] != "assistant" for row in values):
            return None
        ends = rng.sample([row["messages"][-1] for row in values], len(values))
        for row, end in zip(values, ends, strict=True):
            row["messages"] = [*row["messages"][:-1], end]
    else:
        answer = next((name for name in ("positive", "label") if name in values[0]), "")
        if not answer:
            return None
        for row, other in zip(values, rng.sample([row[answer] for row in values], len(values)), strict=True):
            row[answer] = other
    return [replace(record, values=row) for record, row in zip(records, values, strict=True)]
