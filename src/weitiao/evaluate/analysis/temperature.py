"""One temperature for all probabilities: chosen by the validation rows, looked at on the test rows.

softmax(z / T)      T where the likelihood of the validation rows is largest      (Guo et al. 2017, arXiv 1706.04599)
sigmoid(z / T)      the same of several labels, over all rows and labels

log-likelihood is concave in 1 / T, so there is one T, or none: where every validation row is right any smaller T is better
still, and where probabilities go against the labels no T is.  What is said of a row does not change, only how surely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core.contracts import both
from weitiao.core.contracts.section import Column, Table, TableRow, estimated
from weitiao.core.why import reason
from weitiao.evaluate import judge, resample
from weitiao.evaluate.analysis.chances import Chances
from weitiao.evaluate.metrics.calibration import Ece

SHARPEST = 100.0
"""1 / T beyond which no number is a temperature."""
TINY = 1e-300


def temperature(
    validation: Chances, test: Chances, groups: Sequence[int], *, confidence: float, resamples: int, seed: int
) -> dict[str, Any]:
    """T, and what it does to calibration and likelihood of the test rows.

    Args:
        validation: rows that choose.
        test: rows that are looked at.
        groups: which group each test row is of.
        confidence: of intervals.
        resamples: draws behind them.
        seed: of the draws.
    """
    best = fitted(validation)
    if isinstance(best, str):
        return {"why": best}
    words: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    return {
        "temperature": best,
        "rows": int(validation.known.sum()),
        "validation": {"before": loss(validation, 1.0), "after": loss(validation, best)},
        "test": {
            "before": _looked_at(test, 1.0, groups, **words),
            "after": _looked_at(test, best, groups, **words),
        },
    }


def fitted(chances: Chances) -> float | str:
    """The temperature of the largest likelihood, or why there is none."""
    from scipy import optimize

    if _slope(chances, SHARPEST) <= 0:
        return reason("temperature_all_right")
    if _slope(chances, 1 / SHARPEST) > 0:
        return reason("temperature_against")
    # The slope of a convex loss rises; it is 0 once.
    return 1 / float(
        optimize.brentq(lambda sharp: _slope(chances, sharp), 1 / SHARPEST, SHARPEST, xtol=1e-12)
    )


def scaled(chances: Chances, heat: float) -> Any:
    """The probabilities (N, C) at this temperature."""
    logits = _logits(chances) / heat
    if chances.several:
        return 1 / (1 + np.exp(-np.clip(logits, -700, 700)))
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def loss(chances: Chances, heat: float) -> float | None:
    """Mean negative log-likelihood of the rows whose label is known, of several labels the mean over them too."""
    likely = scaled(chances, heat)[chances.known]
    true = chances.true[chances.known]
    if not len(true):
        return None
    of_true = np.where(true > 0, likely, 1 - likely) if chances.several else (likely * true).sum(1)
    return float(-np.log(np.maximum(of_true, TINY)).mean())


def _logits(chances: Chances) -> Any:
    """As far as probabilities tell: softmax and sigmoid of these give them back."""
    found = np.log(np.maximum(chances.scores, TINY))
    return found - np.log(np.maximum(1 - chances.scores, 1e-16)) if chances.several else found


def _slope(chances: Chances, sharp: float) -> float:
    """Of the summed loss over 1 / T."""
    known = chances.known
    off = scaled(chances, 1 / sharp) - chances.true
    return float((off * _logits(chances))[known].sum())


def _looked_at(
    chances: Chances, heat: float, groups: Sequence[int], *, confidence: float, resamples: int, seed: int
) -> dict[str, Any]:
    """ECE with its interval and that of a calibrated model on so many rows, and the loss."""
    likely, group = scaled(chances, heat), np.asarray(groups)
    if chances.several:  # each label of each row says yes or no
        sure, right = np.maximum(likely, 1 - likely).ravel(), ((likely >= 0.5) == (chances.true > 0)).ravel()
        group = np.repeat(group, likely.shape[1])
    else:
        place = likely.argmax(1)
        sure, right = likely.max(1), chances.true[np.arange(len(likely)), place] > 0
    metric = Ece()
    rows_NK = metric.told(sure, right.astype(float))
    found = judge.around(
        metric, rows_NK, group.tolist(), confidence=confidence, resamples=resamples, seed=seed
    )
    ideal = metric.by_chance(
        rows_NK, min(resamples, max(resample.FEWEST, judge.DRAWN // len(sure))), np.random.default_rng(seed)
    )
    span = resample.interval(ideal, confidence)
    found["by_chance"] = {"low": span[0], "high": span[1]} if span else None
    return {"ece": found, "loss": loss(chances, heat)}


def section(found: Mapping[str, Any]) -> Table | None:
    """Before and after as a table; none where there is no temperature."""
    if "temperature" not in found:
        return None
    heat, rows = found["temperature"], found["rows"]
    before, after = found["test"]["before"], found["test"]["after"]
    limit = after["ece"]["by_chance"]
    well = limit is not None and after["ece"]["value"] <= limit["high"]
    english = "as little as a calibrated model shows" if well else "still more than a calibrated model shows"
    chinese = "不多于校准良好的模型" if well else "仍多于校准良好的模型"
    sure = ("too sure", "过于自信") if heat > 1 else ("not sure enough", "不够自信")
    return Table(
        title=both("Temperature", "温度"),
        note=both(
            "Logits divided by one number, chosen by the validation rows alone. ECE: how far probabilities are from how often they "
            "are right; beside it what a calibrated model shows on so many rows by chance.",
            "以一个数除 logits，仅由验证数据选定。ECE：概率与实际判对比例的差距；旁边为校准良好的模型在同样多的行上因偶然而显示的范围。",
        ),
        foot=both(
            f"T = {heat:.3g}, from {rows:,} validation rows: the model is {sure[0]}. ECE {before['ece']['value']:.3f} "
            f"becomes {after['ece']['value']:.3f}, {english}.",
            f"T = {heat:.3g}，由 {rows:,} 行验证数据得出：模型{sure[1]}。ECE 由 {before['ece']['value']:.3f} 变为 "
            f"{after['ece']['value']:.3f}，{chinese}。",
        ),
        head=both("probabilities", "概率"),
        columns=[
            Column(title="ECE"),
            Column(title=both("calibrated: at most", "校准良好时至多")),
            Column(title=both("log loss", "对数损失")),
        ],
        rows=[
            TableRow(
                name=name,
                values=[estimated(one["ece"]), (one["ece"]["by_chance"] or {}).get("high"), one["loss"]],
            )
            for name, one in (
                (both("as they are", "原样"), before),
                (both(f"with T = {heat:.3g}", f"T = {heat:.3g}"), after),
            )
        ],
    )
