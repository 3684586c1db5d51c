"""The page stands alone, escapes what is in the data, and shows what was found."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from weitiao.core.contracts import Record
from weitiao.data.doctor import Diagnosis, examine
from weitiao.data.doctor.finding import table
from weitiao.data.doctor.page import bars, columns, page, write_page
from weitiao.data.near import near_groups
from weitiao.data.shapes import LABELLED

EVIL = "<script>alert(1)</script> & \"quoted\" 'x'"


class Balance(HTMLParser):
    """Tags that are opened and not closed, text, and attributes that would fetch something."""

    VOID = frozenset(("meta", "br", "link", "img", "hr"))

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def sick() -> Diagnosis:
    texts = [f"the film number {i} was {word} {'x' * i}" for i in range(60) for word in ("good", "bad")]
    rows = [
        Record("a<b>.csv", i, {"text": text, "label": ("bad", "good")[i % 2]}) for i, text in enumerate(texts)
    ]
    rows += [
        Record("a<b>.csv", 500 + i, {"text": f"{EVIL} {i}", "label": f"{EVIL}{i % 2}"}) for i in range(30)
    ]
    reason = f"bad {EVIL}"
    ledger = {
        "total": 155,
        "counts": {"kept": 150, "dropped": 5},
        "files": [{"path": "a<b>.csv", "format": "csv", "encoding": "utf-8", "rows": 155}],
        "rows": [{"file": "a<b>.csv", "line": i, "status": "dropped", "reason": reason} for i in range(5)],
    }
    groups = near_groups([LABELLED.key(row.values) for row in rows])
    lengths = [len(row.values["text"]) for row in rows]
    return examine(rows, LABELLED, ledger=ledger, groups=groups, lengths=lengths, limit=60, labels=True)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_is_whole_and_escapes_what_it_shows(lang, monkeypatch, tmp_path):
    monkeypatch.setenv("WEITIAO_LANG", lang)
    diagnosis = sick()
    html = write_page(diagnosis, tmp_path / "check.html").read_text(encoding="utf-8")
    assert "<script" not in html
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    assert parser.outside == []
    assert not re.search(r"url\(|@import", html)
    text = " ".join(parser.text)
    assert EVIL in text
    for one in diagnosis.findings:
        assert one.title in text
        assert one.fix in text
    column = ("en", "zh").index(lang)
    for section in ("findings", "files", "labels", "lengths", "scripts", "near"):
        assert table()["page"][section][column] in text


def test_a_healthy_page_says_so():
    text = page(Diagnosis("plain", 3))
    assert "Nothing stands out." in text
    assert "<section" not in text


def test_half_a_character_does_not_stop_the_page(tmp_path):
    rows = [
        Record(
            "f.csv",
            i,
            {"text": f"half \ud800 of a character {'and' * (i % 2)}", "label": "a\udfff" if i % 2 else "b"},
        )
        for i in range(30)
    ]
    groups = near_groups([row.values["text"] for row in rows])
    diagnosis = examine(rows, LABELLED, ledger={"total": 30, "rows": []}, groups=groups)
    assert "half" in write_page(diagnosis, tmp_path / "c.html").read_text(encoding="utf-8")


def test_bars_are_shares():
    shown = bars({"a": 30, "b": 10}, most=5)
    assert [(bar["share"], bar["width"]) for bar in shown] == [(0.75, 100.0), (0.25, 100 / 3)]


def test_the_limit_stands_where_it_is():
    histogram = {"unit": "tokens", "width": 10, "counts": [5, 20, 10, 1]}
    shown = columns(histogram, {"limit": 20})
    assert shown["at"] == 50
    assert [bar["over"] for bar in shown["bars"]] == [False, False, True, True]
    assert [bar["height"] for bar in shown["bars"]] == [25, 100, 50, 5]
    assert columns(histogram, {"limit": 500})["at"] is None
