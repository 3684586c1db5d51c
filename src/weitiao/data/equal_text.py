"""When two texts count as the same.

"Ａ Film  to see"  ->  normalised  ->  "a film to see"  ->  digest  ->  64 bits that stand for it
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Controls, soft hyphen, joiners, marks of direction, variation selectors, byte order marks.  Between letters beyond ASCII
# U+200C and U+200D are seen: Persian, Indic scripts and emoji are written with them.
UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u180b-\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb]|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)
"""What no screen shows."""
_BLANK = re.compile(rf"(?:{UNSEEN.pattern}|[\s\u200c\u200d])*+\Z")


def blank(text: str) -> bool:
    """Is there nothing in it that a reader would see?"""
    return _BLANK.match(text) is not None


def stands_in(text: str, words: str) -> bool:
    """Does a text hold these words, in whatever case?  As words of their own; in writing without spaces anywhere."""
    edge = r"\b" if words.isascii() else ""
    return re.search(f"{edge}{re.escape(words)}{edge}", text, re.IGNORECASE) is not None


def looks(text: str) -> str:
    """A short text as a reader sees it: what no screen shows is left out, width and white space are made even; its
    case stays."""
    parts = (
        unicodedata.normalize("NFKC", char)
        if unicodedata.decomposition(char).startswith(("<wide>", "<narrow>"))
        else char
        for char in UNSEEN.sub("", text)
    )
    return " ".join(unicodedata.normalize("NFC", "".join(parts)).split())


def spelt_out(text: str) -> str:
    """A text in which what no screen shows, and white space that is no plain space, stands as its escape."""
    return re.sub(rf"{UNSEEN.pattern}|[^\S ]", lambda match: match[0].encode("unicode_escape").decode(), text)


def normalised(text: str) -> str:
    """The text by which rows count as equal: width, case and white space do not tell rows apart."""
    if text.isascii():
        return " ".join(text.lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def digest(text: str) -> int:
    """64 bits that stand for a text; never 0."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()) or 1


def repeated(values: np.ndarray) -> Iterator[np.ndarray]:
    """The places of every value that occurs more than once, in order."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(values[order])) + 1, [len(order)]])
    for group in np.flatnonzero(np.diff(bounds) > 1):
        yield order[bounds[group] : bounds[group + 1]]
