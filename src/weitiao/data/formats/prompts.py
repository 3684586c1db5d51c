"""Rows of prompts that a model answers itself; the other columns of the file stay with them.

prompt_only({"prompt": "2 + 2?", OTHERS: {"answer": "4"}}, [])  ->  {"prompt": [user], "row": {"answer": "4"}}
"""

from __future__ import annotations

from typing import Any

from weitiao.data.formats.convert import Repairs, Row, as_turns, turns_or_text

OTHERS = " others"
"""Under this a row has the columns that its format does not name, where it keeps them."""


def prompt_only(row: Row, repairs: Repairs) -> dict[str, Any]:
    """TRL's prompt, as a text or as turns; the other columns stay as they are."""
    return {"prompt": turns_or_text(row, "prompt", "user"), "row": row[OTHERS]}


def prompt_messages(row: Row, repairs: Repairs) -> dict[str, Any]:
    """The same as a conversation; an answer at its end is no part of what is asked, and known as `answer`."""
    turns = as_turns(row["messages"], "messages")
    if turns[-1]["role"] != "assistant":
        return {"prompt": turns, "row": row[OTHERS]}
    return {"prompt": turns[:-1], "row": {"answer": turns[-1]["content"], **row[OTHERS]}}
