"""Rows of prompts that a model answers itself; the other columns of the file stay with them.

prompt_only({"prompt": "2 + 2?", OTHERS: {"answer": "4"}}, [])  ->  {"prompt": [user], "row": {"answer": "4"}}
"""

from __future__ import annotations

from typing import Any

from weitiao.data.formats.convert import (
    Repairs,
    Row,
    a_turn,
    as_turns,
    history_of,
    instruction_of,
    system_of,
    turns_or_text,
)

OTHERS = " others"
"""Under this a row has the columns that its format does not name, where it keeps them."""


def prompt_only(row: Row, repairs: Repairs) -> dict[str, Any]:
    """TRL's prompt, as a text or as turns; the other columns stay as they are."""
    return {"prompt": turns_or_text(row, "prompt", "user", repairs), "row": row[OTHERS]}


def prompt_messages(row: Row, repairs: Repairs) -> dict[str, Any]:
    """The same as a conversation; an answer at its end is no part of what is asked, and known as `answer`."""
    return _asked(row, as_turns(row["messages"], "messages"))


def prompt_sharegpt(row: Row, repairs: Repairs) -> dict[str, Any]:
    """The same in ShareGPT's spelling."""
    return _asked(row, [*system_of(row), *as_turns(row["conversations"], "conversations")])


def prompt_alpaca(row: Row, repairs: Repairs) -> dict[str, Any]:
    """Alpaca's instruction with its input; its `output` stays with the row."""
    asked = [*system_of(row), *history_of(row), a_turn("user", instruction_of(row))]
    return {"prompt": asked, "row": row[OTHERS]}


def _asked(row: Row, turns: list[dict[str, Any]]) -> dict[str, Any]:
    if turns[-1]["role"] != "assistant":
        return {"prompt": turns, "row": row[OTHERS]}
    return {"prompt": turns[:-1], "row": {"answer": turns[-1]["content"], **row[OTHERS]}}
