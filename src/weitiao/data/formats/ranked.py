"""Queries with passages as sentence-transformers' cross-encoders and search logs have them.

{"query": ..., "passage": ..., "label": 1}           ->  {"query": ..., "passages": [...], "scores": [1.0]}
{"query": ..., "positive": ..., "negative": ...}     ->  the same, right ones 1, wrong ones 0
{"query": ..., "positives": [...], "negatives": [...]}
{"query": ..., "passages": [...], "labels": [2, 0, 1]}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weitiao.core.why import reason
from weitiao.data.formats.convert import Repairs, Row, Unusable, as_text, kind, regression
from weitiao.data.formats.spelt_list import begins, spelt_list
from weitiao.data.pairs import text_fault


def query_passage_label(row: Row, repairs: Repairs) -> dict[str, Any]:
    """One passage and whether, or how well, it suits."""
    return _ranked(row["query"], [row["passage"]], [_number(row["label"])])


def query_passages(row: Row, repairs: Repairs) -> dict[str, Any]:
    """Several passages, and a number for each."""
    scores = [_number(each) for each in as_list(row["labels"], "labels")]
    return _ranked(row["query"], as_list(row["passages"], "passages"), scores)


def query_positive(row: Row, repairs: Repairs) -> dict[str, Any]:
    """A passage that suits, or several, and those that do not, if any."""
    return _told_apart(row, "positive", "negative")


def query_positives(row: Row, repairs: Repairs) -> dict[str, Any]:
    """The same as lists."""
    return _told_apart(row, "positives", "negatives")


def as_list(value: Any, column: str) -> list[Any]:
    """One, or several as a list, or as a cell that spells a list; an empty cell is none.

    Raises:
        Unusable: of a list that holds anything but texts and numbers.
    """
    if begins(value):
        value = spelt_list(value) or value
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    found = [as_text(each) for each in (value if isinstance(value, list) else [value])]
    for each in found:
        if not isinstance(each, str):
            raise Unusable(reason("is_kind", what=column, kind=kind(each)))
    return found


def _told_apart(row: Row, right: str, wrong: str) -> dict[str, Any]:
    rights, wrongs = as_list(row[right], right), as_list(row.get(wrong), wrong)
    if not rights:
        raise Unusable(text_fault({right: row[right] if row[right] != [] else ""}, right))
    return _ranked(row["query"], [*rights, *wrongs], [1.0] * len(rights) + [0.0] * len(wrongs))


def _ranked(query: Any, passages: Sequence[Any], scores: Sequence[float]) -> dict[str, Any]:
    return {"query": as_text(query), "passages": [as_text(each) for each in passages], "scores": [*scores]}


def _number(value: Any) -> float:
    if isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in ("true", "false")):
        return float(str(value).strip().lower() == "true")
    found = regression({"text": "", "label": _plain(value)}, [])["label"]
    if found is None:
        raise Unusable(reason("label_missing"))
    return float(found)


def _plain(value: Any) -> Any:
    """A number that a list holds as a text."""
    try:
        return float(value) if isinstance(value, str) and value.strip() else value
    except ValueError:
        return value
