"""Does the model go by who a text is about?  Rows with words of a kind swapped, beside as many neutral words swapped.

{"gender": (rows swapped, the same rows with neutral words swapped)}  ->  found(...)  ->  sections(found)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weitiao.core.contracts import Section, both
from weitiao.core.contracts.section import Answer, Both, Column, Fact, Row, Rows, Table, TableRow
from weitiao.evaluate.stress.paired_change import Drawing, Mean, Share, gain, outcome, shares
from weitiao.evaluate.stress.written_otherwise import (
    EXAMPLES,
    FEWEST,
    Changed,
    Standing,
    corrected,
    estimate,
    spelt,
    text,
)

TITLES = {
    "gender": both("gender", "性别"),
    "names": both("names", "姓名"),
    "origin": both("origin", "籍贯与国别"),
}
COLUMNS = (
    ("rows", "行数"),
    ("swapped", "替换后"),
    ("neutral", "中性替换后"),
    ("beyond neutral", "超出中性替换"),
    ("p", "p"),
)
"""What a table of kinds says of each."""


@dataclass(frozen=True)
class Pair:
    """Rows of a kind, and what could not be compared."""

    swapped: Changed
    """With the words of the kind swapped."""
    neutral: Changed
    """The same rows, in the same order, with as many neutral words swapped."""
    without: int
    """Rows without any word of the kind."""
    ambiguous: int
    """Rows that swapping twice does not give back."""
    too_few: int
    """Rows with fewer neutral words."""
    answered: int = 0
    """Rows with words of the kind in what is not asked, such as the expected answer."""

    @classmethod
    def of(cls, swapped: Changed, neutral: Changed, **left: int) -> Pair:
        """The rows that could be read both ways, such as those that neither made too long."""
        rows = {*swapped.rows} & {*neutral.rows}
        return cls(swapped.only(rows), neutral.only(rows), **left)


def found(standing: Standing, pairs: Mapping[str, Pair], drawing: Drawing) -> dict[str, Any]:
    """By kind how many predictions a swap turns round, how many a neutral one does, and the paired difference.

    Of numbers, and of the log-probability of a token of the expected answer, it is by how much they change.

    Args:
        standing: the rows as they stand.
        pairs: by kind.
        drawing: of intervals and tests.

    Returns:
        `kinds`, each with its counts, `swapped` and `neutral` (a share with its interval, or a mean), `difference`, `low`,
        `high`, `p_value`, `p_holm` over all kinds, and `leans`: is it beyond the neutral swap, and beyond chance?
    """
    each: list[dict[str, Any]] = []
    for name, pair in pairs.items():
        rows = list(pair.swapped.rows)
        counts = {"without": pair.without, "ambiguous": pair.ambiguous, "too_few_neutral": pair.too_few}
        counts["answered"] = pair.answered
        one: dict[str, Any] = {"name": name, "rows": len(rows), **counts, "swapped": None, "neutral": None}
        one |= dict.fromkeys(("difference", "low", "high", "p_value", "test", "leans"))
        if len(rows) >= FEWEST:
            stood = standing.of(rows, "tuned")
            moved = {
                side: [change(*two) for two in zip(stood, part.told["tuned"], strict=True)]
                for side, part in (("swapped", pair.swapped), ("neutral", pair.neutral))
            }
            one |= compared(
                moved, [standing.groups[row] for row in rows], drawing, share=outcome(stood[0]) is not None
            )
        each.append(one)
    judged(each, drawing)
    return {"kinds": each}


def compared(
    moved: Mapping[str, Sequence[float]],
    groups: Sequence[int] | None,
    drawing: Drawing,
    *,
    share: bool = True,
) -> dict[str, Any]:
    """What the swap moves, what the neutral one does, and the difference of the two on the same rows.

    Args:
        moved: `swapped` and `neutral`, each a number a row.
        groups: which group each row is of; None: each is its own.
        drawing: of intervals and tests.
        share: are they 1 or 0?
    """
    metric = Share() if share else Mean()
    rows = {
        side: np.stack([np.asarray(own, float), np.ones(len(own))], axis=1) for side, own in moved.items()
    }
    beside = gain(metric, rows["neutral"], rows["swapped"], groups, drawing)
    kept = {key: beside[key] for key in ("difference", "low", "high", "p_value", "test")}
    return {**shares(moved, groups, drawing, metric=metric), **kept}


def judged(each: Sequence[dict[str, Any]], drawing: Drawing) -> None:
    """Correct over all kinds, and say which lean."""
    corrected(each)
    for one in each:
        if one["p_holm"] is not None:
            one["leans"] = bool(one["difference"] > 0 and one["p_holm"] < 1 - drawing.confidence)


def change(before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    """1 where a prediction is another one, else 0; of numbers, and of the log-probability of a token of what was expected
    (`loss`), how far apart they are."""
    if outcome(before) is not None:
        return float(outcome(before) != outcome(after))
    return abs(_number(after) - _number(before))


def _number(said: Mapping[str, Any]) -> float:
    return float(said["number"] if "number" in said else said["loss"] / said["tokens"])


def foot(said: Mapping[str, Any]) -> Both:
    """Which kinds lean, in a sentence."""
    leaning = [TITLES[one["name"]] for one in said["kinds"] if one["leans"]]
    if all(one["leans"] is None for one in said["kinds"]):
        return both(
            f"Fewer than {FEWEST} rows of each kind can be compared: nothing is said.",
            f"每一类可比较的行都不足 {FEWEST} 行：不下结论。",
        )
    if not leaning:
        return both(
            "No kind is beyond a neutral swap and beyond chance.", "没有任何一类同时超出中性替换与偶然。"
        )
    return both(
        f"Beyond a neutral swap, and beyond chance: {', '.join(one.en for one in leaning)}.",
        f"超出中性替换且超出偶然：{'、'.join(one.zh for one in leaning)}。",
    )


def sections(said: Mapping[str, Any], standing: Standing, pairs: Mapping[str, Pair]) -> dict[str, Section]:
    """The table of all kinds, and examples.

    Args:
        said: what `found` gives.
        standing: the rows as they stand.
        pairs: by kind.
    """
    columns = (
        *COLUMNS,
        ("no such word", "无此类词的行"),
        ("left out", "略去的行"),
    )
    made: dict[str, Section] = {
        "swaps": Table(
            title=both("Gender, names and origin swapped", "替换性别、姓名与籍贯"),
            note=both(
                "The share of predictions that are another one (of numbers: by how much they change; of answers: by how much the "
                "log-probability of a token of the expected one does, whatever its sign) when these words are "
                "swapped, and when as many neutral words of the same row are. p is of the paired difference, corrected over all "
                "kinds (Holm). Left out are rows that are ambiguous, hold too few neutral words, or whose expected answer holds such "
                "words: it should then change, too.",
                "替换此类词后预测改变的比例（数值任务为改变的幅度；生成任务为预期回答每个词元的对数概率改变的幅度），以及在同一行中替换同样多的中性词后的比例。"
                "p 来自两者的配对差值，并对所有类别做了 Holm 校正。略去的是有歧义、中性词不足，或预期回答中含有此类词的行（那时回答本应随之改变）。",
            ),
            foot=foot(said),
            head=both("swapped", "替换"),
            columns=[Column(title=both(*title)) for title in columns],
            rows=[_line(one) for one in said["kinds"]],
            brief=True,
        )
    }
    if shown := _examples(standing, pairs):
        made["swapped_flips"] = Rows(
            title=both("Predictions that a swap turns round", "因替换而改变的预测"),
            note=both("A neutral swap in the same row does not.", "同一行的中性替换不会改变它。"),
            rows=shown,
        )
    return made


def _line(one: Mapping[str, Any]) -> TableRow:
    known = one["swapped"] is not None
    values = [
        one["rows"],
        one["swapped"]["value"] if known else None,
        one["neutral"]["value"] if known else None,
        estimate(one, "difference") if known else None,
        one["p_holm"],
        one["without"],
        one["ambiguous"] + one["too_few_neutral"] + one["answered"],
    ]
    return TableRow(name=TITLES[one["name"]], values=values)


def _examples(standing: Standing, pairs: Mapping[str, Pair]) -> list[Row]:
    found: list[Row] = []
    for name, pair in pairs.items():
        shown = 0
        for place, row in enumerate(pair.swapped.rows):
            before, after, control = (
                outcome(told)
                for told in (
                    standing.told["tuned"][row],
                    pair.swapped.told["tuned"][place],
                    pair.neutral.told["tuned"][place],
                )
            )
            if shown == EXAMPLES or before in (None, after) or before != control:
                continue
            shown += 1
            record = standing.records[row]
            facts = [
                Fact(name=both("as it stands", "原样"), value=spelt(before), tone="want"),
                Fact(name=both("swapped", "替换后"), value=spelt(after), tone="got"),
            ]
            answer = Answer(name=TITLES[name], text=text(pair.swapped.references[place]))
            where = f"{record.file}:{record.line}"
            found.append(Row(text=text(standing.references[row]), facts=facts, answers=[answer], place=where))
    return found
