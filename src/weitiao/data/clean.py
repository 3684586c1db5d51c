"""Repairs of a row, each by its name, each said.

    {"text": " caf\\u0065\\u0301  au lait "}  ->  clean(values, shape, ["whitespace", "unicode"])
        ->  {"text": "café au lait"}, ["whitespace in text", "unicode in text"]

Every repair leaves alone what it has repaired once.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weitiao.core.contracts import Shape
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.why import because, reason
from weitiao.data import personal as private


@dataclass(frozen=True)
class Cleaner:
    """A repair of one text."""

    summary: str
    """One line for those who choose."""
    repair: Callable[[str], str]


# C0 and C1 controls less tab and line ends; soft hyphen, zero-width space, bidirectional overrides, word joiner,
# byte order marks.  The joiners U+200C and U+200D stay: Persian, Indic scripts and emoji are written with them.
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffe\uffff]"
)
_SPACES = re.compile(r"[^\S\n]+")
_TAG_NAMES = (
    "a|abbr|article|b|big|blockquote|body|br|center|code|dd|del|div|dl|dt|em|figure|font|footer|form|h[1-6]|head|header"
    "|hr|html|i|iframe|img|ins|input|label|li|link|meta|nav|ol|p|pre|s|script|section|small|span|strike|strong|style"
    "|sub|sup|table|tbody|td|th|thead|title|tr|u|ul"
)
# What opens a comment or a script again ends the search for its end, or a text of so many openings would be gone
# through to its end from each of them.
TAG = re.compile(
    rf"</?(?:{_TAG_NAMES})(?:\s[^<>]*)?/?>|<!--(?:(?!-->|<!--).)*+-->", re.IGNORECASE | re.DOTALL
)
_BREAK = re.compile(r"<(?:br|/p|/div|/li|/tr|/h[1-6])\s*/?>", re.IGNORECASE)
_HIDDEN = re.compile(r"<(script|style)\b[^<>]*>(?:(?!</?\1\b).)*+</\1\s*>", re.IGNORECASE | re.DOTALL)
_NESTED = re.compile("&(?:(?:amp|AMP|#0*38|#[xX]0*26);)+")  # &amp;amp;lt; in one step, not in three

# What bytes 0x80 to 0xff look like when they are read as Latin-1, and as Windows-1252, which leaves five open.
_BYTES = {chr(i): i for i in range(0x80, 0x100)}
_BYTES |= {found: i for i in range(0x80, 0x100) if (found := bytes([i]).decode("cp1252", "ignore"))}
_MISREAD = re.compile(f"[{re.escape(''.join(_BYTES))}]{{2,}}")
_PLAUSIBLE = re.compile(
    "[\u00a0-\u00ff\u2010-\u2044\u20ac\u2122\u3000-\u9fff\uac00-\ud7a3\uff00-\uffef]+|[\u0370-\u04ff]{2,}"
)


def _control(text: str) -> str:
    return _CONTROL.sub("", text)


def _whitespace(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if "\n" not in text:
        return _SPACES.sub(" ", text)
    # Several lines may be code or a table: what stands at the beginning of a line, and within it, stays.
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.split("\n")))


def _unicode(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _mojibake(text: str) -> str:
    def reread(match: re.Match[str]) -> str:
        try:
            found = bytes(_BYTES[char] for char in match[0]).decode("utf-8")
        except UnicodeDecodeError:
            return match[0]
        # "CAFÉ’S" is valid UTF-8 too, and would become a letter of phonetic script.
        return found if _PLAUSIBLE.fullmatch(found) else match[0]

    return text if text.isascii() else _until_still(text, lambda now: _MISREAD.sub(reread, now))


def _html(text: str) -> str:
    def strip(now: str) -> str:
        return html.unescape(TAG.sub("", _BREAK.sub("\n", _HIDDEN.sub("", _NESTED.sub("&amp;", now)))))

    return _until_still(text, strip) if "<" in text or "&" in text else text


def _until_still(text: str, repair: Callable[[str], str]) -> str:
    while (repaired := repair(text)) != text:
        text = repaired
    return text


def _personal(text: str) -> str:
    return private.mask(text)[0]


CLEANERS: dict[str, Cleaner] = {
    "control": Cleaner("drop control characters, zero-width spaces and stray byte order marks", _control),
    "mojibake": Cleaner("re-read UTF-8 that was read as Windows-1252 or Latin-1 (Ã© becomes é)", _mojibake),
    "html": Cleaner("drop HTML tags, resolve &amp;entities;", _html),
    "unicode": Cleaner("compose accents (NFC); full-width forms stay", _unicode),
    "whitespace": Cleaner("one space for many, none at the ends; line breaks and indents stay", _whitespace),
    "personal": Cleaner("mask e-mail addresses, ID, card and phone numbers, IP addresses", _personal),
}
"""The repairs in the order in which they are made: each may leave work for the next."""

DEFAULT = ("control", "unicode", "whitespace")
"""What changes nothing that a reader could see."""


def chosen(names: Sequence[str]) -> list[str]:
    """The named repairs in the order of `CLEANERS`.

    Raises:
        WeitiaoError: `wrong_usage` for a name that is none of them.
    """
    for name in names:
        if name not in CLEANERS:
            hint, known = did_you_mean(name, CLEANERS), ", ".join(CLEANERS)
            raise fault("wrong_usage", **because("no_repair", name=name, hint=hint, known=known))
    return [name for name in CLEANERS if name in names]


def repaired(text: str, names: Sequence[str]) -> tuple[str, Counter[str]]:
    """A text after the named repairs, and what was done: repair -> 1, or `EMAIL`, `PHONE` ... -> how many."""
    done: Counter[str] = Counter()
    for name in names:
        if name == "personal":
            text, masked = private.mask(text)
            done += masked
        elif (after := CLEANERS[name].repair(text)) != text:
            text, done[name] = after, 1
    return text, done


def clean(values: Mapping[str, Any], shape: Shape, names: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """A row after the named repairs of all its texts, and what was done, such as `whitespace in text`.

    Raises:
        WeitiaoError: `wrong_usage` for a name that is none of `CLEANERS`.
    """
    order = chosen(names)
    changed: dict[str, str] = {}
    said: list[str] = []
    masked: Counter[str] = Counter()
    for address, text in shape.texts(values).items():
        after, done = repaired(text, order)
        if after != text:
            changed[address] = after
            said += [reason("cleaned", repair=name, address=address) for name in done if name in CLEANERS]
            masked.update({kind: count for kind, count in done.items() if kind in private.KINDS})
    return (shape.with_texts(values, changed) if changed else dict(values)), said + say_masked(masked)


def say_masked(masked: Mapping[str, int]) -> list[str]:
    """`personal: 2 e-mail addresses masked`."""
    return [reason(f"masked_{kind}", count=count) for kind, count in masked.items()]


def relabel(value: Any, mapping: Mapping[str, str]) -> Any:
    """A label, or a list of labels, with some written otherwise; true, false and fractions as they are."""
    if isinstance(value, str):
        return mapping.get(value.strip(), value)
    if isinstance(value, list):
        after = [relabel(one, mapping) for one in value]
        return (
            value if after == value else list(dict.fromkeys(after))
        )  # two spellings of one label become one
    if isinstance(value, int) and not isinstance(value, bool):
        return mapping.get(str(value), value)
    return value
