"""Questions with answers in their context: read from every way of writing them, and put right where one place is meant."""

from __future__ import annotations

import json
import random
import unicodedata

import pytest

from weitiao.core.recipe import Data
from weitiao.data.carried import carried
from weitiao.data.check import inspect
from weitiao.data.clean import DEFAULT, clean, repaired
from weitiao.data.shapes import QUESTIONED

CONTEXT = "Ada Lovelace 😀 lived in London.\r\nLater, in London, cafe\u0301 talk with Babbage (1791)."


def read(tmp_path, content, *, name="rows.json", **data):
    """Rows that can be used, and what the ledger says of the others and of repairs."""
    file = tmp_path / name
    file.write_text(
        content if isinstance(content, str) else json.dumps(content), encoding="utf-8", newline=""
    )
    checked = inspect(Data(train=[str(file)], **data), QUESTIONED)
    said = {row.get("nth", 0): (row["status"], row["reason"]) for row in checked.ledger.rows}
    return [dict(record.values) for record in checked.rows], said


def one(answer, *, context=CONTEXT, tmp_path):
    """The answer of a row that says it so, and what is said of the row."""
    rows, said = read(tmp_path, [{"question": "q", "context": context, "answers": [answer]}])
    return (rows[0]["answers"][0] if rows else None), said.get(0, ("", ""))[1]


def squad(**more):
    return {
        "version": "v2.0",
        "data": [{"title": "Ada", "paragraphs": [{"context": CONTEXT, "qas": [more]}]}],
    }


def test_every_way_of_writing_them_gives_the_same_rows(tmp_path):
    start = CONTEXT.index("London")
    asked = {"question": "Where?", "id": "7"}
    wanted = {"question": "Where?", "context": CONTEXT, "answers": [{"text": "London", "start": start}]}
    flat = {**asked, "context": CONTEXT}
    answer = {"text": "London", "answer_start": start}
    old = [
        {
            "context_id": "T",
            "context_text": CONTEXT,
            "qas": [{"query_text": "Where?", "answers": ["Babbage"]}],
        }
    ]
    for content, name in (
        (squad(**asked, answers=[answer], is_impossible=False), "a.json"),
        ([{"context": CONTEXT, "qas": [{**asked, "answers": [answer]}]}], "b.json"),
        ({**flat, "answers": [answer]}, "c.jsonl"),
        ([{**flat, "answers": {"text": ["London", "London"], "answer_start": [start, start]}}], "d.json"),
        ([{**flat, "answer": "London", "answer_start": str(start)}], "e.json"),
        ([{**flat, "answers": json.dumps([answer])}], "f.json"),
    ):
        assert read(tmp_path, content, name=name) == ([wanted], {}), name
    (row,), said = read(tmp_path, old)
    assert (row["question"], row["answers"], said) == (
        "Where?",
        [{"text": "Babbage", "start": CONTEXT.index("Babbage")}],
        {},
    )


def test_questions_without_an_answer_say_so(tmp_path):
    flat = {"question": "Why?", "context": CONTEXT}
    unanswered = [{**flat, "answers": []}], [{**flat, "answers": {"text": [], "answer_start": []}}]
    for content in (
        *unanswered,
        squad(question="Why?", is_impossible=True, answers=[], plausible_answers=[{"text": "x"}]),
        [{**flat, "answer": None, "is_impossible": "true"}],
    ):
        assert read(tmp_path, content) == ([{**flat, "answers": []}], {})
    for content, word in (
        ([{**flat, "answer": ""}], "says so by"),
        ([{**flat, "answers": [], "is_impossible": False}], "says so by"),
        ([{**flat, "answers": [""]}], "says so by"),
        ([{**flat, "answer": "London", "is_impossible": 1}], "empty one of the two"),
        ([{**flat, "answer": None, "is_impossible": "maybe"}], "neither true nor false"),
    ):
        rows, said = read(tmp_path, content)
        assert not rows
        assert said[0][0] == "quarantined"
        assert word in said[0][1]


@pytest.mark.parametrize(
    ("text", "start", "found", "said"),
    [
        ("Ada Lovelace", 0, "Ada Lovelace", ""),
        ("Babbage", None, "Babbage", ""),
        ("London", len("Ada Lovelace xx lived in "), "London", "UTF-16"),
        ("London", len("Ada Lovelace xxxx lived in "), "London", "bytes"),
        ("1791", CONTEXT.index("1791") - 1, "1791", "each line end as one"),
        ("Babbage", 3, "Babbage", "alone"),
        ("Babbage", -4, "Babbage", "alone"),
        ("Babbage", 10**9, "Babbage", "alone"),
        (" Babbage\n", CONTEXT.index("Babbage") - 1, "Babbage", ""),
        ("LONDON.  later", 2, "London.\r\nLater", "stands in the context as"),
        ("caf\u00e9 talk", None, "cafe\u0301 talk", "stands in the context as"),
        ("London", None, None, "stands in the context 2 times"),
        ("London", 3, None, "stands in the context 2 times"),
        ("Turing", 0, None, "does not stand in the context"),
        ("Ada", 0.5, None, "no whole number"),
        (["Ada"], 0, None, "not text"),
    ],
)
def test_a_place_that_does_not_say_its_answer_is_put_right_where_one_is_meant(
    tmp_path, text, start, found, said
):
    answer, why = one({"text": text, "answer_start": start}, tmp_path=tmp_path)
    assert (answer and answer["text"]) == found
    assert said in why if said else not why
    if answer:
        assert CONTEXT[answer["start"] :].startswith(found)


def test_of_several_answers_the_sound_ones_stay_and_a_word_is_no_part_of_another(tmp_path):
    flat = {"question": "q", "context": "Party of art, with an artist."}
    rows, said = read(tmp_path, [{**flat, "answers": ["art", "nowhere"]}])
    assert rows[0]["answers"] == [{"text": "art", "start": 9}]
    assert "one of the answers was left out" in said[0][1]
    rows, said = read(tmp_path, [{**flat, "answers": {"text": ["a", "b"], "answer_start": [1]}}])
    assert not rows
    assert "2 answers and 1 starts" in said[0][1]


def test_what_is_broken_within_a_file_costs_itself_alone(tmp_path):
    good = {"question": "Where?", "answers": [{"text": "Babbage", "answer_start": 1}]}
    paragraphs = [
        {"context": CONTEXT, "qas": [good, "oops", {"question": "Who?"}, {**good, "question": " "}]},
        {"context": CONTEXT},
        {"context": CONTEXT, "qas": []},
        {"context": CONTEXT, "qas": {"no": "list"}},
    ]
    rows, said = read(tmp_path, {"data": [{"title": "t", "paragraphs": paragraphs}]})
    assert [row["question"] for row in rows] == ["Where?"]
    assert [status for status, _ in said.values()] == ["repaired"] + 6 * ["quarantined"]
    named = ("alone", "paragraphs[1].qas[2]", "no answer", "question is empty", "question is missing")
    for (_, why), word in zip(
        said.values(), (*named, "paragraphs[3].qas holds no", "paragraphs[4].qas"), strict=True
    ):
        assert word in why


def test_columns_of_a_title_divide_the_rows_of_a_nested_file(tmp_path):
    data = [{**squad(question=t, answers=["Ada"])["data"][0], "title": t} for t in "ab"]
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"data": data}), encoding="utf-8")
    checked = inspect(Data(train=[str(file)], split={"group_by": "title"}), QUESTIONED)
    assert len({*checked.marks.by.tolist()}) == 2


def test_cleaning_a_context_takes_its_answers_along(tmp_path):
    context = "<b>Ada</b>  lived \u200b in  cafe\u0301\r\n(mail ada@example.org)  for\tyears 😀."
    row = {"question": "q", "context": context, "answers": ["cafe\u0301", "years 😀", "ada@example.org"]}
    (found,), _ = read(tmp_path, [row], clean=["control", "html", "unicode", "whitespace", "personal"])
    assert [answer["text"] for answer in found["answers"]] == [
        "caf\u00e9",
        "years 😀",
        found["context"].split()[5][:-1],
    ]
    for answer in found["answers"]:
        assert found["context"][answer["start"] :].startswith(answer["text"])
    assert "ada@example.org" not in json.dumps(found)


def test_parts_of_a_text_that_was_cleaned_are_found_again():
    """Against cleaning the parts themselves."""
    rng = random.Random(0)
    for _ in range(300):
        words = rng.choices(["Ada", "cafe\u0301", "\u200bx", "London", "in", "a", "😀", ".", "城市"], k=12)
        gaps = rng.choices([" ", "  ", "\r\n", "\t "], k=12)
        first = rng.randrange(12)
        last = rng.randint(first + 1, 12)
        text = "".join(word + gap for word, gap in zip(words, gaps, strict=True))
        start = sum(map(len, words[:first] + gaps[:first]))
        end = start + sum(map(len, words[first:last] + gaps[first : last - 1]))
        after = repaired(text, DEFAULT)[0]
        ((begin, behind),) = carried([(start, end)], text, after)
        assert after[begin:behind].split() == repaired(text[start:end], DEFAULT)[0].split()


def test_an_answer_of_which_nothing_is_left_is_gone():
    values = {"question": "q", "context": "a <b> c", "answers": [{"text": "<b>", "start": 2}]}
    after, _ = clean(values, QUESTIONED, ["html"])
    assert after["answers"] == []
    assert unicodedata.is_normalized("NFC", after["context"])
