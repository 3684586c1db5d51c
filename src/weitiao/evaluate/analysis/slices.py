"""Where a metric is worse than elsewhere, corrected for many looks.

parts, what each row tells (N, K)  ->  slices  ->  value on each part, on the rest, and how likely so bad a part is by chance

What a row is worth is what the metric loses without it (the jackknife, Tukey 1958); of a mean that is its own value.  A part
is as bad as the sum of that over its rows, in standard deviations of what so many rows drawn at random have.  Rows are dealt
anew to all parts at once, and the worst part of each deal is kept: a part is named where it is worse than 95 % of those
(Westfall & Young 1993, Resampling-based multiple testing).  So on rows without any effect one report in twenty names one,
however many parts are looked at and however they overlap.  Rows that belong together are dealt together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core.contracts import Metric, Summed, Told, both
from weitiao.core.contracts.section import Column, Table, TableRow, Words, estimated
from weitiao.core.why import reason
from weitiao.evaluate import judge, resample
from weitiao.evaluate.analysis.parts import Part
from weitiao.evaluate.words import words

FEWEST = 10
"""Rows that a part must have, and the rest."""
DEALS = 999
"""How often rows are dealt anew; less often where there are many."""
EFFORT = 40_000_000
LEAST_DEALS = 199
SHOWN = 12
SAID = 6
"""Parts that are named in a sentence."""
TIES = 1e-9
CALLED = {
    "length": both("length", "长度"),
    "tokens": both("tokens", "词元数"),
    "unseen_words": both("words that no training row has", "训练数据中没有的词"),
    "pixels": both("size", "大小"),
    "aspect": both("width / height", "宽高比"),
    "light": both("brightness", "亮度"),
    "contrast": both("contrast", "对比度"),
    "colours": both("colours", "颜色"),
    "file": both("file", "文件"),
    "language": both("language", "语言"),
    "label": both("label", "类别"),
}


def suited(metrics: Mapping[str, Metric], tuned: Told) -> str:
    """The first metric that is a function of sums over all the rows; empty where none is."""
    for name, metric in metrics.items():
        if isinstance(metric, Summed) and not any(metric.lacks(told) for told in tuned):
            return name
    return ""


def slices(
    parts: Sequence[Part],
    rows_NK: Any,
    name: str,
    metric: Summed,
    groups: Sequence[int],
    *,
    confidence: float,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """The value on every part with its interval, the worst part first.

    Args:
        parts: of the rows.
        rows_NK: what each row tells of the metric.
        name: of the metric.
        metric: a function of their sums.
        groups: which group each row is of.
        confidence: of the intervals; a part is named where so bad a one is rarer than 1 less it.
        resamples: draws behind an interval.
        seed: of deals and draws.
    """
    rows = len(rows_NK)
    whole = judge.value(metric, rows_NK)
    found: dict[str, Any] = {"metric": name, "rows": rows, "value": whole if np.isfinite(whole) else None}
    enough = [part for part in parts if FEWEST <= part.rows.sum() <= rows - FEWEST]
    few = [part for part in parts if part.rows.sum() < FEWEST]
    # The value of rows with one label alone is another thing than that of all, where classes are averaged.
    left = {part.by for part in enough if part.by == "label" and rows_NK.shape[1] > 2}
    enough = [part for part in enough if part.by not in left]
    found["undefined"] = {by: reason("slices_of_classes", metric=name) for by in sorted(left)}
    found["too_few"] = [
        {"by": part.by, "name": _plain(part.name), "rows": int(part.rows.sum())} for part in few
    ]
    found["slices"] = []
    if not enough or not np.isfinite(whole):
        return {**found, "deals": 0, "named": 0}
    unit_N, units = resample.units(groups, rows)
    bad_S, p_S, deals = chances(enough, worth(metric, rows_NK), unit_N, units, seed=seed)
    group_N = np.asarray(groups)
    for place in np.argsort(-bad_S, kind="stable").tolist():
        part = enough[place]
        words: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
        own = judge.around(metric, rows_NK[part.rows], group_N[part.rows], **words)
        rest = judge.value(metric, rows_NK[~part.rows])
        less = None if own["value"] is None or not np.isfinite(rest) else own["value"] - rest
        found["slices"].append(
            {
                "by": part.by,
                "name": _plain(part.name),
                "rows": int(part.rows.sum()),
                **own,
                "rest": rest if np.isfinite(rest) else None,
                "difference": less,
                "p_value": float(p_S[place]),
                "named": bool(p_S[place] <= 1 - confidence + TIES),
            }
        )
    found["named"] = sum(one["named"] for one in found["slices"])
    return {**found, "deals": deals}


def worth(metric: Summed, rows_NK: Any) -> Any:
    """What the metric gains by each row (N,): positive for a row that makes it better."""
    sums_K = rows_NK.sum(0)
    gained_N = judge.value(metric, rows_NK) - np.asarray(metric.value(sums_K - rows_NK), dtype=float)
    return np.nan_to_num(gained_N if metric.higher_is_better else -gained_N, posinf=0.0, neginf=0.0)


def chances(
    parts: Sequence[Part], worth_N: Any, unit_N: Any, units: int, *, seed: int
) -> tuple[Any, Any, int]:
    """How bad each part is in standard deviations (S,), how likely the worst part is as bad by chance (S,), and in how
    many deals that was looked up."""
    from scipy import sparse

    size_U = np.bincount(unit_N, minlength=units)
    mean_U = np.bincount(unit_N, weights=worth_N, minlength=units) / size_U
    mean_U -= mean_U.mean()
    spread = mean_U.std()
    inside_SU = np.stack([np.bincount(unit_N[part.rows], minlength=units) for part in parts]).astype(float)
    wide_S = spread * np.sqrt(((inside_SU - inside_SU.mean(1, keepdims=True)) ** 2).sum(1))
    if spread <= TIES * np.abs(worth_N).max():  # all rows are alike
        return np.zeros(len(parts)), np.ones(len(parts)), 0
    wide_S[wide_S == 0] = np.inf  # as many rows of every group lie in it
    weights = sparse.csr_array(inside_SU)
    bad_S = -(weights @ mean_U) / wide_S
    deals = int(min(DEALS, max(LEAST_DEALS, EFFORT // units)))
    rng, done, worse_S = np.random.default_rng(seed), 0, np.zeros(len(parts))
    while done < deals:
        block = min(deals - done, max(1, resample.BLOCK // units))
        dealt_BU = rng.permuted(np.broadcast_to(mean_U, (block, units)), axis=1)
        worst_B = (-(weights @ dealt_BU.T) / wide_S[:, None]).max(0)
        worse_S += (worst_B[:, None] >= bad_S - TIES).sum(0)
        done += block
    return bad_S, (1 + worse_S) / (1 + deals), deals


def section(found: Mapping[str, Any]) -> Table | None:
    """The worst of them as a table; none where there is no part to speak of."""
    shown = found["slices"][: max(SHOWN, found["named"])]
    if not shown:
        return None
    metric = both(
        words("en").get(found["metric"], found["metric"]), words("zh").get(found["metric"], found["metric"])
    )
    return Table(
        title=both("Slices", "数据切片"),
        note=both(
            f"{metric.en} on parts of the test rows against all others, the worst first. p: how often the worst of all "
            f"{len(found['slices'])} parts is as bad by chance alone.",
            f"部分测试数据上的{metric.zh}，与其余数据相比，最差的在前。p：仅凭偶然，全部 {len(found['slices'])} 个切片中最差者也如此差的频率。",
        ),
        foot=_said(found, metric),
        head=both("slice", "切片"),
        columns=[
            Column(title=both("rows", "行数")),
            Column(title=metric),
            Column(title=both("the rest", "其余")),
            Column(title=both("difference", "差值")),
            Column(title=both("p, corrected", "校正后的 p")),
        ],
        rows=[
            TableRow(
                name=_named(one),
                values=[
                    one["rows"],
                    estimated(one),
                    one["rest"],
                    one["difference"],
                    one["p_value"],
                ],
            )
            for one in shown
        ],
    )


def _plain(name: Words) -> Any:
    return name if isinstance(name, str) else name.model_dump()


def _named(one: Mapping[str, Any]) -> Any:
    """`length: 1-34 characters`, what the user named set apart."""
    by, name = CALLED.get(one["by"], one["by"]), one["name"]
    english, chinese = (by, by) if isinstance(by, str) else (by.en, by.zh)
    en, zh = (name, name) if isinstance(name, str) else (name["en"], name["zh"])
    return both(f"{english}: \u2068{en}\u2069", f"{chinese}：\u2068{zh}\u2069")


def _said(found: Mapping[str, Any], metric: Any) -> Any:
    """What there is to be said: the parts that are named, and those of too few rows."""
    named = [one for one in found["slices"] if one["named"]][:SAID]
    if named:
        english = "; ".join(
            f"{_named(one).en} ({one['rows']:,} rows: {one['value']:.3f} against {one['rest']:.3f})"
            for one in named
        )
        chinese = "；".join(
            f"{_named(one).zh}（{one['rows']:,} 行：{one['value']:.3f}，其余 {one['rest']:.3f}）"
            for one in named
        )
        said = both(f"Worse than by chance: {english}.", f"差于偶然：{chinese}。")
    else:
        count = len(found["slices"])
        said = both(
            f"No part is worse than the worst of {count} is by chance.",
            f"{count} 个切片中没有一个差到超出偶然。",
        )
    few = found["too_few"]
    if few:
        english = ", ".join(_named(one).en for one in few[:SAID]) + (
            f" and {len(few) - SAID} more" if len(few) > SAID else ""
        )
        chinese = "、".join(_named(one).zh for one in few[:SAID]) + (
            f"等 {len(few)} 个" if len(few) > SAID else ""
        )
        said = both(
            f"{said.en} Fewer than {FEWEST} rows, so not looked at: {english}.",
            f"{said.zh}不足 {FEWEST} 行而未考察：{chinese}。",
        )
    return said
