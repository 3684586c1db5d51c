"""Rows as OpenAI's fine-tuning takes them.

{"messages": [user, assistant]}                       ->  the same
{"prompt": [...], "chosen": [...], "rejected": [...]}  ->  {"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.core.why import reason
from weitiao.data.formats.turned import IMAGES
from weitiao.data.shapes import CONVERSATION, PREFERENCE

SHAPES = (CONVERSATION, PREFERENCE)
"""Those whose rows it has a form for."""
LEAST = 10
"""Rows of a file (its guide to supervised fine-tuning)."""
KNOWN = ("role", "content", "name", "tool_calls", "tool_call_id", "weight")


def as_openai(values: Mapping[str, Any]) -> dict[str, Any]:
    """A row of one of the shapes, in its form.

    Raises:
        ValueError: it has none for what the row holds, and why.
    """
    if "messages" in values:
        _refuse(values["messages"])
        return {name: values[name] for name in ("messages", "tools") if values.get(name)}
    prompt, chosen, rejected = (values[name] for name in ("prompt", "chosen", "rejected"))
    for turns in (prompt, chosen, rejected):
        _refuse(turns)
    for side in (chosen, rejected):
        if len(side) != 1 or side[0]["role"] != "assistant":
            raise ValueError(reason("openai_one_answer"))
    return {"input": {"messages": prompt}, "preferred_output": chosen, "non_preferred_output": rejected}


def _refuse(turns: Sequence[Mapping[str, Any]]) -> None:
    for turn in turns:
        if turn.get(IMAGES):
            raise ValueError(reason("openai_no_pictures"))
        if unknown := [name for name in turn if name not in KNOWN and turn[name] is not None]:
            raise ValueError(reason("openai_unknown", name=unknown[0]))
        if "weight" in turn and turn["role"] != "assistant":
            raise ValueError(reason("openai_weight"))
