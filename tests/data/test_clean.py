"""Repairs do what their names say, once, and leave alone what they should."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from weitiao.core.errors import WeitiaoError
from weitiao.data.clean import CLEANERS, DEFAULT, TAG, clean, relabel, repaired
from weitiao.data.personal import card, mask, personal, resident_id
from weitiao.data.shapes import CONVERSATION, LABELLED

PIECES = [
    "Ã©",
    "â€™",
    "Â",
    "&amp;",
    "&lt;b&gt;",
    "<br>",
    "\u200b",
    "\ufeff",
    "e\u0301",
    "13812345678",
    "a@b.cn",
]
TEXTS = st.lists(
    st.one_of(st.sampled_from([*PIECES, " ", "\n", "\t", "-", ".", "1"]), st.text(max_size=6))
).map("".join)


@pytest.mark.parametrize("name", CLEANERS)
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
@example(text="&amp;lt;b&gt;")
@example(text="ÃƒÂ©")
@example(text="a@b.cn13812345678@x.org 1.2.3.444.5.6.77")
@example(text="\ufeff \x85 \n\x0b\n\n\n ")
def test_a_second_repair_changes_nothing(name, text):
    once = CLEANERS[name].repair(text)
    assert CLEANERS[name].repair(once) == once


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_all_together_too(text):
    once, _ = clean({"text": text, "label": "x"}, LABELLED, DEFAULT)
    again, done = clean(once, LABELLED, DEFAULT)
    assert again == once
    assert done == []


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("control", "a\x00b\u200bc\ufeff\u202ed\te\nf", "abcd\te\nf"),
        ("control", "👩\u200d🔬 می\u200cخواهم", "👩\u200d🔬 می\u200cخواهم"),
        ("whitespace", "  a \u3000 b\u00a0c\t", "a b c"),
        ("whitespace", "def f():\r\n    return 1  \r\n\r\n\r\n\r\nx", "def f():\n    return 1\n\nx"),
        ("unicode", "cafe\u0301 ＡＢ，", "café ＡＢ，"),
        ("mojibake", "cafÃ© â€œhiâ€\u009d", "café “hi”"),
        ("mojibake", "ÃƒÂ©", "é"),
        ("mojibake", "CAFÉ’S, ÄÖÜ, naïve, 中文", "CAFÉ’S, ÄÖÜ, naïve, 中文"),
        ("html", "<p>Tom &amp; Jerry<br/>x</p><script>1<2</script>", "Tom & Jerry\nx\n"),
        ("html", "if a < b and c > d: vector<int> <think>", "if a < b and c > d: vector<int> <think>"),
    ],
)
def test_repairs(name, before, after):
    assert CLEANERS[name].repair(before) == after


@pytest.mark.parametrize(
    "text", ["你好，世界", "größer – façade", "ελληνικά", "русский", "日本語テキスト", "it’s 20 €"]
)
def test_what_was_misread_is_read_again(text):
    raw = text.encode()
    for codec in ("latin-1", "cp1252"):
        try:
            misread = raw.decode(codec)
        except UnicodeDecodeError:
            continue
        assert CLEANERS["mojibake"].repair(misread) == text
    assert CLEANERS["mojibake"].repair(text) == text


# --- personal data


def resident(rng: random.Random) -> str:
    """A made-up number by the sum of GB 11643: the weighted sum of all 18 digits is 1 modulo 11."""
    body = f"{rng.randint(110000, 659000)}{rng.randint(1930, 2020)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}{rng.randint(0, 999):03}"
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    total = sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True))
    return body + next(c for c, v in zip("0123456789X", range(11), strict=True) if (total + v) % 11 == 1)


def test_resident_numbers_are_told_by_their_check_digit():
    rng = random.Random(0)
    for _ in range(200):
        number = resident(rng)
        assert resident_id(number)
        wrong = [number[:17] + c for c in "0123456789X" if c != number[17]]
        assert not any(map(resident_id, wrong))
    assert not resident_id("110101199013010010")  # no such month


def luhn(number: str) -> bool:
    """The table form of Luhn's sum, as an oracle."""
    table = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]
    return sum(int(d) if i % 2 == 0 else table[int(d)] for i, d in enumerate(reversed(number))) % 10 == 0


def test_cards_are_told_by_luhn():
    rng = random.Random(0)
    numbers = ["4" + "".join(rng.choices("0123456789", k=15)) for _ in range(500)]
    assert [card(number) for number in numbers] == [luhn(number) for number in numbers]
    assert card("4111 1111 1111 1111")
    assert not card("4" * 16)
    assert card("5500-0055-5555-5559")
    assert not card("9" + "0" * 14 + "2")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mail li.wei+x@mail.example.org, thanks", "mail [EMAIL], thanks"),
        ("请联系13812345678或a_b@qq.com。", "请联系[PHONE]或[EMAIL]。"),
        ("+86 138-1234-5678", "[PHONE]"),
        ("电话：010-62345678", "电话：[PHONE]"),
        ("call +44 20 7946 0958 or (415) 555-2671 or 415-555-2671.", "call [PHONE] or [PHONE] or [PHONE]."),
        ("SSN 536-90-4399", "SSN [ID]"),
        ("card 5500 0055 5555 5559 ok", "card [CARD] ok"),
        ("from 203.0.113.77:8080", "from [IP]:8080"),
        ("身份证" + resident(random.Random(1)) + "号", "身份证[ID]号"),
    ],
)
def test_personal_data_is_masked(text, masked):
    assert mask(text)[0] == masked


@pytest.mark.parametrize(
    "text",
    [
        "order 20240115000123 shipped",
        "in 1998-2004 it cost $1,299.99, 12,345,678 in all",
        "version 1.2.3.4, section 10.2.1, 0.0.0.0, 127.0.0.1, 256.1.1.300",
        "pi is 3.14159265358979",
        "订单号 202401150001234567",
        "2024-01-15 10:30:00",
        "ISBN 978-7-111-54742-6",
        "the score was 21-19, 21-15",
        "@user and user@host and a@b",
        "4111111111111112",
        "10000000000",
        "timestamp 1716239022123",
        "+1 is a plus",
    ],
)
def test_other_numbers_stay(text):
    assert personal(text) == []


def test_masks_are_counted():
    assert mask("a@b.cn c@d.cn 13812345678")[1] == {"EMAIL": 2, "PHONE": 1}


# --- rows


def test_all_texts_of_a_row_are_repaired_and_the_row_given_is_not_touched():
    turns = [{"role": "user", "content": " hi  a@b.cn"}, {"role": "assistant", "content": "cafe\u0301\u200b"}]
    row = {"messages": turns}
    after, done = clean(row, CONVERSATION, ["personal", "whitespace", "control", "unicode"])
    assert [turn["content"] for turn in after["messages"]] == ["hi [EMAIL]", "café"]
    assert turns[0]["content"] == " hi  a@b.cn"
    assert done == [
        "whitespace in messages.0.content",
        "control in messages.1.content",
        "unicode in messages.1.content",
        "personal: 1 e-mail addresses masked",
    ]


def test_a_name_that_is_none_is_said():
    with pytest.raises(
        WeitiaoError, match=r'\[wrong_usage\](?s:.*)"whitspace"(?s:.*)Did you mean "whitespace"'
    ):
        clean({"text": "a", "label": "b"}, LABELLED, ["whitspace"])


def test_labels_are_rewritten():
    mapping = {"postive": "positive", "1": "yes"}
    assert relabel("postive", mapping) == "positive"
    assert relabel(["postive", "other"], mapping) == ["positive", "other"]
    assert relabel(["postive", "positive", "other"], mapping) == ["positive", "other"]
    assert relabel(["other", "other"], mapping) == ["other", "other"]
    assert relabel(1, mapping) == "yes"
    assert relabel(" 1", mapping) == "yes"
    assert relabel(0.5, mapping) == 0.5
    assert relabel(True, mapping) is True
    assert relabel("neutral", mapping) == "neutral"


BOMBS = {
    "comments": "<!--" * 50_000,
    "scripts": "<script>" * 50_000,
    "entities": "&" + "amp;" * 50_000,
    "spaces": "a\n" + " \t" * 100_000 + "a",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_text_made_to_keep_it_busy_takes_a_time_that_is_linear(bomb):
    """Each of these took minutes where every opening is followed to the end of the text."""
    start = time.process_time()
    repaired(bomb, list(CLEANERS))
    TAG.search(bomb)
    assert time.process_time() - start < 5
