"""When fine-tuning is not the answer, and what is: each with what speaks for it.

instead(ground, models, baselines, seen)  ->  [{"code": "words_suffice", "text": "TF-IDF is right in ..."}]

What rows alone tell (hardly any, answers that change daily, a task nobody can state, one without bounds) the doctor says
(`data.doctor.suits`); what is asked here needs the folds: are words enough, does anything help, and do later rows still go
by what earlier ones teach?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core import registry
from weitiao.core.why import reason
from weitiao.study.choice import probe
from weitiao.study.choice.asked import Seen
from weitiao.study.choice.look import Ground
from weitiao.study.choice.ranked import apart, best_of, better

SPARE = 0.1
"""Share of the way from knowing nothing to knowing all that is left, below which words are called enough."""
DRAWS = 19
"""Random halves beside the earlier and the later half: with 19, being the worst of all has p = 1/20."""
LEAST = 40
"""Rows that are halved by time, at least."""
MANY_NUMBERS = 10
"""Labels that are all numbers, from which on they are taken for a scale."""
STATED = ("unsuited_few", "unsuited_daily", "unsuited_broad", "unsuited_unclear", "unsuited_blind")


def instead(
    ground: Ground,
    models: Sequence[Mapping[str, Any]],
    baselines: Mapping[str, Mapping[str, Any]],
    seen: Seen | None,
) -> list[dict[str, str]]:
    """What speaks against tuning.

    Args:
        ground: the rows.
        models: what each said.
        baselines: by name their `values`.
        seen: by the best model.
    """
    found = [{"code": one.code, "text": one.text} for one in ground.diagnosis.findings if one.code in STATED]
    found += _numbers(ground)
    best = best_of([dict(model) for model in models], ground)
    blind, words = _baselines(ground, baselines)
    if best and blind and words:
        found += _learnable(ground, best, baselines, blind, words)
    if seen and ground.dates:
        found += drift(ground, seen)
    return found


def _numbers(ground: Ground) -> list[dict[str, str]]:
    """Are labels numbers, and many?  Then how far off an answer is counts, and no label need be met again."""
    labels = ground.task.classes()
    if ground.task.shape.name != "labelled" or len(labels) < MANY_NUMBERS:
        return []
    try:
        [float(label) for label in labels]
    except ValueError:
        return []
    return [{"code": "numbers_as_labels", "text": reason("choice_numbers", count=len(labels))}]


def _baselines(ground: Ground, baselines: Mapping[str, Any]) -> tuple[str, str]:
    """Names of one that looks at no row, and of the strongest that does."""
    kinds = {name: registry.entry("baseline", name).kind for name in baselines}
    blind = next((name for name, kind in kinds.items() if kind.blind), "")
    return blind, next((name for name, kind in kinds.items() if not kind.blind), "")


def _learnable(
    ground: Ground, best: Mapping[str, Any], baselines: Mapping[str, Any], blind: str, words: str
) -> list[dict[str, str]]:
    nothing, by_words = (baselines[name]["values"] for name in (blind, words))
    facts = {
        "metric": ground.name,
        "model": best["model"],
        "probe": _mean(best["values"]),
        "words": _mean(by_words),
        "blind": _mean(nothing),
        "baseline": words,
    }
    if not better(apart(best["values"], nothing, ground)) and not better(apart(by_words, nothing, ground)):
        return [{"code": "nothing_learnt", "text": reason("choice_nothing_learnt", **facts)}]
    if best["values"] and not better(apart(best["values"], by_words, ground)):
        perfect = (
            ground.metric.bounds[1] if ground.metric.higher_is_better else max(0.0, ground.metric.bounds[0])
        )
        reached, start = (np.mean([one for one in each if one is not None]) for each in (by_words, nothing))
        if np.isfinite(perfect) and abs(perfect - reached) <= SPARE * abs(perfect - start):
            return [{"code": "words_suffice", "text": reason("choice_words_suffice", **facts)}]
    return []


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.3f}" if known else "-"


def drift(ground: Ground, seen: Seen) -> list[dict[str, str]]:
    """Do later rows go by what earlier ones teach?  A head learns the earlier half and is asked the later one, beside random
    halves: if time does not matter, the halves by time are one more draw of these, and worse than all of 19 once in 20."""
    time_N = ground.time_N[seen.rows]
    known = np.flatnonzero(np.isfinite(time_N))
    if len(known) < LEAST:
        return []
    order = known[np.argsort(time_N[known], kind="stable")]
    by_time = _halved(ground, seen, order)
    rng = np.random.default_rng(ground.recipe.seed)
    by_chance = [_halved(ground, seen, rng.permutation(order)) for _ in range(DRAWS)]
    sign = 1 if ground.metric.higher_is_better else -1
    drawn = [sign * one for one in by_chance if one is not None]
    if by_time is None or len(drawn) < DRAWS or sign * by_time >= min(drawn):
        return []
    facts = {"metric": ground.name, "column": ground.dates, "later": f"{by_time:.3f}", "draws": DRAWS}
    random = f"{np.mean(drawn) * sign:.3f}"
    return [{"code": "drift", "text": reason("choice_drift", **facts, random=random)}]


def _halved(ground: Ground, seen: Seen, order_N: Any) -> float | None:
    """The metric of the second half of some rows, said by a head that was learnt on the first."""
    half = np.full(len(seen.examples), -1)
    half[order_N[: len(order_N) // 2]], half[order_N[len(order_N) // 2 :]] = 0, 1
    records = [ground.rows[int(row)] for row in seen.rows]
    found = probe.folds_of(
        seen.task, ground.metric, records, seen.examples, seen.vectors_MD, seen.owner_M, half, only=1
    )
    return found[0]
