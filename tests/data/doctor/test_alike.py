"""Which rows are nearly the same where what they keep together is a part of each: a context, a query, a prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import weitiao as wt
from weitiao.core.contracts import Record, Shape
from weitiao.data.doctor import examine
from weitiao.data.near import near_groups
from weitiao.data.questioned import Questioned
from weitiao.data.ranked import Ranked
from weitiao.data.shapes import LABELLED, UNPAIRED

ABOUT = [
    "The harbour of {} was built of grey stone long before the railway came down the valley.",
    "Bread is baked in {} every night by nine people who have never seen the sea or a ship.",
    "A road of {} leads from the market over three bridges to the old mill in the forest.",
]
ASKED = [
    "Who came from far away?",
    "How many years did it take until all was done?",
    "What is it that nobody there had expected?",
]
TOWNS = ["Aland", "Berlin", "Cardiff"]


def questioned(long: str, short: str, good: bool) -> dict[str, Any]:
    return {"question": short, "context": long, "answers": [{"text": long[:3], "start": 0}] if good else []}


def ranked(long: str, short: str, good: bool) -> dict[str, Any]:
    return {"query": long, "passages": [short], "scores": [float(good)]}


def unpaired(long: str, short: str, good: bool) -> dict[str, Any]:
    turns = {
        "prompt": [{"role": "user", "content": long}],
        "completion": [{"role": "assistant", "content": short}],
    }
    return turns | {"label": good}


def entailed(long: str, short: str, good: bool) -> dict[str, Any]:
    # So long that what is said of it hardly counts.
    text = " ".join(long.replace(" ", f"{number} ") for number in range(10, 20))
    return {"text": text, "text_pair": short, "label": "yes" if good else "no"}


Made = Callable[[str, str, bool], dict[str, Any]]


def told(rows: list[dict[str, Any]], shape: Shape, **known: Any) -> dict[str, Any]:
    records = [Record("f.csv", line, values) for line, values in enumerate(rows, start=2)]
    groups = near_groups([shape.group(row) for row in rows])
    ledger = {"total": len(rows), "counts": {"kept": len(rows)}, "rows": [], "files": []}
    diagnosis = examine(records, shape, ledger=ledger, groups=groups, **known)
    return {one.code: one for one in diagnosis.findings}


@pytest.mark.parametrize(
    ("shape", "made"),
    [(Questioned(), questioned), (Ranked(), ranked), (UNPAIRED, unpaired), (LABELLED, entailed)],
    ids=["questioned", "ranked", "unpaired", "text pairs"],
)
def test_only_rows_of_which_every_text_is_near_are_nearly_the_same_and_contradict(shape: Shape, made: Made):
    rows = [
        made(about.format(town), short, place == 0)
        for about, town in zip(ABOUT, TOWNS, strict=True)
        for place, short in enumerate(ASKED)
    ]
    found = told(rows, shape)
    assert not {"near_duplicates", "near_other_label", "unsuited_unclear"} & set(found)
    twice = [*rows, made(ABOUT[0].format(TOWNS[0]) + "!", ASKED[1] + "!", True)]
    found = told(twice, shape)
    assert found["near_duplicates"].count == 1
    assert found["near_other_label"].places == ["f.csv line 3", f"f.csv line {len(twice) + 1}"]
    # What is kept together stands on one side, near as a whole or not.
    across = told(rows, shape, splits={"train": range(1), "test": range(1, len(rows))})
    assert across["near_across"].count == 3


def test_how_near_is_as_the_groups_were_made():
    rows = [{"text": f"{ABOUT[0].format('Aland')} {town * 4}", "label": "a"} for town in TOWNS[:2]]
    records = [Record("f.csv", line, values) for line, values in enumerate(rows, start=2)]
    ledger = {"total": 2, "counts": {"kept": 2}, "rows": [], "files": []}
    for threshold, near in ((0.55, True), (0.9, False)):
        groups = near_groups([row["text"] for row in rows], threshold=threshold)
        diagnosis = examine(records, LABELLED, ledger=ledger, groups=groups, near_threshold=threshold)
        assert ("near_duplicates" in {one.code for one in diagnosis.findings}) == near


def test_unusable_rows_of_one_line_are_named_each_and_a_fault_that_says_empty_is_no_empty_row(tmp_path):
    asked = [
        {"question": "Where?", "answers": [{"text": "Paris", "answer_start": 0}]},
        {"question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}], "is_impossible": True},
        {"question": "", "answers": []},
        {"question": "What?", "answers": []},
    ]
    file = tmp_path / "asked.json"
    article = {"title": "a", "paragraphs": [{"context": "Ada lived in London.", "qas": asked}]}
    file.write_text(json.dumps({"data": [article]}))
    found = {one.code: one for one in wt.check(str(file)).diagnosis.findings}
    assert found["bad_rows"].count == 2
    assert found["bad_rows"].places[1].endswith("(row 2 of it)")
    assert found["empty_rows"].count == 1
    assert found["empty_rows"].places[0].endswith("(row 3 of it)")
