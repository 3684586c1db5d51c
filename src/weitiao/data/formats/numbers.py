"""A number that a person wrote into a table's cell.

as_number("1.234,50 €", "comma"), as_number("$1,234.50", "point")  ->  1234.5
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

Decimal: TypeAlias = Literal["point", "comma"]
DECIMALS: tuple[Decimal, ...] = ("point", "comma")

AROUND = re.compile(r"([+\-−]?)\s*([^\d+\-−.,]{0,4})([+\-−]?)\s*(\d(?:[\d.,'’\s]*\d)?)\s*([^\d.,]{0,4})")
"""A sign before or behind what stands before the digits, and what stands behind them."""
BODIES = {
    decimal: re.compile(
        rf"\d{{1,3}}(?:(?P<mark>[{group}'’\s])\d{{3}})(?:(?P=mark)\d{{3}})*(?:[{point}]\d+)?|\d+(?:[{point}]\d+)?"
    )
    for decimal, point, group in (("point", ".", ","), ("comma", ",", "."))
}
"""Digits, plain or in threes."""
NUMBERS = 0.9
"""A column of numbers holds so many of them at least; "n/a" and "ask" may stand between."""


def as_number(cell: Any, decimal: Decimal = "point") -> Any:
    """The number that a text spells, with digits in threes and a currency's sign or code if any; what else there is stays.

    Which of `,` and `.` is the decimal mark a single cell does not tell (1.234 may be either), so it is said.

    Args:
        cell: a number, or a text.
        decimal: the mark before the fraction.
    """
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    if "," not in text and (decimal == "point" or "." not in text):
        try:
            return float(text)
        except ValueError:
            pass
    found = AROUND.fullmatch(text)
    if found is None:
        return cell
    early, before, late, body, behind = found.groups()
    before, behind = before.strip(), behind.strip()
    if (early and late) or (before and behind) or not all(map(_money, (before, behind))):
        return cell
    if not BODIES[decimal].fullmatch(body):
        return cell
    mark = "." if decimal == "point" else ","
    whole, _, part = body.partition(mark)
    number = float(f"{re.sub('[^0-9]', '', whole)}.{part or 0}")
    return -number if early in "-−" and early or late in "-−" and late else number


def is_money(cell: Any) -> bool:
    """Does a text name a currency beside a number?"""
    found = AROUND.fullmatch(cell.strip()) if isinstance(cell, str) else None
    return found is not None and bool((found[2] + found[5]).strip()) and reads_somehow(cell)


def reads_somehow(cell: Any) -> bool:
    """Is it a number with the one decimal mark or the other?"""
    return any(isinstance(as_number(cell, decimal), float) for decimal in DECIMALS)


def _money(text: str) -> bool:
    return (
        not text
        or text in ("元", "円")
        or (len(text) == 3 and text.isascii() and text.isalpha() and text.isupper())
        or (len(text) <= 3 and unicodedata.category(text[-1]) == "Sc")
    )


def measured(cells: Sequence[Any]) -> bool:
    """Were they measured?  Nearly all are numbers, and some have a fraction or a currency: classes have neither."""
    cells = [cell for cell in cells if cell is not None and str(cell).strip()]
    decimal = decimal_of(cells)
    numbers = [_finite(as_number(cell, decimal)) for cell in cells]
    told = [number for number in numbers if number is not None]
    if len(told) < NUMBERS * len(cells):
        return False
    return any(not number.is_integer() for number in told) or any(map(is_money, cells))


def _finite(value: Any) -> float | None:
    try:
        number = float("nan") if isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def decimal_of(cells: Sequence[Any]) -> Decimal:
    """The decimal mark with which more of a column's cells are numbers."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    point, comma = (
        sum(isinstance(as_number(text, decimal), float) for text in texts) for decimal in DECIMALS
    )
    return "comma" if comma > point else "point"
