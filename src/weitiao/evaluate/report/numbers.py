"""Numbers, shares, times and words as a page prints them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from weitiao.core.errors import language


def number(value: Any, *, sign: bool = False) -> str:
    """A number as the page prints it: 0.872, 12.34, 1,376; a dash when there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "−∞"
    size = abs(value)
    if isinstance(value, int) or size >= 1000:
        text = f"{size:,.0f}"
    elif 0 < size < 0.0005:
        text = small(size)
    else:
        text = f"{size:.{4 if 0 < size < 0.01 else 3 if size < 10 else 2 if size < 100 else 1}f}"
    return ("−" if value < 0 else "+" if sign else "") + text


def share(part: float, whole: float) -> str:
    """`part` of `whole` in percent, with as many digits as a small share needs."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.{2 if percent < 1 else 1}f} %" if percent else "0 %"


def p_value(value: float | None) -> str:
    """A p-value with its sign; below a thousandth the digits mean nothing."""
    return "–" if value is None else "<\u00a00.001" if value < 0.001 else f"=\u00a0{value:.3f}"


def seconds(value: float) -> str:
    """150.2 as `2 min 30 s`."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def clip(text: str, most: int) -> str:
    """The beginning of a long row, at most that many characters; predictions.jsonl has the whole of it."""
    return text if len(text) <= most else text[:most].rstrip() + " …"


def small(value: float, _: object = None) -> str:
    """`0.00002` as `2e-5`: a learning rate as people write it."""
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}" if value else "0"


def say(words: str | Mapping[str, str]) -> str:
    """Words of a section in the reader's language; what stands in the user's rows, as it is."""
    return words if isinstance(words, str) else words[language()]
