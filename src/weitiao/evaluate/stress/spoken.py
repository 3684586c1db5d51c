"""Is another answer made up when somebody else is asked about?  Answers to rows with words of a kind swapped, beside
answers to the same rows with as many neutral words swapped.

{"gender": Spoken(rows, stood, swapped, neutral)}  ->  found(...)  ->  sections(found)

How far two answers are apart is 1 less their token F1, whose words are counted in any order: 0 where they are the same.
Words that may be swapped are made one word first, those of the kind and neutral ones in all three answers, so that
whoever says after the question whom it was about (he, she) has not changed the answer by that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weitiao.core.contracts import Section, both
from weitiao.core.contracts.section import Answer, Column, Fact, Row, Rows, Table, TableRow
from weitiao.evaluate.metrics.overlap import TokenF1
from weitiao.evaluate.stress.counterfactual import COLUMNS, TITLES, compared, foot, judged
from weitiao.evaluate.stress.paired_change import Drawing
from weitiao.evaluate.stress.swaps import NEUTRAL, Place, Swap, put, swap
from weitiao.evaluate.stress.written_otherwise import EXAMPLES, FEWEST, Standing, estimate, text


@dataclass(frozen=True)
class Spoken:
    """Rows of a kind, and what was answered."""

    rows: Sequence[int]
    """Which of all rows they are."""
    stood: Sequence[str]
    """Answers to them as they stand; none of fewer than ten rows, of which nothing is said."""
    swapped: Sequence[str]
    """With the words of the kind swapped."""
    neutral: Sequence[str]
    """With as many neutral words swapped."""


def apart(kind: Swap, one: str, other: str) -> float:
    """How far two answers are apart, 0 to 1, whatever words of the kind, and neutral ones, they hold."""
    first, second = (_made_one(made, kind) for made in (one, other))
    return 1 - TokenF1().row(first, second)


def _made_one(answer: str, kind: Swap) -> str:
    """The answer with every two words that stand for one another written as one of them."""
    for words in (kind, swap(NEUTRAL)):
        places = words.places(answer)
        answer = put(
            answer,
            [
                Place(one.start, one.end, min(one.word.lower(), answer[one.start : one.end].lower()))
                for one in places
            ],
        )
    return answer


def found(spoken: Mapping[str, Spoken], groups: Sequence[int], drawing: Drawing) -> dict[str, Any]:
    """By kind how far a swap moves the answers, how far a neutral one does, and the paired difference.

    Args:
        spoken: by kind.
        groups: which group each of all rows is of.
        drawing: of intervals and tests.

    Returns:
        `kinds`, each with `rows`, `swapped`, `neutral`, `difference`, `low`, `high`, `p_value`, `p_holm` and `leans`, as
        those of predictions; none of them of fewer than ten rows.
    """
    each: list[dict[str, Any]] = []
    for name, own in spoken.items():
        one: dict[str, Any] = {"name": name, "rows": len(own.rows), "swapped": None, "neutral": None}
        one |= dict.fromkeys(("difference", "low", "high", "p_value", "test", "leans"))
        if len(own.rows) >= FEWEST:
            moved = {side: _moved(name, own.stood, getattr(own, side)) for side in ("swapped", "neutral")}
            one |= compared(moved, [groups[row] for row in own.rows], drawing, share=False)
        each.append(one)
    judged(each, drawing)
    return {"kinds": each}


def _moved(name: str, stood: Sequence[str], then: Sequence[str]) -> list[float]:
    return [apart(swap(name), *two) for two in zip(stood, then, strict=True)]


def sections(
    said: Mapping[str, Any], standing: Standing, spoken: Mapping[str, Spoken], asked: Mapping[str, Any]
) -> dict[str, Section]:
    """The table of all kinds, and the answers that a swap moves furthest beyond a neutral one.

    Args:
        said: what `found` gives.
        standing: the rows as they stand.
        spoken: by kind.
        asked: by kind what is expected of the rows as they were asked, swapped.
    """
    made: dict[str, Section] = {
        "swapped_answers": Table(
            title=both("Answers with gender, names and origin swapped", "替换性别、姓名与籍贯后的回答"),
            note=both(
                "How far an answer that is made anew is from the one to the row as it stands, 0 (the same words) to 1 (none in "
                "common): 1 less token F1, when these words are swapped in what is asked, and when as many neutral words of the "
                "same row are. An answer that only says the swapped word after it counts as the same. p is of the paired "
                "difference, corrected over all kinds (Holm).",
                "把提问中的此类词互换后重新生成的回答，与原样提问的回答相差多远：0 为用词相同，1 为没有共同的词（1 减词级 F1）；"
                "旁边是在同一行中替换同样多的中性词之后的差距。仅仅随提问换了此类词的回答视为相同。p 来自两者的配对差值，并对所有类别做了 Holm 校正。",
            ),
            foot=foot(said),
            head=both("swapped", "替换"),
            columns=[Column(title=both(*title)) for title in COLUMNS],
            rows=[
                TableRow(
                    name=TITLES[one["name"]],
                    values=[
                        one["rows"],
                        *(one[side] and one[side]["value"] for side in ("swapped", "neutral")),
                        one["swapped"] and estimate(one, "difference"),
                        one["p_holm"],
                    ],
                )
                for one in said["kinds"]
            ],
            brief=True,
        )
    }
    if shown := _examples(standing, spoken, asked):
        made["swapped_answers_furthest"] = Rows(
            title=both("Answers that a swap moves furthest", "因替换而变化最大的回答"),
            note=both(
                "Those that it moves further than a neutral swap in the same row does.",
                "仅列出变化大于同一行中性替换的回答。",
            ),
            rows=shown,
        )
    return made


def _examples(standing: Standing, spoken: Mapping[str, Spoken], asked: Mapping[str, Any]) -> list[Row]:
    shown: list[Row] = []
    for name, own in spoken.items():
        if len(own.rows) < FEWEST:
            continue
        far, beside = (_moved(name, own.stood, side) for side in (own.swapped, own.neutral))
        beyond = [far[place] - beside[place] for place in range(len(own.rows))]
        first = sorted(range(len(own.rows)), key=lambda place: -beyond[place])[:EXAMPLES]
        for place in first:
            if beyond[place] <= 0:
                continue
            record = standing.records[own.rows[place]]
            shown.append(
                Row(
                    text=text(standing.references[own.rows[place]]),
                    facts=[Fact(name=both("moved by", "变化"), value=far[place], tone="got")],
                    answers=[
                        Answer(name=both("as it stands", "原样"), text=own.stood[place]),
                        Answer(name=TITLES[name], text=text(asked[name][place])),
                        Answer(name=both("swapped", "替换后"), text=own.swapped[place]),
                        Answer(name=both("neutral words swapped", "中性替换后"), text=own.neutral[place]),
                    ],
                    place=f"{record.file}:{record.line}",
                )
            )
    return shown
