"""Pairs of texts as sentence-transformers, search logs and lists of questions write them.

{"anchor": ..., "positive": ..., "negative": ...}  ->  {"anchor": ..., "positive": ..., "negative": [...]}
{"question": ..., "answer": ...}                   ->  the same, without a negative
{"sentence1": ..., "sentence2": ..., "score": 0.8} ->  the same columns, the score a number
"""

from __future__ import annotations

from typing import Any

from weitiao.core.why import reason
from weitiao.data.formats.convert import Repairs, Row, Unusable, as_text, kind, regression
from weitiao.data.formats.spelt_list import begins, spelt_list


def pairs(row: Row, repairs: Repairs) -> dict[str, Any]:
    """A text, the one that belongs to it, and one or several that do not, if any."""
    return _pair(row, "anchor", "positive")


def query_passage(row: Row, repairs: Repairs) -> dict[str, Any]:
    """What is searched for, and what shall be found."""
    return _pair(row, "query", "passage")


def question_answer(row: Row, repairs: Repairs) -> dict[str, Any]:
    """A question and its answer."""
    return _pair(row, "question", "answer")


def _pair(row: Row, asked: str, right: str) -> dict[str, Any]:
    return {"anchor": as_text(row[asked]), "positive": as_text(row[right]), "negative": _negatives(row)}


def _negatives(row: Row) -> list[Any]:
    """One, or several as a list, or as a cell that spells a list; an empty cell is none."""
    value = row.get("negative")
    if isinstance(value, str) and begins(value):
        value = spelt_list(value) or value
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    negatives = [as_text(each) for each in (value if isinstance(value, list) else [value])]
    for each in negatives:
        if not isinstance(each, str):
            raise Unusable(reason("is_kind", what="negative", kind=kind(each)))
    return negatives


def scored_pairs(row: Row, repairs: Repairs) -> dict[str, Any]:
    """Two texts and a number; a text that is still one could not be read as a number."""
    score = regression({"text": "", "label": row["score"]}, repairs)["label"]
    return {"sentence1": as_text(row["sentence1"]), "sentence2": as_text(row["sentence2"]), "score": score}
