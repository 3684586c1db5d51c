"""A cell of a row, by the name of its column: `prompt`, or `translation.en` where a column holds several texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def there(column: str, found: Sequence[str]) -> bool:
    """Is it one of these columns, or a part of one (`translation.en`)?"""
    return column in found or column.partition(".")[0] in found and "." in column


def value(row: Mapping[str, Any], column: str) -> Any:
    """What a row has in a column, or in a part of one: `translation.en` of {"translation": {"en": ..., "zh": ...}}."""
    if column in row or "." not in column:
        return row.get(column)
    node: Any = row
    for step in column.split("."):
        node = node.get(step) if isinstance(node, Mapping) else None
    return node
