"""The rows that went worst, each but once: near copies with one mistake are one row, which says how many they are.

cases, the worst first  ->  worst(judged, cases)  ->  [Row(text=..., facts=[...], place="reviews.csv:17", times=6), ...]
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Judged
from weitiao.core.contracts.section import Answer, Both, Fact, Row, both

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = 100
LARGE = 40
"""Pictures that are drawn on are larger, and so many of them are shown."""
SIDE = 96
"""Pixels of a picture's longer side in the page."""
LOOKED_AT = 400
"""Among so many copies are looked for."""
TRUE, PREDICTED = both("true", "真实"), both("predicted", "预测")
NONE = both("none", "无")
CALLED = {
    "tuned": both("tuned", "微调后"),
    "untuned": both("untuned", "微调前"),
    "reference": both("reference", "参考答案"),
}


@dataclass(frozen=True)
class Case:
    """A row, and what is wrong with it."""

    row: int
    facts: Sequence[Fact]
    mistake: Hashable
    """Copies are one row where this is the same."""
    answers: Sequence[Answer] = ()
    drawn: Callable[[Image], Image] | None = None
    """What is drawn on its picture, if it has one."""


def worst(judged: Judged, cases: Sequence[Case]) -> list[Row]:
    """The first of them as they are shown.

    Args:
        judged: whose rows they are.
        cases: the worst first.
    """
    from weitiao.data.near import near_groups

    first = cases[:LOOKED_AT]
    texts = [text(judged.rows[case.row]) for case in first]
    like = list(range(len(first)))
    if any(texts):  # pictures are like each other otherwise: near copies stand on one side, each for itself
        like = near_groups(texts).tolist() if len(first) > 1 else [0] * len(first)
        # One question may be asked about many pictures.
        shows = [bool(judged.rows[case.row].get("images")) for case in first]
        like = [-1 - place if shows[place] else group for place, group in enumerate(like)]
    found: dict[tuple[int, Hashable], Row] = {}
    for group, case, said in zip(like, first, texts, strict=True):
        one = found.get((group, case.mistake))
        if one:
            one.times += 1
        else:
            row = judged.rows[case.row]
            told: dict[str, Any] = {
                "text": said,
                "place": place(row),
                **_seen(row, len(found), case.drawn),
                **shown(row),
            }
            found[group, case.mistake] = Row(**told, facts=list(case.facts), answers=list(case.answers))
    return list(found.values())[:SHOWN]


def _seen(row: Mapping[str, Any], shown: int, drawn: Callable[[Image], Image] | None) -> dict[str, Any]:
    """The name of a row's picture, and a small copy of it; nothing of other rows."""
    path = row.get("image")
    if not path:
        return {}
    from weitiao.data.pictures.thumbnail import thumbnail

    most = LARGE if drawn else SHOWN
    return {"text": named(row), "picture": thumbnail(path, side=SIDE, drawn=drawn) if shown < most else ""}


def named(row: Mapping[str, Any]) -> str:
    """The name of a row's picture and of the folder that it lies in; empty of a row without one."""
    path = row.get("image") or ""
    return os.path.join(os.path.basename(os.path.dirname(path)), os.path.basename(path))


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Small copies of the pictures among the words of a row; nothing of other rows."""
    paths = row.get("images")
    if not paths:
        return {}
    from weitiao.data.pictures.thumbnail import strip

    return {"picture": strip(paths, side=SIDE)}


def text(row: Mapping[str, Any]) -> str:
    """What a reader sees of a row: its text, both of a pair, its prompt, its question and context, or what it searches
    with."""
    shown = (
        "text",
        "text_pair",
        "prompt",
        "question",
        "context",
        "query",
        "sentence1",
        "sentence2",
        "anchor",
    )
    return "\n".join(row[name] for name in shown if row.get(name))


def place(row: Mapping[str, Any]) -> str:
    """File and line."""
    return f"{row['file']}:{row['line']}" if "file" in row else ""


def wrong_of(wrong: int, rows: int, then: Both) -> Both:
    """How many rows are wrong, and in which order they come."""
    return both(
        f"{wrong:,} of {rows:,} test rows are wrong. {then.en}",
        f"测试集 {wrong:,} / {rows:,} 行预测有误。{then.zh}",
    )


def said(judged: Judged, row: int, systems: Sequence[str]) -> list[Answer] | None:
    """What these systems answered, and the reference; none where none of them did."""
    told = {name: judged.systems[name][row] for name in systems if judged.systems.get(name)}
    answers = {name: one["answer"] for name, one in told.items() if "answer" in one}
    if not answers:
        return None
    answers["reference"] = judged.rows[row].get("reference") or ""
    return [Answer(name=CALLED[name], text=text, system=name) for name, text in answers.items()]
