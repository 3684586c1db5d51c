"""Is the model as good to every group of rows, and does it say the same of them?

    score                  the task's metric, group by group
    parity of a label      how often it is said of a group            demographic parity (fairlearn: demographic_parity_difference)
    opportunity of it      of the rows that carry it, how many        equal opportunity, Hardt et al. 2016, arXiv 1610.02413
                           are found                                  (fairlearn: equal_opportunity_difference)

A gap is the highest value of a group less the lowest.  Its interval draws rows anew (whole users, where rows belong together)
and is of the two groups that are furthest apart; its p-value knows that they are: groups are dealt to rows at random, and p is
how often any two are then as far apart.  Of an opportunity only rows that carry the label take part, so that groups in which it
comes more often are not taken for groups that are treated otherwise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weitiao.core.contracts import Metric, Section, Summed, both
from weitiao.core.contracts.section import Both, Column, Table, TableRow
from weitiao.core.why import reason
from weitiao.evaluate import judge, resample
from weitiao.evaluate.arrays import marks
from weitiao.evaluate.stress.paired_change import Drawing, Share
from weitiao.evaluate.stress.written_otherwise import FEWEST, Standing, corrected, estimate
from weitiao.evaluate.words import words

DEALT = 1_999
"""How often groups are dealt at random; more where so many gaps are looked at that none could be beyond chance."""
BLOCK = 1 << 20


@dataclass(frozen=True)
class _Measure:
    """What is compared."""

    name: str
    label: str
    metric: Summed
    rows_NK: Any
    counts_N: Any
    """Which rows take part."""


def gaps(
    standing: Standing,
    values: Sequence[str | None],
    column: str,
    name: str,
    metric: Metric,
    drawing: Drawing,
    *,
    dealt: int = DEALT,
) -> dict[str, Any]:
    """Every gap between the groups of a column, for the tuned model.

    Args:
        standing: the rows and what is said of them.
        values: the group of each row; None where it has none.
        column: what the groups are of.
        name: of the metric.
        metric: that the task looks at first.
        drawing: of intervals and tests.
        dealt: how often groups are dealt at random, at least.

    Returns:
        `groups` and `too_few` (with their rows), `without` (rows of no group), and `measures`: each with `name` (`score`,
        `parity`, `opportunity`), `label`, `values` by group, `most`, `least`, `difference` (the gap), `low`, `high`, `p_value`
        and `p_holm` over all of them; or `why` there is none.
    """
    counted = Counter(value for value in values if value is not None)
    groups = {group: rows for group, rows in sorted(counted.items()) if rows >= FEWEST}
    few = {group: rows for group, rows in sorted(counted.items()) if rows < FEWEST}
    found: dict[str, Any] = {"column": column, "groups": groups, "too_few": few}
    found["without"] = len(values) - sum(counted.values())
    if len(groups) < 2:
        return {**found, "why": reason("fewer_than_two_groups", column=column, rows=FEWEST)}
    place = {group: number for number, group in enumerate(groups)}
    code_N = np.array([place.get(value, -1) if value is not None else -1 for value in values])
    measures = list(_measures(standing, metric))
    times = max(dealt, math.ceil(2 * len(measures) / (1 - drawing.confidence)))
    each = [_gap(one, code_N, list(groups), standing.groups, drawing, times) for one in measures]
    corrected(each)
    return {**found, "metric": name, "measures": each}


def _measures(standing: Standing, metric: Metric) -> Iterator[_Measure]:
    told = standing.told["tuned"]
    everyone = np.ones(len(told), dtype=bool)
    if isinstance(metric, Summed):
        rows_NK = judge.read(standing.references, {"tuned": told}, {"m": metric}, standing.labels)["tuned"][
            "m"
        ]
        yield _Measure("score", "", metric, rows_NK, everyone)
    if standing.labels and {"label", "labels"} & {*told[0]} and "tags" not in told[0]:
        true_NC, said_NC = (marks(rows, standing.labels) for rows in (standing.references, told))
        for place, label in enumerate(standing.labels):
            rows_NK = np.stack([said_NC[:, place], np.ones(len(told))], axis=1)
            yield _Measure("parity", label, Share(), rows_NK, everyone)
            yield _Measure("opportunity", label, Share(), rows_NK, true_NC[:, place] > 0)


def _gap(
    one: _Measure, code_N: Any, groups: Sequence[str], units: Sequence[int], drawing: Drawing, times: int
) -> dict[str, Any]:
    sizes = np.bincount(code_N[one.counts_N & (code_N >= 0)], minlength=len(groups))
    enough = [number for number, size in enumerate(sizes) if size >= FEWEST]
    there_N = one.counts_N & np.isin(code_N, enough)
    found: dict[str, Any] = {"name": one.name, "label": one.label}
    found["values"] = {}
    found |= dict.fromkeys(("most", "least", "difference", "low", "high", "p_value"))
    if len(enough) < 2:
        return {**found, "why": reason("too_few_of_label", label=one.label or one.name, rows=FEWEST)}
    rows_NK, code_N = one.rows_NK[there_N], np.searchsorted(enough, code_N[there_N])
    unit_N, count = resample.units(np.asarray(units)[there_N].tolist(), len(rows_NK))
    values_G = _of_groups(one.metric, rows_NK, code_N[None], len(enough))[0]
    names = [groups[number] for number in enough]
    if not np.isfinite(values_G).all():
        return {**found, "why": reason("group_without_value", name=one.name)}
    most, least = int(values_G.argmax()), int(values_G.argmin())
    difference = float(values_G[most] - values_G[least])
    found["values"] = dict(zip(names, values_G.tolist(), strict=True))
    found |= {"most": names[most], "least": names[least], "difference": difference}
    # Rows of other groups add nothing to the sums of a draw.
    ends = {end: (one.metric, rows_NK * (code_N == end)[:, None]) for end in (most, least)}
    if most != least:
        drawn = resample.bootstrap(
            {str(end): two for end, two in ends.items()},
            unit_N,
            count,
            resamples=drawing.resamples,
            seed=drawing.seed,
        )
        around = resample.interval(
            drawn[str(most)] - drawn[str(least)], drawing.confidence, count=max(2, count)
        )
        if around and not math.isclose(*around, rel_tol=1e-12, abs_tol=1e-12):
            found |= {"low": around[0], "high": around[1]}
    return {
        **found,
        "p_value": _p_value(one.metric, rows_NK, code_N, unit_N, len(enough), difference, times, drawing),
    }


def _p_value(
    metric: Summed,
    rows_NK: Any,
    code_N: Any,
    unit_N: Any,
    groups: int,
    difference: float,
    times: int,
    drawing: Drawing,
) -> float:
    """How often groups dealt at random are as far apart.  Units of one group are dealt whole; in a unit with rows of several
    groups these are dealt among its own rows."""
    stratum_E, code_E, sums_EK = _elements(rows_NK, code_N, unit_N)
    rng, far, done = np.random.default_rng(drawing.seed), 0, 0
    bar = difference - 1e-12 * max(1.0, abs(difference))
    while done < times:
        block = min(times - done, max(1, BLOCK // len(code_E)))
        order = np.argsort(stratum_E + rng.random((block, len(code_E))), axis=1)
        values_RG = _of_groups(metric, sums_EK, code_E[order], groups)
        far += int((~(values_RG.max(1) - values_RG.min(1) < bar)).sum())
        done += block
    return (far + 1) / (times + 1)


def _elements(rows_NK: Any, code_N: Any, unit_N: Any) -> tuple[Any, Any, Any]:
    """What is dealt: by stratum, in order; its group, and its sums."""
    first = np.unique(unit_N, return_index=True)[1]
    pure_N = np.ones(len(first), dtype=bool)
    np.logical_and.at(pure_N, unit_N, code_N == code_N[first][unit_N])
    alone_N = pure_N[unit_N]
    sums_UK = resample.sums(rows_NK, unit_N, len(first))[pure_N]
    stratum = np.concatenate([np.zeros(len(sums_UK)), 1.0 + unit_N[~alone_N]])
    code = np.concatenate([code_N[first][pure_N], code_N[~alone_N]])
    sums_EK = np.concatenate([sums_UK, rows_NK[~alone_N]])
    order = np.argsort(stratum, kind="stable")
    return stratum[order], code[order], sums_EK[order]


def _of_groups(metric: Summed, sums_EK: Any, codes_RE: Any, groups: int) -> Any:
    """The value of each group in each dealing (R, G)."""
    with np.errstate(all="ignore"):
        return np.stack(
            [metric.value((codes_RE == group).astype(float) @ sums_EK) for group in range(groups)], axis=1
        )


def section(found: Mapping[str, Any], drawing: Drawing) -> Section:
    """The gaps as a table.

    Args:
        found: what `gaps` gives, with `measures`.
        drawing: says what is beyond chance.
    """
    column = found["column"]
    beyond = [
        _title(one, found["metric"])
        for one in found["measures"]
        if one["p_holm"] is not None and one["p_holm"] < 1 - drawing.confidence
    ]
    said = (
        both(
            f"Beyond chance: {'; '.join(one.en for one in beyond)}.",
            f"超出偶然：{'；'.join(one.zh for one in beyond)}。",
        )
        if beyond
        else both("No gap is beyond chance.", "没有任何差距超出偶然。")
    )
    few = ", ".join(f"{group} ({rows})" for group, rows in found["too_few"].items())
    if few:
        said = both(f"{said.en} Too few rows: {few}.", f"{said.zh}行数太少：{few}。")
    titles = (("gap", "差距"), ("p", "p"), ("highest", "最高"), ("lowest", "最低"))
    return Table(
        title=both(f"Gaps between groups: {column}", f"各组之间的差距：{column}"),
        note=both(
            "The highest value of a group less the lowest, with the interval of these two. p is of the gap of any two groups, "
            "corrected over all lines (Holm). Said: how often a label is said of a group. Found: of the rows that carry it, "
            "how many get it.",
            "各组中最高值减最低值，区间属于这两组。p 针对任意两组之间的差距，并对所有行做了 Holm 校正。"
            "“预测为”指某组中被预测为该类别的比例；“找出”指该类别的行中被正确找出的比例。",
        ),
        foot=said,
        head=both("of", "项目"),
        columns=[Column(title=both(*title)) for title in titles],
        rows=[_line(one, found["metric"]) for one in found["measures"]],
        brief=True,
    )


def _title(one: Mapping[str, Any], metric: str) -> Both:
    label = one["label"]
    if one["name"] == "score":
        return both(words("en").get(metric, metric), words("zh").get(metric, metric))
    return (
        both(f"{label} said", f"预测为 {label}")
        if one["name"] == "parity"
        else both(f"{label} found", f"找出 {label}")
    )


def _line(one: Mapping[str, Any], metric: str) -> TableRow:
    ends: list[Any] = [None, None]
    if one["most"] is not None:
        ends = [f"{one[end]}: {one['values'][one[end]]:.3f}" for end in ("most", "least")]
    return TableRow(name=_title(one, metric), values=[estimate(one, "difference"), one["p_holm"], *ends])
