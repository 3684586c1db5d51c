"""JSON in, values out, and which key an object holds twice with two values: Python keeps the last in silence.

{"text": "a", "text": "b"}  ->  unique.raw_decode(window, at)  ->  {"text": "b"};  unique.twice  ->  "text"
"""

from __future__ import annotations

import json
from typing import Any


class Unique:
    """A decoder that remembers of the last value the first key that stood in one of its objects twice."""

    def __init__(self) -> None:
        self.twice = ""
        self._json = json.JSONDecoder(object_pairs_hook=self._object)

    def raw_decode(self, window: str, at: int) -> tuple[Any, int]:
        """The value that begins there, and where it ends."""
        self.twice = ""
        return self._json.raw_decode(window, at)

    def decode(self, line: str) -> Any:
        """The value that a line is."""
        self.twice = ""
        return self._json.decode(line)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs) and not self.twice:
            # Written twice alike it is the same row whichever is read.  By type too: 1, 1.0 and true are equal.
            first: dict[str, Any] = {}
            self.twice = next(
                (key for key, value in pairs if repr(first.setdefault(key, value)) != repr(value)), ""
            )
        return found
