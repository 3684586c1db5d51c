"""Rows as the model sees them: nothing is added or lost, and what is trained looks trained."""

from __future__ import annotations

import html
import re

import pytest

from tests.data.chat.families import FAMILIES
from weitiao.core import registry
from weitiao.core.contracts import Example, Record
from weitiao.core.recipe import Data
from weitiao.data import chat
from weitiao.data.view import Piece, page, pieces, view, visible

ANSWER = "hello\n    龘🙂 you  \t é\ufffd <b>&amp;</b>"


def talk(*said: str) -> Record:
    turns = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
    return Record("talks.jsonl", 4, {"messages": turns})


@pytest.fixture
def sft():
    return registry.build("task", {"name": "sft"})


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_the_pieces_are_the_tokens_and_read_as_what_the_tokenizer_decodes(family, sft):
    processor = family.tokenizer
    record = talk("Is it 龘?", ANSWER)
    ((ids, labels),) = chat.encode([record], processor)
    found = view(record, sft, processor, Data(), limit=10_000)
    assert [index for piece in found.pieces for index in piece.ids] == ids
    whole = processor.decode(ids, clean_up_tokenization_spaces=False)
    assert "".join(piece.text for piece in found.pieces) == whole
    states = [piece.state == "trained" for piece in found.pieces for _ in piece.ids]
    assert states == [label != chat.IGNORE for label in labels]
    assert (found.tokens, found.trained) == (len(ids), sum(states))
    for mark in family.specials:
        where = [piece for piece in found.pieces if processor.convert_tokens_to_ids(mark) in piece.ids]
        assert all(piece.special and len(piece.ids) == 1 for piece in where)


def test_a_character_of_several_tokens_is_one_piece(sft):
    processor = FAMILIES["chatml"].tokenizer
    found = view(talk("hello", "龘 🙂"), sft, processor, Data(), limit=100)
    texts = [piece.text for piece in found.pieces if piece.state == "trained"]
    assert "".join(texts) == "龘 🙂<|im_end|>"
    assert "\ufffd" not in "".join(texts)
    assert max(len(piece.ids) for piece in found.pieces) > 2


def test_half_a_character_at_the_end_is_shown_as_such():
    processor = FAMILIES["chatml"].tokenizer
    ids = processor("a龘", add_special_tokens=False)["input_ids"][:-1]
    found = list(pieces(Example({"input_ids": ids}), processor))
    assert [index for piece in found for index in piece.ids] == ids
    assert found[-1].text.endswith("\ufffd")


def test_what_the_limit_cuts_off_is_counted(sft):
    processor = FAMILIES["chatml"].tokenizer
    record = talk("hello", "hello hello")
    whole = view(record, sft, processor, Data(), limit=1000)
    cut = view(record, sft, processor, Data(), limit=whole.tokens - 3)
    assert (cut.tokens, cut.lost) == (whole.tokens - 3, 3)
    assert cut.trained + cut.trained_lost == whole.trained


def test_a_row_that_cannot_be_used_says_why(sft):
    found = view(talk("hello"), sft, FAMILIES["chatml"].tokenizer, Data(), limit=100)
    assert "no assistant turn" in found.why
    assert found.pieces == ()


def test_a_labelled_row_shows_tokens_and_label(bert):
    from transformers import AutoTokenizer

    task = registry.build("task", {"name": "text_classification"})
    record = Record("a.csv", 2, {"text": "the film was great", "label": "good"})
    found = view(record, task, AutoTokenizer.from_pretrained(bert), Data(), limit=100)
    assert [piece.text.strip() for piece in found.pieces] == ["[CLS]", "the", "film", "was", "great", "[SEP]"]
    assert {piece.state for piece in found.pieces} == {"seen"}
    assert [piece.special for piece in found.pieces] == [True, False, False, False, False, True]
    assert (found.label, found.trained) == ("good", 0)


@pytest.mark.parametrize(
    ("text", "shown"), [(" a ", " a "), ("  ", "··"), ("", "∅"), ("\n", "\n"), ("a\n b", "a\n b")]
)
def test_spaces_are_made_visible_where_nothing_else_is(text, shown):
    assert visible(Piece(text, "seen", False, (1,))) == shown


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_stands_alone_and_reads_as_the_row(lang, sft, monkeypatch):
    monkeypatch.setenv("WEITIAO_LANG", lang)
    processor = FAMILIES["qwen2.5"].tokenizer
    record = talk("<script>alert(1)</script>", ANSWER)
    found = view(record, sft, processor, Data(), limit=1000)
    text = page([found, view(talk("x"), sft, processor, Data(), limit=9)], model="m<i>", notices=["<odd>"])
    assert not re.search(r"(src|href)=|url\(|@import|<script", text)
    assert "m&lt;i&gt;" in text
    assert "&lt;odd&gt;" in text
    assert ("模型" in text) == (lang == "zh")
    row = re.search(r'<p class="row" dir="auto">(.*?)</p>', text, re.DOTALL)[1]
    spans = re.findall(r'<span class="([^"]*)" title="([^"]*)">(.*?)</span>', row, re.DOTALL)
    assert "".join(f'<span class="{a}" title="{b}">{c}</span>' for a, b, c in spans) == row  # nothing between
    assert [title for _, title, _ in spans] == [" ".join(map(str, piece.ids)) for piece in found.pieces]
    read = [html.unescape(inner.replace("<u>⏎</u>", "")) for _, _, inner in spans]
    assert read == [visible(piece) for piece in found.pieces]
    trained = "".join(read[i] for i, (kind, _, _) in enumerate(spans) if "trained" in kind.split())
    assert trained.replace("·", " ") == ANSWER + "<|im_end|>"


def test_half_a_surrogate_pair_does_not_break_the_page(sft):
    processor = FAMILIES["chatml"].tokenizer
    found = view(talk("hello", "hello"), sft, processor, Data(), limit=1000)
    broken = Piece("\ud83d", "seen", False, (1,))
    text = page([type(found)("a\ud83d.jsonl", 1, (broken,), tokens=1)], model="m")
    assert text.encode("utf-8")
