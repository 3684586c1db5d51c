"""The text of an answer as its tokens come.

    text = Text(processor, stops=["\\n\\n"]);  text.add(17)  ->  "Hello";  text.end()  ->  "."

What has been said stays: a character of which bytes are still to come, blanks that may be the last ones, and what may be
the beginning of a stop string are held back.  All pieces together are what `Run.answer` gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class Text:
    """The text of one answer.

    Args:
        processor: the tokenizer.
        stops: strings at which the answer ends, and which are no part of it.
    """

    def __init__(self, processor: Any, stops: Sequence[str] = ()):
        self.processor, self.stops = processor, [stop for stop in stops if stop]
        self.ids: list[int] = []
        self.said = ""
        """What has been told of it."""
        self.stopped = False
        """Was a stop string met?"""

    def add(self, token: int) -> str:
        """One token more; what is new of the text."""
        self.ids.append(token)
        whole = self._whole()
        return self._more(whole.rstrip() if self.stopped else whole[: len(whole) - self._held(whole)])

    def end(self) -> str:
        """No more comes; what was held back."""
        return self._more(self._whole().rstrip())

    def _whole(self) -> str:
        text = str(self.processor.decode(self.ids, skip_special_tokens=True)).lstrip()
        met = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        self.stopped = bool(met)
        return text[: min(met)] if met else text

    def _held(self, text: str) -> int:
        """Characters at its end that are not certain yet."""
        kept = len(text.rstrip(UNFINISHED).rstrip())
        for stop in self.stops:
            for size in range(min(len(stop) - 1, len(text)), 0, -1):
                if text.endswith(stop[:size]):
                    kept = min(kept, len(text[:-size].rstrip()))
                    break
        return len(text) - kept

    def _more(self, text: str) -> str:
        # A tokenizer may write what it has said otherwise; then nothing is taken back, and nothing said twice.
        if not text.startswith(self.said):
            return ""
        new, self.said = text[len(self.said) :], text
        return new
