r"""A conversation that was written down as one text, with who speaks before every turn, as Anthropic's HH has it.

spoken("\n\nHuman: 2 + 2?\n\nAssistant: Four.", asks=False)  ->  [("user", "2 + 2?"), ("assistant", "Four.")]
"""

from __future__ import annotations

import re
from typing import Any

BEGINS = re.compile(r"\s*Human:\s")
SPEAKS = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
ROLES = {"Human": "user", "Assistant": "assistant"}


def spoken(text: Any, *, asks: bool) -> list[tuple[str, str]]:
    """Role and words of every turn; none where a text is no such transcript.

    Args:
        text: what was written.
        asks: is it what an answer follows?  Then an `Assistant:` at its end, with nothing behind it, is no turn.
    """
    if not isinstance(text, str) or not BEGINS.match(text):
        return []
    parts = SPEAKS.split(text)
    if "Assistant" not in parts[1::2]:
        return []
    said = [(ROLES[who], words.strip()) for who, words in zip(parts[1::2], parts[2::2], strict=True)]
    return said[:-1] if asks and said[-1] == ("assistant", "") else said
