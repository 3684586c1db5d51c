"""What stands in a text that is no language: numbers, links, markup, broken characters, words for nothing.

"http://a.example/x" -> a link      "cafÃ©" -> read in the wrong encoding      "N/A" -> a word for nothing
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from weitiao.data.clean import CLEANERS, DEFAULT, TAG
from weitiao.data.doctor.finding import FIX, Case, Diagnosis, Finding, Marked, Part, Row, Severity, finding

URL = re.compile(r"https?://\S+|www\.\S+")
NOTHING = frozenset(
    [
        "na",
        "n/a",
        "null",
        "none",
        "nil",
        "nan",
        "undefined",
        "-",
        "--",
        ".",
        "?",
        "tbd",
        "todo",
        "无",
        "無",
        "空",
        "暂无",
        "没有",
        "未知",
    ]
)
LOST = ("\ufffd", "ï¿½")
"""What stands for a character that could not be read, plain and misread once more: nothing brings it back."""
KINDS: dict[str, tuple[Severity, str]] = {
    "placeholders": ("warning", ""),
    "lost_characters": ("warning", ""),
    "broken_characters": ("warning", f"{FIX} --fix-with mojibake"),
    "markup": ("warning", f"{FIX} --fix-with html"),
    "links": ("note", ""),
    "digits": ("note", ""),
    "untidy": ("note", FIX),
}


class Contents(Part):
    """Rows with a text that holds something else than language."""

    def __init__(self, case: Case):
        super().__init__(case)
        self.found: defaultdict[str, Marked] = defaultdict(Marked)
        # Words of a tagged row may well be numbers or a dash, one by one.
        self.words = case.shape.name == "tagged"

    def see(self, row: Row) -> None:
        """Which kinds its texts hold, each counted once a row."""
        texts = [" ".join(row.texts.values())] if self.words else row.texts.values()
        for kind in {kind for text in texts for kind in kinds(text)}:
            self.found[kind].add(row.index)

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """One finding a kind."""
        diagnosis.tables["contents"] = {kind: self.found[kind].count for kind in KINDS if kind in self.found}
        for kind, (severity, fix) in KINDS.items():
            if marked := self.found.get(kind):
                yield finding(
                    kind, severity, count=marked.count, places=self.case.places(marked.first), fix=fix
                )


def kinds(text: str) -> Iterator[str]:
    """Keys of `KINDS` that a text deserves."""
    if len(text) < 12 and text.strip().lower() in NOTHING:
        yield "placeholders"
    if any(sign in text for sign in LOST):
        yield "lost_characters"
    if not text.isascii() and CLEANERS["mojibake"].repair(text) != text:
        yield "broken_characters"
    if "<" in text and len(TAG.findall(text)) >= 2:
        yield "markup"
    if "http" in text or "www." in text:
        links = sum(map(len, URL.findall(text)))
        if links > 0.5 * len(text):
            yield "links"
    digits = sum(map(str.isdigit, text)) if any(char in text for char in "0123456789") else 0
    if digits > 0.5 * len(text.replace(" ", "")):
        yield "digits"
    if any(CLEANERS[name].repair(text) != text for name in DEFAULT):
        yield "untidy"
