"""Encodings are found and told; bytes that are none are named by their line."""

from __future__ import annotations

import codecs
import contextlib
import encodings.aliases
import json
import random
from pathlib import Path

import pytest

from tests.data.read.conftest import bad, records, refused, rows
from weitiao.core.errors import WeitiaoError
from weitiao.data.read import BadRow, decode, read_file


@pytest.mark.parametrize(
    ("encoding", "found", "mark"),
    [
        ("utf-8", "utf-8", b""),
        ("utf-8", "utf-8-sig", codecs.BOM_UTF8),
        ("gbk", "gb18030", b""),
        ("gb18030", "gb18030", b""),
        ("utf-16-le", "utf-16", codecs.BOM_UTF16_LE),
        ("utf-16-be", "utf-16", codecs.BOM_UTF16_BE),
        ("utf-32-le", "utf-32", codecs.BOM_UTF32_LE),
        ("utf-32-be", "utf-32", codecs.BOM_UTF32_BE),
    ],
)
def test_the_encoding_is_found_and_told(encoding, found, mark, file):
    source = read_file(file("a.csv", mark + "text,label\n很好看的书,正面\nfine,负面\n".encode(encoding)))
    assert rows(source) == [(2, "很好看的书", "正面"), (3, "fine", "负面")]
    assert source.columns == ["text", "label"], "no byte order mark in the first name"
    assert source.facts()["encoding"] == found


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_goes_whatever_encoding_is_named(encoding, file):
    path = file("a.csv", codecs.BOM_UTF8 + b"text,label\none,1\n")
    assert read_file(path, encoding=encoding).columns == ["text", "label"]


@pytest.mark.parametrize("text", ["𠮷野家", "這個旅館的早餐還不錯，臺灣遊客推薦", "囧"])
def test_rare_and_traditional_characters_of_gb18030(text, file):
    source = read_file(file("a.csv", f"text,label\n{text},1\n".encode("gb18030")))
    assert records(source)[0].values["text"] == text


# Written for this test: a few sentences of each kind, from which files of any length are drawn.
SENTENCES = {
    "gb18030": [
        "这家店的服务很周到",
        "电池用了半天就没电了",
        "今天天气不错，适合出门",
        "客服一直没有回复我",
        "味道一般，价格偏高",
    ],
    "big5": [
        "這家餐廳的服務很周到",
        "電池用了半天就沒電了",
        "今天天氣不錯，適合出門",
        "客服一直沒有回覆我",
        "味道普通，價格偏高",
    ],
    "cp1252": [
        "un café très bon, à côté du marché",
        "Die Größe paßt überhaupt nicht",
        "mañana será más fácil, ¿verdad?",
        "uma decisão de ocasião, não há razão",
        "a naïve idea",
        "vida útil",
    ],
}


@pytest.mark.parametrize("encoding", SENTENCES)
@pytest.mark.parametrize("count", [1, 3, 10, 300])
def test_encodings_are_told_apart_in_short_and_long_files(encoding, count, file):
    rng = random.Random(count)
    for trial in range(min(20, 300 // count)):
        texts = rng.choices(SENTENCES[encoding], k=count)
        body = "text,label\n" + "".join(f'"{text}",{n}\n' for n, text in enumerate(texts))
        source = read_file(file(f"{trial}.csv", body.encode(encoding)))
        assert source.encoding == encoding
        assert [record.values["text"] for record in records(source)] == texts


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Привет, это хороший отзыв о товаре, спасибо", "cp1251"),
        ("Καλημέρα, αυτή είναι μια καλή κριτική", "cp1253"),
        ("이 제품은 정말 좋습니다 배송도 빨랐어요", "euc-kr"),
        ("とても良い商品でした、また買いたいです", "shift_jis"),
        ("とても良い商品でした、また買いたいです", "euc-jp"),
        ("Zażółć gęślą jaźń, bardzo się cieszę, że się udało", "cp1250"),
    ],
)
def test_what_none_of_these_fits_is_refused_and_read_when_named(text, encoding, file):
    path = file("a.csv", f"text,label\nplain,1\n{text},2\n".encode(encoding))
    with refused("bad_encoding", "a.csv line 3:", "utf-8, gb18030, big5 or cp1252", "data.encoding="):
        read_file(path)
    assert len(rows(read_file(path, encoding=encoding))) + len(bad(read_file(path, encoding=encoding))) == 2


def test_the_line_of_a_bad_byte_is_the_first_one(file):
    with refused("bad_encoding", "line 2:"):
        read_file(file("a.csv", b"text,label\n\xff\xff\xff\xfe\xff ,1\nfine,2\n\xff\xff\xff\xff\xfe\xff,3\n"))


@pytest.mark.parametrize("named", ["auto", "utf-8"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.txt", "a.conll"])
def test_a_cut_character_costs_its_row_alone(named, name, file):
    texts = ["很好看的书", "值得再读一遍", "CUT", "没有什么意思", "还可以吧"]
    line = {"a.jsonl": '{{"text": "{}"}}\n', "a.csv": "{}\n", "a.txt": "{}\n", "a.conll": "{} O\n\n"}
    if name == "a.json":
        body = "[" + ",\n".join(f'{{"text": "{text}"}}' for text in texts) + "]"
    else:
        body = ("text\n" if name == "a.csv" else "") + "".join(line[name].format(text) for text in texts)
    raw = body.encode().replace(b"CUT", "好".encode()[:2])
    whole = read_file(file(f"whole-{name}", body))
    source = read_file(file(name, raw), encoding=named)
    assert source.encoding == "utf-8"
    (row,) = [row for row in source.rows() if isinstance(row, BadRow)]
    assert row.reason == "bytes that are not utf-8"
    assert row.line == records(whole)[2].line
    assert "\\udce5\\udca5" in row.raw
    good = [record.values for record in records(whole)]
    assert [record.values for record in records(source)] == good[:2] + good[3:]


def test_a_named_encoding_may_fail_on_one_line_of_a_thousand(file):
    raw = b"text\n" + b"plain\n" * 1500 + b"caf\xe9\n" + b"plain\n" * 500
    source = read_file(file("a.csv", raw), encoding="utf-8")
    assert bad(source) == [(1502, "bytes that are not utf-8")]
    assert len(records(source)) == 2000
    with refused("bad_encoding", "line 2:", "utf-8"):
        read_file(file("a.csv", b"text\ncaf\xe9\nplain\n"), encoding="utf-8")


@pytest.mark.parametrize("place", [0, 1 << 20, (1 << 20) + 1, (1 << 20) + 2])
def test_a_character_on_the_border_of_two_blocks_is_whole(place, file):
    text = "x" * (place - 5) + "好" * 9 if place else "好"
    source = read_file(file("a.csv", f"text\n{text}\n"))
    assert rows(source) == [(2, text)]


@pytest.mark.parametrize(
    "raw",
    [
        "text,label\none,1\n".encode("utf-16-le"),
        "text,label\none,1\n".encode("utf-32-be"),
        b"PK\x03\x04\x14\0\x06\0zip",
    ],
)
def test_zero_bytes_are_no_text(raw, file):
    with refused("zero_bytes", "line [123]:", f"{raw.count(0)} of the file's {len(raw)} bytes", "utf-16-le"):
        read_file(file("a.csv", raw))


def test_utf_16_without_a_mark_is_read_when_named(file):
    path = file("a.csv", "text,label\none,1\n".encode("utf-16-le"))
    assert rows(read_file(path, encoding="utf-16-le")) == [(2, "one", "1")]


@pytest.mark.parametrize("name", ["utf8000", "hex", "rot13", "base64", "undefined", ""])
def test_an_encoding_that_is_none_is_refused(name, file):
    with refused("unknown_encoding", f'"{name}"'):
        read_file(file("a.csv", "text,label\none,1\n"), encoding=name)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_any_codec_may_be_named(file):
    """All of Python's: text of their own comes back, or a coded error is raised."""
    path, misread = file("a.csv", "text\nplain\n很好\n"), []
    for name in sorted(set(encodings.aliases.aliases.values())):
        with contextlib.suppress(WeitiaoError):
            assert list(read_file(path, encoding=name).rows())
        with contextlib.suppress(LookupError):  # those that give no text, and Windows' own
            own = file("b.csv", "text\nplain\n".encode(name))
            misread += [] if rows(read_file(own, encoding=name)) == [(2, "plain")] else [name]
    assert misread == []


def test_a_named_encoding_that_does_not_fit_is_refused(file):
    with refused("bad_encoding", "line 2:", "ascii"):
        read_file(file("a.csv", "text,label\n好,1\n"), encoding="ascii")


def test_decoding_any_bytes_ends_in_text_or_a_coded_error():
    rng = random.Random(1)
    refused_files = 0
    for _ in range(300):
        raw = bytes(rng.choices(range(256), k=rng.randint(0, 30)))
        try:
            text, name = decode(raw, Path("a.csv"), "auto")
        except WeitiaoError:
            refused_files += 1
        else:
            assert name in ("utf-8", "utf-8-sig", "gb18030", "big5", "cp1252", "utf-16")
            text.encode("utf-8")
    assert 100 < refused_files < 300


def test_a_stray_zero_byte_in_a_mail_is_a_character(file):
    """UTF-16 without a mark is half zero bytes; a raw mail may hold one, and is text all the same."""
    lines = [f"mail no {i} with words enough to be one, and more" for i in range(60)]
    lines[7] = "a\x00b caf\u00e9"
    source = read_file(file("a.jsonl", "".join(json.dumps({"text": line}) + "\n" for line in lines)))
    assert [row.values["text"] for row in records(source)] == lines
    source = read_file(file("a.csv", "text,label\n" + "".join(f'"{line}",x\n' for line in lines)))
    assert [row.values["text"] for row in records(source)] == lines
    every = "text,label\n" + "".join(f"a short text\0x,{n}\n" for n in range(9))
    assert rows(read_file(file("c.csv", every)))[8] == (10, "a short text\0x", "8"), "one in each row"
