"""Texts as words: places are those of the text as it was given, and words are cut as they were in training."""

from __future__ import annotations

import pytest

from weitiao.data import segment

ODD = "Zoe\u0308  met\r\nאברהם, 👩🏽‍🚀 in 中国.\u200b"


@pytest.mark.parametrize("how", ["whitespace", "punctuation", "characters"])
def test_places_hold_every_visible_character_once_and_in_order(how):
    found = segment.places(ODD, how)
    covered = "".join(ODD[start:end] for start, end in found)
    assert covered == "".join(ODD.split())
    assert all(a[1] <= b[0] for a, b in zip(found, found[1:], strict=False))


def test_what_a_reader_sees_as_one_stays_one():
    words = {how: [ODD[a:b] for a, b in segment.places(ODD, how)] for how in ("punctuation", "characters")}
    for found in words.values():
        assert "👩🏽‍🚀" in found
    assert "Zoe\u0308" in words["punctuation"]
    assert "e\u0308" in words["characters"]
    assert {"中", "国"} <= {*words["characters"]}


def test_punctuation_stands_apart_and_addresses_stay_whole():
    text = "Don't miss @ada's talk: https://t.co/x?y=1, #ai... e.g. 3.5%!"
    found = [text[a:b] for a, b in segment.places(text, "punctuation")]
    assert found == [
        *("Don't", "miss", "@ada's", "talk", ":", "https://t.co/x?y=1", ",", "#ai", "..."),
        *("e.g", ".", "3.5", "%", "!"),
    ]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([list("中国人民，1998年")], "characters"),
        ([["Ada", "lived", "in", "London", "."]], "punctuation"),
        ([["Ada", "lived", "in", "London."]], "whitespace"),
        ([["不", "可能", "吧", "!"]], "punctuation"),
        ([], "whitespace"),
    ],
)
def test_the_way_of_cutting_shows_in_the_words(rows, wanted):
    assert segment.how_cut(rows) == wanted


def test_words_side_by_side_are_found_again():
    text, places = segment.joined(["Ada", ",", "New York"], "punctuation")
    assert text == "Ada , New York"
    assert [text[a:b] for a, b in places] == ["Ada", ",", "New York"]
    text, places = segment.joined(["中", "iPad", "👍"], "characters")
    assert text == "中iPad👍"
    assert [text[a:b] for a, b in places] == ["中", "iPad", "👍"]
