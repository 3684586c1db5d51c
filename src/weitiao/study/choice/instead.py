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

from weitiao.core.why import reason
from weitiao.evaluate.words import named
from weitiao.study.choice import probe
from weitiao.study.choice.asked import Seen
from weitiao.study.choice.blind import words_of
from weitiao.study.choice.look import Ground
from weitiao.study.choice.ranked import apart, best_of, better

SPARE = 0.1
"""Share of the way from knowing nothing to knowing all that is left, below which who need not be tuned is called enough."""
DRAWS = 19
"""Random halves beside the earlier and the later half: with 19, being the worst of all has p = 1/20."""
LEAST = 40
"""Rows that are halved by time, at least."""
ONE_SIDED = 0.1
"""Two-sided p-value of a gain that chance alone gives once in 20: less than nothing is learnt by nobody."""
MANY_NUMBERS = 10
"""Labels that are all numbers, from which on they are taken for a scale."""
STATED = ("unsuited_few", "unsuited_daily", "unsuited_broad", "unsuited_unclear", "unsuited_blind")


def instead(
    ground: Ground,
    models: Sequence[Mapping[str, Any]],
    baselines: Mapping[str, Mapping[str, Any]],
    seen: Seen | None,
    nothing: Sequence[float | None],
) -> list[dict[str, str]]:
    """What speaks against tuning.

    Args:
        ground: the rows.
        models: what each said.
        baselines: by name their `values`.
        seen: by the best model.
        nothing: had by knowing nothing of a row (`blind.nothing`).
    """
    found = [{"code": one.code, "text": one.text} for one in ground.diagnosis.findings if one.code in STATED]
    once = _once(ground)
    found += once + _numbers(ground)
    best = best_of([dict(model) for model in models], ground)
    if not once:
        found += _learnable(ground, models, baselines, nothing) or _enough(ground, best, baselines, nothing)
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


def _once(ground: Ground) -> list[dict[str, str]]:
    """Does hardly any label come twice?"""
    counts = (ground.diagnosis.tables.get("labels", {}).get("counts") or {}).values()
    once, rows = sum(count == 1 for count in counts), len(ground.checked.rows)
    if ground.task.shape.name not in ("labelled", "pictured") or 2 * once < rows:
        return []
    return [{"code": "labels_once", "text": reason("choice_labels_once", once=f"{once:,}", rows=f"{rows:,}")}]


def _learnable(
    ground: Ground,
    models: Sequence[Mapping[str, Any]],
    baselines: Mapping[str, Mapping[str, Any]],
    nothing: Sequence[float | None],
) -> list[dict[str, str]]:
    """Does anybody do better than who knows nothing?"""
    words = words_of(baselines)
    own = {model["model"]: model["values"] for model in models if model["values"]}
    asked = own | {named(name): baselines[name]["values"] for name in [words] if name}
    found = [apart(values, nothing, ground) for values in asked.values() if nothing]
    if not found or any(one["difference"] is None or better(one, chance=ONE_SIDED) for one in found):
        return []
    facts = {
        "metric": ground.name,
        "said": ", ".join(f"{name} {_mean(values)}" for name, values in asked.items()),
        "blind": _mean(nothing),
        "rows": f"{int((ground.fold_N >= 0).sum()):,}",
        "most": f"{max(one['high'] if one['high'] is not None else one['difference'] for one in found):.3f}",
    }
    code = "choice_answers_unrelated" if ground.task.generates and own else "choice_nothing_learnt"
    return [{"code": "nothing_learnt", "text": reason(code, **facts)}]


def _enough(
    ground: Ground,
    best: Mapping[str, Any] | None,
    baselines: Mapping[str, Mapping[str, Any]],
    nothing: Sequence[float | None],
) -> list[dict[str, str]]:
    """Has somebody who need not be tuned gone most of the way already: words, or the model as it is?"""
    words, own = words_of(baselines), best["values"] if best else []
    facts = {"metric": ground.name, "blind": _mean(nothing)}
    if words and _far(ground, baselines[words]["values"], nothing):
        by_words = baselines[words]["values"]
        if not own or not better(apart(own, by_words, ground)):
            facts |= {"words": _mean(by_words), "baseline": named(words)}
            beside = reason("choice_beside", model=best["model"], probe=_mean(own)) if best and own else ""
            return [{"code": "words_suffice", "text": reason("choice_words_suffice", **facts, beside=beside)}]
    if best and ground.how == "untuned" and _far(ground, own, nothing):
        facts |= {"model": best["model"], "probe": _mean(own)}
        return [{"code": "model_suffices", "text": reason("choice_model_suffices", **facts)}]
    return []


def _far(ground: Ground, values: Sequence[float | None], nothing: Sequence[float | None]) -> bool:
    """Nine tenths of the way from knowing nothing to knowing all?"""
    known, start = ([one for one in each if one is not None] for each in (values, nothing))
    perfect = ground.metric.bounds[1] if ground.metric.higher_is_better else max(0.0, ground.metric.bounds[0])
    if not known or not start or not np.isfinite(perfect) or ground.task.generates:
        return False
    return bool(abs(perfect - np.mean(known)) <= SPARE * abs(perfect - np.mean(start)))


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
