"""What a recipe's values were written as: YAML reads `010` as 8 and `no` as false, and a label may be either.

    {task: {labels: [010, no]}}  ->  Scalar(8, "010"), Scalar(False, "no")  ->  settled(...)  ->  ["010", "no"]

Where text is expected, a value stays as it was written; everywhere else it is what YAML makes of it.  Python's own
numbers and booleans become the text that the same label has in data: 1 and 1.0 are "1", True is "true".
"""

from __future__ import annotations

import dataclasses
import datetime
import numbers
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel


@dataclass(frozen=True)
class Scalar:
    """A value that YAML does not read as text, and the text that stood there."""

    value: Any
    written: str

    def __str__(self) -> str:
        return self.written


def plain(value: Any) -> Any:
    """The values as YAML reads them."""
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def settled(value: Any, hint: Any) -> Any:
    """The value as `hint`, the type that is expected, asks for it: as written where that is text.

    Args:
        value: with `Scalar`s in it, or Python's own values.
        hint: a type, an annotation, or the class of a section or of something on a shelf; `Any` where nothing is known.
    """
    arms = _arms(hint)
    for arm in arms:
        if isinstance(value, Mapping) and (fields := _fields(arm)) is not None:
            return {str(key): settled(item, fields.get(str(key), Any)) for key, item in value.items()}
        if isinstance(value, Mapping) and get_origin(arm) is dict:
            of_key, of_value = get_args(arm)
            return {settled(key, of_key): settled(item, of_value) for key, item in value.items()}
        if get_origin(arm) in (list, tuple) and not isinstance(value, str | Mapping):
            items = value.tolist() if hasattr(value, "tolist") else value  # `labels=table.label.unique()`
            if isinstance(items, list | tuple):
                return [settled(item, get_args(arm)[0]) for item in items]
    if str in arms and not isinstance(value, Mapping | list | tuple) and not _is_one_of(plain(value), arms):
        return _text(value)
    if isinstance(plain(value), bool) and bool not in arms and (int in arms or float in arms):
        return _text(value)  # Python takes true for 1: `max_steps: yes` would be one step
    return plain(value)


def _arms(hint: Any) -> list[Any]:
    """The types that an annotation takes: `Annotated[int, ...] | list[str]` takes an int and a list."""
    if get_origin(hint) is Annotated:
        return _arms(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return [arm for each in get_args(hint) for arm in _arms(each)]
    return [hint]


def _fields(arm: Any) -> dict[str, Any] | None:
    return _declared(arm) if isinstance(arm, type) else None


@cache
def _declared(kind: type) -> dict[str, Any] | None:
    if issubclass(kind, BaseModel):
        return {name: field.rebuild_annotation() for name, field in kind.model_fields.items()}
    if dataclasses.is_dataclass(kind):
        try:
            return typing.get_type_hints(kind, include_extras=True)
        except (
            NameError
        ):  # names that are there for type checkers alone: its values are taken as YAML reads them
            return {}
    return None


def _is_one_of(value: Any, arms: list[Any]) -> bool:
    """Is the value as YAML reads it just what one of the types asks for?"""
    if value is None:
        return type(None) in arms
    if isinstance(value, bool):
        return bool in arms
    if isinstance(value, int) and (int in arms or float in arms):
        return True
    if isinstance(value, float) and float in arms:
        return True
    return any(get_origin(arm) is Literal and value in get_args(arm) for arm in arms)


def _text(value: Any) -> Any:
    if isinstance(value, Scalar):
        return value.written or None  # nothing was written: `relabel: {a: }`
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):  # NumPy's is no bool
        return "true" if value else "false"  # as JSON and YAML spell them, and as the data room does
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value) if isinstance(value, str | numbers.Real) else value
