"""Judged answers as people have them: transcripts, scored answers, beginnings that are shared, scores of both sides."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.test_formats import OF, converted, turn
from weitiao.core.recipe import Data
from weitiao.data import check as checking
from weitiao.data.formats import Unusable, guess
from weitiao.data.shapes import PREFERENCE, PROMPTED, UNPAIRED

BEFORE = "\n\nHuman: 2 + 2?\n\nAssistant: In which base?\n\nHuman: Ten:\n\nplease"
TURNS = [turn("user", "2 + 2?"), turn("assistant", "In which base?"), turn("user", "Ten:\n\nplease")]


def pair(prompt: list[dict], chosen: str, rejected: str) -> dict:
    return {
        "prompt": prompt,
        "chosen": [turn("assistant", chosen)],
        "rejected": [turn("assistant", rejected)],
    }


def test_what_both_transcripts_begin_with_is_the_prompt():
    heard: list[str] = []
    row = {"chosen": f"{BEFORE}\n\nAssistant: Four.", "rejected": f"{BEFORE}\n\nAssistant: Five."}
    assert converted("preference", row, repairs=heard) == pair(TURNS, "Four.", "Five.")
    assert len(heard) == 1
    assert "Human:" in heard[0]


def test_a_prompt_may_be_a_transcript_that_waits_for_the_answer():
    asked = f"{BEFORE}\n\nAssistant:"
    row = {"prompt": asked, "chosen": " Four.", "rejected": " Five."}
    assert converted("preference", row) == pair(TURNS, "Four.", "Five.")
    liked = converted("kto", {"prompt": asked, "completion": " Four.", "label": 1})
    assert liked == {"prompt": TURNS, "completion": [turn("assistant", "Four.")], "label": True}
    assert converted("prompt_only", {"prompt": asked, "answer": "4"})["prompt"] == TURNS


@pytest.mark.parametrize(
    "said", ["Human: who are you?", "He said:\n\nHuman: hi\n\nAssistant: hi", "Assistant: a"]
)
def test_a_text_that_is_no_transcript_stays_one(said):
    found = converted("preference", {"prompt": "q", "chosen": said, "rejected": "b"})
    assert found["chosen"] == [turn("assistant", said)]


@pytest.mark.parametrize(
    ("chosen", "rejected", "why"),
    [
        ("\n\nHuman: q\n\nAssistant: a", "\n\nHuman: q\n\nAssistant: a", "no turn"),
        ("\n\nHuman: q\n\nAssistant:", "\n\nHuman: q\n\nAssistant: b", "empty"),
        ("\n\nHuman: q\n\nAssistant: a\n\nHuman: r", "\n\nHuman: q\n\nAssistant: b", "does not end"),
        ("good", "bad", "`prompt` holds no turn"),
        ("green", "great", "`prompt` holds no turn"),  # never a part of a word
    ],
)
def test_transcripts_that_say_nothing(chosen, rejected, why):
    assert why in PREFERENCE.faults(converted("preference", {"chosen": chosen, "rejected": rejected}))


@pytest.mark.parametrize(
    ("chosen", "rejected", "found"),
    [
        ("The sky is blue.", "The sky is black.", ("The sky is", "blue.", "black.")),
        ("天空是蓝色的", "天空是绿色的", ("天空是", "蓝色的", "绿色的")),
    ],
)
def test_the_words_that_two_plain_texts_begin_with_are_the_prompt_and_said_so(chosen, rejected, found):
    heard: list[str] = []
    row = {"chosen": chosen, "rejected": rejected}
    prompt, good, bad = found
    assert converted("preference", row, repairs=heard) == pair([turn("user", prompt)], good, bad)
    assert len(heard) == 1
    assert "begin" in heard[0]


def scored(*scores, name: str = "overall_score") -> dict:
    given = [{"response": f"answer {i}", name: score} for i, score in enumerate(scores)]
    return {"instruction": "q", "completions": given}


def test_of_scored_answers_the_first_best_and_the_first_worst_are_compared():
    assert converted("ultrafeedback", scored(5, 9, 1, 9, 1)) == pair(
        [turn("user", "q")], "answer 1", "answer 2"
    )
    # The mean of the ratings counts before the score of the whole.
    row = scored(10, 5, 7)
    for each, mean in zip(row["completions"], (1.5, 4.5, 3), strict=True):
        each["fine-grained_score"] = mean
    assert converted("ultrafeedback", row) == pair([turn("user", "q")], "answer 1", "answer 0")
    row["completions"][2]["fine-grained_score"] = "N/A"
    assert converted("ultrafeedback", row) == pair([turn("user", "q")], "answer 0", "answer 1")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (scored(4, 4, 4), "score 4"),
        (scored(4), "fewer than two"),
        (scored(4, "N/A"), "not all scored"),
        (scored(4, 3, name="helpfulness"), "not all scored"),
        ({"instruction": "q", "completions": "none"}, "not a list"),
        ({"instruction": "q", "completions": [{"overall_score": 1}, {"overall_score": 2}]}, "`response`"),
    ],
)
def test_scored_answers_that_make_no_pair(row, why):
    with pytest.raises(Unusable, match=why):
        converted("ultrafeedback", row)


def test_scores_of_both_sides_are_a_margin_where_they_are_named():
    row = {"prompt": "q", "chosen": "a", "rejected": "b", "score_chosen": 8.5, "score_rejected": "6"}
    assert "margin" not in converted("preference", row)
    columns = {"chosen_score": "score_chosen", "rejected_score": "score_rejected"}
    assert converted("preference", row, columns=columns)["margin"] == 2.5
    with pytest.raises(Unusable, match="finite"):
        converted("preference", {**row, "score_rejected": None}, columns=columns)
    assert converted("preference", {**row, "margin": 1}, columns=columns)["margin"] == 1


def test_a_question_in_a_column_of_another_name_is_never_left_out(tmp_path):
    rows = [{"system": "s", "question": f"q {i}", "chosen": "a", "rejected": "b"} for i in range(3)]
    name, columns = guess(list(rows[0]), columns={}, known=PREFERENCE.formats)[1:]
    assert (name, columns) == ("preference", {"prompt": "question"})
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    checked = checking.inspect(Data(train=[str(path)]), PREFERENCE)
    told = str(checked.ledger.to_dict())
    assert not len(checked.rows)
    assert "system message alone" in told
    assert "system message alone" in UNPAIRED.faults(
        {"prompt": [turn("system", "s")], "completion": [turn("assistant", "a")], "label": True}
    )
    # An orca-like table asks in `input`.
    asked = converted("preference", {"system": "s", "input": "q", "chosen": "a", "rejected": "b"})
    assert asked["prompt"] == [turn("system", "s"), turn("user", "q")]


@pytest.mark.parametrize("spell", [json.dumps, repr])
def test_turns_in_a_cell_of_a_table_are_turns(tmp_path, spell: Callable[[object], str]):
    path: Path = tmp_path / "rows.csv"
    sides = [[turn("user", "it's 2 + 2?"), turn("assistant", answer)] for answer in ("Four.", "Five.")]
    with path.open("w", newline="") as file:
        written = csv.writer(file)
        written.writerow(["chosen", "rejected"])
        written.writerow(map(spell, sides))
    checked = checking.inspect(Data(train=[str(path)]), PREFERENCE)
    assert dict(checked.rows[0].values) == pair([turn("user", "it's 2 + 2?")], "Four.", "Five.")


def test_a_file_of_answers_that_were_liked_or_not_is_not_one_to_imitate():
    for columns in (
        ["messages", "kto_tag"],
        ["conversations", "kto_tag"],
        ["instruction", "output", "kto_tag"],
    ):
        assert guess(columns, columns={})[0] == UNPAIRED
    assert guess(["problem", "solution", "answer"], columns={}, known=PROMPTED.formats)[2] == {
        "prompt": "problem"
    }
    assert OF["ultrafeedback"] == guess(["instruction", "completions"], columns={})[0]
