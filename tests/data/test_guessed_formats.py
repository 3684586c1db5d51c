"""The format and the columns of a file are guessed from its names and rows; what cannot be is asked for by name."""

from __future__ import annotations

import pytest
import yaml

from tests.data.test_formats import OF
from weitiao import api
from weitiao.core.errors import WeitiaoError
from weitiao.data import formats
from weitiao.data.formats import FORMATS, guess, guess_column, recognise

CHAT = ("messages", "sharegpt", "alpaca", "prompt_completion")


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


# --- which format


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_recognised_by_its_columns(name):
    format = FORMATS[name]
    known = OF[name].formats
    found = [*format.needs, "id"]
    assert recognise("a", found, known=known, asked="auto", columns={}) == name
    assert recognise("a", found, known=known, asked=name, columns={}) == name
    theirs = [f"x_{column}" for column in format.needs]
    columns = dict(zip(format.needs, theirs, strict=True))
    assert recognise("a", theirs, known=known, asked="auto", columns=columns) == name


def test_a_format_that_is_asked_for_wins():
    found = ["prompt", "completion", "instruction", "output"]
    assert recognise("a", found, known=CHAT, asked="auto", columns={}) == "alpaca"
    assert recognise("a", found, known=CHAT, asked="prompt_completion", columns={}) == "prompt_completion"
    assert recognise("a", ["tokens", "tags"], known=("tags",), asked="conll", columns={}) == "tags"


def test_a_format_of_another_task_is_refused():
    with refused("wrong_usage", "data.format=table", "messages, sharegpt, alpaca, prompt_completion"):
        recognise("a", ["text", "label"], known=CHAT, asked="table", columns={})


def test_a_missing_column_is_answered_with_the_nearest():
    with refused("missing_column", "a.csv", '"text"', "review, label", 'Did you mean "review"'):
        recognise("a.csv", ["review", "label"], known=("table",), asked="auto", columns={})
    with refused("missing_column", '"label"', 'Did you mean "标签"', "data.columns.label="):
        recognise("a.csv", ["text", "标签"], known=("table",), asked="auto", columns={})
    with refused("missing_column", '"label"', "has: text, zzz\\)\\.\n"):
        recognise("a.csv", ["text", "zzz"], known=("table",), asked="auto", columns={})
    with refused("no_such_column", '"reveiw"', 'Did you mean "review"'):
        recognise("a.csv", ["review", "label"], known=("table",), asked="auto", columns={"text": "reveiw"})
    with refused("missing_column", '"output"'):
        recognise("a.csv", ["instruction", "x"], known=CHAT, asked="alpaca", columns={})


def test_columns_of_no_known_format_are_refused():
    with refused("unknown_row_format", "a.csv", "foo, bar", "`messages`"):
        recognise("a.csv", ["foo", "bar"], known=CHAT, asked="auto", columns={})


def test_a_column_of_ours_that_is_none_is_refused():
    with refused("unknown_key", "data.columns.txet", 'Did you mean "text"', "label, text"):
        recognise("a.csv", ["review"], known=("table",), asked="auto", columns={"txet": "review"})


# --- guesses

PAIR = {"text": "sentence1", "text_pair": "sentence2"}


@pytest.mark.parametrize(
    ("ours", "found", "guess"),
    [
        ("text", ["id", "Review", "stars"], "Review"),
        ("label", ["id", "Review", "stars"], "stars"),
        ("text", ["评论", "标签"], "评论"),
        ("label", ["评论", "标签"], "标签"),
        ("text", ["texts", "y"], "texts"),
        ("label", ["a", "b"], ""),
        ("text", [], ""),
        ("text", ["title", "text"], "text"),
        ("messages", ["Dialogue"], "Dialogue"),
    ],
)
def test_names_that_people_use_are_guessed(ours, found, guess):
    assert guess_column(ours, found) == guess


@pytest.mark.parametrize("name", FORMATS)
def test_our_own_columns_are_guessed_as_they_are(name):
    if not FORMATS[name].guessed:  # its columns are another format's, too
        assert guess(FORMATS[name].needs, columns={}, asked=name) == (OF[name], name, {})
    else:
        assert guess([*FORMATS[name].needs, "id"], columns={}) == (OF[name], name, {})


@pytest.mark.parametrize(
    ("found", "format", "columns"),
    [
        (["review", "stars"], "table", {"text": "review", "label": "stars"}),
        (["评论", "情感"], "table", {"text": "评论", "label": "情感"}),
        (["idx", "sentence1", "sentence2", "label"], "table", PAIR),
        (["premise", "hypothesis", "label"], "table", {"text": "premise", "text_pair": "hypothesis"}),
        (["问题", "回答"], "prompt_completion", {"prompt": "问题", "completion": "回答"}),
        (
            ["question", "answer", "category"],
            "prompt_completion",
            {"prompt": "question", "completion": "answer"},
        ),
        (["指令", "输出"], "alpaca", {"instruction": "指令", "output": "输出"}),
        (["原文", "译文"], "source_target", {"source": "原文", "target": "译文"}),
        (["article", "summary"], "source_target", {"source": "article", "target": "summary"}),
        (["words", "ner_tags"], "tags", {"tokens": "words", "tags": "ner_tags"}),
        (["图片", "标签"], "image", {"image": "图片", "label": "标签"}),
        (["内容"], "text", {"text": "内容"}),
        # One column of ours, and one that people call otherwise, are more than the first alone.
        (["text", "sentiment"], "table", {"label": "sentiment"}),
        (["text", "标签"], "table", {"label": "标签"}),
        (["text", "title", "id"], "text", {}),
        (["sentence1", "sentence2", "similarity"], "scored_pairs", {"score": "similarity"}),
        (["prompt", "completion", "score"], "prompt_completion", {}),
        (["messages", "rating"], "messages", {}),
        (["对话"], "messages", {"messages": "对话"}),
        (
            ["prompt", "preferred", "dispreferred"],
            "preference",
            {"chosen": "preferred", "rejected": "dispreferred"},
        ),
    ],
)
def test_what_columns_suggest(found, format, columns):
    assert guess(found, columns={}) == (OF[format], format, columns)


def test_columns_that_say_nothing_and_columns_that_are_named():
    assert guess(["foo", "bar"], columns={}) is None
    assert guess([], columns={}) is None
    named = {"text": "foo", "label": "bar"}
    assert guess(["foo", "bar"], columns=named) == (OF["table"], "table", named)
    measured = guess(["text", "label"], columns={}, rows=[{"text": "a", "label": "2.5"}])
    assert measured == (OF["regression"], "regression", {})
    for counted in ("2", "2.0", "nan", "good", True, None):
        assert guess(["text", "label"], columns={}, rows=[{"text": "a", "label": counted}])[1] == "table"
    with_list = guess(["text", "label"], columns={}, rows=[{"text": "a", "label": ["x"]}])
    assert with_list == (OF["multi_label"], "multi_label", {"labels": "label"})


def test_what_people_call_our_columns_are_columns_of_ours():
    ours = {column for format in FORMATS.values() for column in format.needs + format.may_have}
    assert set(formats.KNOWN_AS) <= ours


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (["en", "zh"], {"source": "en", "target": "zh"}),
        (["zh-CN", "id", "note", "en_US"], {"source": "zh-CN", "target": "en_US"}),
        (["English", "中文"], {"source": "English", "target": "中文"}),
        (["de", "text"], {}),
        (["en", "zh", "fr"], {}),
        (["id", "en"], {}),
    ],
)
def test_columns_called_by_two_languages_are_a_translation_in_their_order(found, named):
    guessed = guess(found, columns={})
    if not named:
        assert guessed is None or guessed[1] != "source_target"
        return
    shape, name, columns = guessed
    assert (shape.name, name, columns) == ("translation", "source_target", named)


def test_a_table_of_texts_and_labels_stays_one_beside_columns_of_languages():
    assert guess(["en", "zh", "text", "label"], columns={})[1] == "table"


@pytest.mark.whole
def test_init_says_the_direction_and_turned_it_is_another(tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text("en,zh\n" + "".join(f"good day {i},你好 {i}\n" for i in range(30)), encoding="utf-8")
    heard = []
    text = api.init(file, tell=lambda name, **facts: heard.append(facts["text"]))
    notice, untaught = heard
    assert "e5-pair" in untaught
    assert f"# {notice}" in text
    assert notice.endswith("data.columns: {source: zh, target: en}.")
    for columns, source in (({}, "en"), ({"source": "zh", "target": "en"}, "zh")):
        turned = api.init(file, columns=columns)
        assert yaml.safe_load(turned)["data"]["columns"]["source"] == source
    assert "data.columns: {source" not in api.init(file, columns={"source": "zh", "target": "en"})


def test_missing_sides_are_proposed_by_their_languages():
    with pytest.raises(WeitiaoError, match='missing_column.*Did you mean "en"'):
        recognise("a.csv", ["en", "zh"], known=("source_target",), asked="auto", columns={})


def test_a_task_s_columns_by_other_names_are_proposed_as_they_are_to_be_written():
    found = ["query", "positive", "negative"]
    with pytest.raises(WeitiaoError, match=r"data\.columns: \{anchor: query\}\."):
        recognise("a.csv", found, known=("pairs", "query_passage"), asked="auto", columns={})
    assert recognise("a.csv", found, known=("pairs",), asked="auto", columns={"anchor": "query"}) == "pairs"


def test_numbers_are_seen_whatever_their_column_is_called():
    rows = [{"text": "a", "score": 3.5}]
    assert guess(["text", "score"], columns={}, rows=rows) == (
        OF["regression"],
        "regression",
        {"label": "score"},
    )


def test_the_sides_of_preferences_are_known_by_what_people_call_them(tmp_path):
    assert guess(["question", "good", "bad"], columns={})[1:] == (
        "preference",
        {"chosen": "good", "rejected": "bad", "prompt": "question"},
    )
    # A text that also has such columns is a text.
    assert guess(["text", "good", "bad"], columns={})[1] == "text"
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"a": "one answer of some words", "b": "another answer of words"}\n', encoding="utf-8")
    # What cannot be known is asked for by the names that this task reads, and no other's.
    with refused("unknown_row_format", "a, b", "--columns chosen=COLUMN,rejected=COLUMN", "good") as caught:
        api.init(file, task="dpo")
    assert "text=" not in str(caught.value)
    with refused("unknown_row_format", "--columns text=a"):
        api.init(file)
