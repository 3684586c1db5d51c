"""Lines of a terminal or a file: Chinese has no spaces to break them at, and its signs are two cells wide.

wrap("学习率指配方未指定时所用的值。", 20)  ->  ["学习率指配方未指定时", "所用的值。"]
"""

from __future__ import annotations

import re

# A word with what must not be parted from it: no line begins with a comma or a %, none ends with a bracket.
_HAN, _OPENS, _CLOSES = "\u3400-\u9fff", "（《“【", "，。；：、！？）》”】…"
_PIECE = re.compile(rf"[{_OPENS}]*(?:[{_HAN}]|[^\s{_HAN}{_OPENS}{_CLOSES}]+(?: %[,;.]?)?)?[{_CLOSES}]*\s*")


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, broken at spaces or between Chinese signs."""
    from rich.cells import cell_len

    lines = [""]
    for piece in filter(None, _PIECE.findall(text)):
        if lines[-1] and cell_len(f"{lines[-1]}{piece}".rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]
