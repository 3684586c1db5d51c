"""When two texts count as the same.

"Ａ Film  to see"  ->  normalised  ->  "a film to see"  ->  digest  ->  64 bits that stand for it
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


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
