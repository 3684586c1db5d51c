"""The order of models and methods, and why.

models by their folds: the best, all that lie within one standard error of it, the others
among equals: what takes least time; of a model's methods: `lora`, `full`, `head`, or `full` first where rows are many
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.core.why import reason
from weitiao.study.choice.look import Ground
from weitiao.study.corrected import over_folds, paired_over_folds

METHODS = ("lora", "full", "head")
"""What is forecast: a few weights beside frozen ones, all of them, the output layer alone."""
MANY = 10_000
"""Rows from which all weights are tuned where that fits (the advice of `weitiao methods full`)."""
CONFIDENCE, CHANCE = 0.95, 0.05
"""Of intervals, and the p-value below which one model is called worse than another."""


def methods_of(about: Mapping[str, Any], *, generates: bool, rows: int) -> list[str]:
    """What is forecast of a model, the first that is wanted first."""
    if about["untaught"]:
        return ["full"]
    names = [name for name in METHODS if name != "head" or not generates]
    return ["full", *(name for name in names if name != "full")] if rows >= MANY else names


def scored(values: Sequence[float | None], ground: Ground) -> dict[str, Any] | None:
    """Mean over the folds, and its interval; nothing where there are no folds."""
    if not values:
        return None
    return over_folds(values, ratio=ground.ratio, confidence=CONFIDENCE, bounds=ground.metric.bounds)


def apart(ours: Sequence[float | None], others: Sequence[float | None], ground: Ground) -> dict[str, Any]:
    """How much better ours are than others (more is better, whatever the metric), and the p-value of that."""
    found = paired_over_folds(
        ours, others, ratio=ground.ratio, confidence=CONFIDENCE, bounds=ground.metric.bounds
    )
    if not ground.metric.higher_is_better and found["difference"] is not None:
        found["difference"] = -found["difference"]
        found["low"], found["high"] = (
            (None, None) if found["low"] is None else (-found["high"], -found["low"])
        )
    return found


def better(found: Mapping[str, Any], *, chance: float = CHANCE) -> bool:
    """Is the difference above 0 beyond chance?  Where all folds differ by the same it is."""
    if not found["difference"] or found["difference"] <= 0:
        return False
    return found["p_value"] is None or found["p_value"] < chance


def level(found: Mapping[str, Any]) -> bool:
    """Is a difference within one standard error (the rule of Breiman, Friedman, Olshen & Stone 1984, section 3.4.3), that of the
    difference itself, fold by fold?  A test that proves nothing on five folds makes no two models equal."""
    from scipy import stats

    if not found["difference"] or found["difference"] <= 0:
        return True
    return found["p_value"] is not None and found["p_value"] >= 2 * stats.t.sf(1, found["folds"] - 1)


def best_of(models: Sequence[dict[str, Any]], ground: Ground) -> dict[str, Any] | None:
    """The model with the best mean."""
    known = [model for model in models if model["score"] and model["score"]["mean"] is not None]
    sign = 1 if ground.metric.higher_is_better else -1
    return max(known, key=lambda model: sign * model["score"]["mean"], default=None)


def ranked(models: Sequence[dict[str, Any]], ground: Ground) -> list[dict[str, Any]]:
    """Candidates (a model and a method each), the first one first; each has `fits`, and why it stands where it does."""
    best = best_of(models, ground)
    sign = 1 if ground.metric.higher_is_better else -1

    def order(model: dict[str, Any]) -> tuple[Any, ...]:
        mean = model["score"]["mean"] if model["score"] else None
        alike = best is None or model is best or level(model["behind"])
        seconds = next((one["seconds"] for one in model["methods"] if one["fits"]), float("inf"))
        if best is None or (mean is not None and alike):
            return (0, seconds)
        return (1, -sign * mean if mean is not None else float("inf"))

    for model in models:
        model["behind"] = apart(best["values"], model["values"], ground) if best and model["values"] else None
        if model["behind"] is None:
            model["behind"] = {"difference": None, "p_value": None, "low": None, "high": None}
    found = []
    for model in sorted(models, key=order):
        for method in model["methods"]:
            found.append({"model": model["model"], **method})
    # What does not fit comes behind all that does; of one model its methods stand in their order.
    return sorted(found, key=lambda one: not one["fits"])


def reasons(
    first: Mapping[str, Any],
    models: Sequence[dict[str, Any]],
    ground: Ground,
    candidates: Sequence[dict[str, Any]],
) -> list[str]:
    """Why the first candidate is the first, in sentences."""
    model = next(one for one in models if one["model"] == first["model"])
    best, said = best_of(models, ground), []
    facts = {"model": model["model"], "method": first["method"], "task": ground.recipe.task["name"]}
    if model["score"] and model["score"]["mean"] is not None:
        facts |= {"metric": ground.name, "mean": f"{model['score']['mean']:.3f}", "folds": ground.folds}
        if len(models) == 1:
            said.append(reason("choice_alone", **facts))
        elif model is best:
            said.append(reason("choice_best", **facts, models=len(models)))
        else:
            assert best
            facts |= {"best": best["model"], "other": f"{best['score']['mean']:.3f}"}
            key = "choice_equal" if level(model["behind"]) else "choice_behind"
            said.append(reason(key, **facts, minutes=f"{first['seconds'] / 60:.1f}"))
    else:
        said.append(reason("choice_unprobed" if ground.how != "none" else "choice_unasked", **facts))
    rows = len(ground.checked.rows)
    said.append(
        reason(
            "choice_untaught" if model["about"]["untaught"] else f"choosing_{first['method']}",
            rows=f"{rows:,}",
        )
    )
    said += warned(model, ground)
    return said


def warned(model: Mapping[str, Any], ground: Ground) -> list[str]:
    """What speaks against a model, whatever its folds say."""
    from weitiao.data.unknown import UNKNOWN

    said, name, tokens, about = [], model["model"], model["tokens"], model["about"]
    if tokens and tokens["unknown"] > UNKNOWN:
        said.append(reason("choice_unknown", model=name, share=f"{tokens['unknown']:.0%}"))
    if tokens and tokens["rows_cut"] >= 0.01:
        facts = {
            "rows": f"{tokens['rows_cut']:.0%}",
            "tokens": f"{tokens['tokens_cut']:.0%}",
            "limit": tokens["limit"],
        }
        said.append(reason("choice_cut", model=name, **facts))
    spoken = ground.diagnosis.tables.get("languages") or {}
    main = max((one for one in spoken if one != "unknown"), key=lambda one: spoken[one], default="")
    stated = about["languages"]
    if (
        main
        and stated
        and main not in stated
        and not any("languages" in one or one == "multilingual" for one in stated)
    ):
        said.append(reason("choice_language", model=name, stated=", ".join(stated), spoken=main))
    if not about["licence"]:
        said.append(reason("choice_licence", model=name))
    return said
