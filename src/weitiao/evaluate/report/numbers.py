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


def short(value: float) -> str:
    """A number beside an axis: `0.2`, `1,250`, `1e+30`."""
    return number(int(value)) if float(value).is_integer() and abs(value) < 1e9 else f"{value:.12g}"


def apart(low: float, high: float) -> tuple[float, float]:
    """Both ends of a scale, the lower one first, with something between them."""
    low, high = sorted((low, high))
    size = max(abs(low), abs(high))
    if high - low > max(1e-9 * size, 1e-300):
        return low, high
    spare = size / 20 if size > 1e-290 else 1.0
    return low - spare, high + spare


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers in equal steps, from the last that is not above `low` to the first that is not below `high`.

    Args:
        low: one end of an axis.
        high: the other.
        most: so many steps, or a few more where that leaves fewer than two numbers between both ends.
    """
    low, high = apart(low, high)
    wanted = (high - low) / most
    power = math.floor(math.log10(wanted))
    steps = [float(f"{round_}e{power + more}") for more in (-1, 0, 1) for round_ in ("1", "2", "2.5", "5")]
    fit = next(place for place, step in enumerate(steps) if step >= wanted * (1 - 1e-9))
    for step in reversed(steps[: fit + 1]):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        found = [float(f"{place * step:.12g}") for place in range(first, last + 1)]
        if sum(low <= tick <= high for tick in found) >= 2:
            break
    return found


def say(words: str | Mapping[str, str]) -> str:
    """Words of a section in the reader's language; what stands in the user's rows, as it is."""
    return words if isinstance(words, str) else words[language()]


def size(value: float | None) -> str:
    """Bytes as people say them: 2.7 MB."""
    if value is None:
        return "–"
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} GB" if value < 1000 else f"{value:,.0f} GB"
