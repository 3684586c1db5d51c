"""One function a row format: a row as it stands in the file  ->  the columns of its shape.

    alpaca({"instruction": ..., "input": ..., "output": ...}, [])  ->  {"messages": [user, assistant]}

Each takes the row by our column names and a list that hears what was repaired on the way.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.core.errors import did_you_mean
from weitiao.core.why import reason
from weitiao.data.equal_text import looks, spelt_out
from weitiao.data.formats.numbers import reads_somehow
from weitiao.data.formats.spelt_list import begins, spelt_list
from weitiao.data.formats.transcript import spoken
from weitiao.data.formats.turned import IMAGES, beside, given, parts
from weitiao.data.formats.unusable import Unusable as Unusable
from weitiao.data.pictured import SEEN

ROLES = ("system", "developer", "user", "assistant", "tool")
# ShareGPT's names, and those of tools that export it.
ROLE_NAMES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "bing": "assistant",
    "observation": "tool",
    "function_response": "tool",
    "function": "tool",
}
KEPT = (
    "name",
    "tool_calls",
    "tool_call_id",
    "reasoning_content",
    "thinking",
)  # what templates read of a turn
WEIGHTS = ("weight", "loss", "train")  # how OpenAI, and others, say whether an answer is learnt

NULLABLE = ("default", "const", "example")  # what a JSON schema may say null of

SPELT = re.compile(r"""\s*\[\s*\{\s*["'](role|content|from|value)["']\s*:""")
"""How turns begin that were written into a table's cell."""

Row = Mapping[str, Any]
Repairs = list[str]


def kind(value: Any) -> str:
    """What a value is, in an error about it."""
    return reason("kind_none") if value is None else reason("kind", type=type(value).__name__)


def as_text(value: Any) -> Any:
    """A number in a column of texts is its digits: Excel and JSON store the film `2012` as one.  Others stay."""
    if isinstance(value, bool):
        return "true" if value else "false"  # as JSON and YAML spell them
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return (
        str(value) if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)) else value
    )


def as_label(value: Any) -> str | None:
    """A label as text: 1 and 1.0 are "1"; a missing or blank one (or NaN) is None."""
    if isinstance(value, list | Mapping):
        raise Unusable(reason("not_one_label", kind=kind(value)))
    value = None if value != value else as_text(value)
    label = "" if value is None else str(value).strip()
    return label if label and (label.isprintable() or looks(label)) else None


def table(row: Row, repairs: Repairs) -> dict[str, Any]:
    """A text, perhaps a second one, and one label."""
    label = as_label(row["label"])
    if isinstance(row["label"], str) and label is not None and label != row["label"]:
        repairs.append(reason("spaced_label"))
    return {**_texts(row), "label": label}


def multi_label(row: Row, repairs: Repairs) -> dict[str, Any]:
    """A text and any number of labels: a list, one cell that spells a list, or one with them set apart by `|`, `;` or `,`."""
    labels = _listed(row["labels"], "labels")
    if isinstance(labels, str):
        # Without a mark the cell is one label, whose words may stand apart.
        mark = next((mark for mark in "|;,；，、" if mark in labels), "|")
        labels = [part for part in labels.split(mark) if part.strip()]
    if not isinstance(labels, Sequence):
        raise Unusable(reason("not_a_list", column="labels", kind=kind(labels)))
    named = [as_label(label) for label in labels]
    if None in named:
        raise Unusable(reason("a_label_empty"))
    if len(set(named)) < len(named):
        repairs.append(reason("doubled_label"))
    return {**_texts(row), "label": list(dict.fromkeys(named))}


def regression(row: Row, repairs: Repairs) -> dict[str, Any]:
    """A text and a number; a text that is still one could not be read as a number."""
    value = row["label"]
    if value is None or (isinstance(value, str) and not value.strip()):
        return {**_texts(row), "label": None}
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):  # the last for whole numbers of more than 308 digits
        number = math.nan
    if not math.isfinite(number):
        other = isinstance(value, str) and reads_somehow(value)
        told = reason("other_decimal" if other else "not_finite_label", label=repr(str(value)[:40]))
        raise Unusable(told)
    return {**_texts(row), "label": number}


def _texts(row: Row) -> dict[str, Any]:
    pair = {"text_pair": as_text(row["text_pair"])} if row.get("text_pair") is not None else {}
    return {"text": as_text(row["text"]), **pair}


def messages(row: Row, repairs: Repairs) -> dict[str, Any]:
    """OpenAI's turns, with tools if any."""
    return _told(as_turns(row["messages"], "messages"), row, repairs)


def sharegpt(row: Row, repairs: Repairs) -> dict[str, Any]:
    """ShareGPT's `from` and `value`, with a system message beside them if any."""
    turns = as_turns(row["conversations"], "conversations")
    return _told([*system_of(row), *turns], row, repairs)


def prompt_completion(row: Row, repairs: Repairs) -> dict[str, Any]:
    """TRL's pair, as texts or as turns."""
    turns = turns_or_text(row, "prompt", "user", repairs)
    return _told([*turns, *turns_or_text(row, "completion", "assistant", repairs)], row, repairs)


def alpaca(row: Row, repairs: Repairs) -> dict[str, Any]:
    """Stanford Alpaca's instruction with an input, and LLaMA-Factory's `system` and `history`."""
    turns = [*system_of(row), *history_of(row), a_turn("user", instruction_of(row))]
    turns.append(a_turn("assistant", text_of(row, "output")))
    return {"messages": given(turns, row.get(IMAGES), repairs)}


def text(row: Row, repairs: Repairs) -> dict[str, Any]:
    """A text alone."""
    return {"text": as_text(row["text"])}


def tags(row: Row, repairs: Repairs) -> dict[str, Any]:
    """Words and a tag for each."""
    found = {}
    for column in ("tokens", "tags"):
        value = _listed(row[column], column)
        if isinstance(value, str):  # a table's cell
            value = value.split()
        if not isinstance(value, list) or any(isinstance(item, list | Mapping | None) for item in value):
            raise Unusable(reason("not_words", column=column))
        found[column] = [str(item) for item in value]
    tags = [looks(tag) for tag in found["tags"]]
    said = dict(zip(found["tags"], tags, strict=True))
    repairs += [
        reason("tag_read_as", tag=spelt_out(tag), meant=meant) for tag, meant in said.items() if tag != meant
    ]
    return {**found, "tags": tags}


def source_target(row: Row, repairs: Repairs) -> dict[str, Any]:
    """A text and what it should become."""
    return {"source": as_text(row["source"]), "target": as_text(row["target"])}


def image(row: Row, repairs: Repairs) -> dict[str, Any]:
    """A picture, what was seen of it (`formats.pictured`), and its label."""
    return {**{name: row[name] for name in SEEN}, "label": as_label(row["label"])}


def _listed(cell: Any, column: str) -> Any:
    """The list that a table's cell spells; what does not begin as one stays."""
    if not begins(cell):
        return cell
    found = spelt_list(cell)
    if found is None:
        raise Unusable(reason("text_of_no_list", column=column))
    return found


def as_turns(turns: Any, column: str) -> list[dict[str, Any]]:
    """Turns in OpenAI's spelling, from theirs or from ShareGPT's.

    Raises:
        Unusable: naming the turn.
    """
    if isinstance(turns, str) and turns.lstrip().startswith("["):  # a table's cell
        if (found := spelt_list(turns)) is None:
            raise Unusable(reason("text_of_no_turns", column=column))
        turns = found
    if not isinstance(turns, list) or not turns:
        raise Unusable(reason("not_turns", column=column))
    return [_as_turn(turn, number) for number, turn in enumerate(turns, start=1)]


def _as_turn(turn: Any, number: int) -> dict[str, Any]:
    if not isinstance(turn, Mapping):
        raise Unusable(reason("turn_no_object", number=number, kind=kind(turn)))
    named, worded = ("from", "value") if "from" in turn and "role" not in turn else ("role", "content")
    role, content = turn.get(named), turn.get(worded)
    if role is None or (worded not in turn and not turn.get("tool_calls")):
        raise Unusable(reason("turn_lacks", number=number, role=named, content=worded))
    kept = {name: turn[name] for name in KEPT if turn.get(name) is not None}
    if role == "function_call":
        role, content, kept = "assistant", None, {**kept, "tool_calls": _calls(content, number)}
    role = ROLE_NAMES.get(role, role) if isinstance(role, str) else role
    if role not in ROLES:
        hint, known = did_you_mean(str(role), ROLES), ", ".join(ROLES)
        raise Unusable(reason("turn_role", number=number, role=role, known=known, hint=hint))
    if isinstance(content, list):
        content, shown = parts(content, number)
        kept |= {IMAGES: shown} if shown else {}
    elif turn.get(IMAGES):
        content, kept = beside(content, turn[IMAGES], kept)
    content = as_text(content)
    if not isinstance(content, str) and not (content is None and kept.get("tool_calls")):
        raise Unusable(reason("turn_content", number=number, kind=kind(content)))
    return {"role": role, "content": content, **kept, **_weight(turn, number)}


def _weight(turn: Row, number: int) -> dict[str, int]:
    for name in WEIGHTS:
        if turn.get(name) is not None:
            if turn[name] not in (0, 1):  # False and True among them
                raise Unusable(reason("turn_weight", number=number, name=name, value=repr(turn[name])))
            return {"weight": int(turn[name])}
    return {}


def _calls(content: Any, number: int) -> list[dict[str, Any]]:
    try:
        called = json.loads(content) if isinstance(content, str) else content
    except (ValueError, RecursionError):
        called = None
    calls = called if isinstance(called, list) else [called]
    if not calls or not all(isinstance(call, Mapping) and "name" in call for call in calls):
        raise Unusable(reason("turn_call", number=number))
    return [{"type": "function", "function": dict(call)} for call in calls]


def _tools(row: Row) -> dict[str, Any]:
    tools = row.get("tools")
    if tools is None or tools == "":
        return {}
    if isinstance(tools, str):
        try:
            tools = json.loads(tools)
        except (ValueError, RecursionError):
            raise Unusable(reason("tools_no_json")) from None
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise Unusable(reason("tools_no_objects"))
    return {"tools": written(tools)} if tools else {}


def written(value: Any) -> Any:
    """Tools without the nulls that no one wrote: where rows share a structure, each has the keys of all others."""
    if isinstance(value, list):
        return [written(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    # A default may well be null.
    return {name: written(item) for name, item in value.items() if item is not None or name in NULLABLE}


def _told(turns: Sequence[dict[str, Any]], row: Row, repairs: Repairs) -> dict[str, Any]:
    """A conversation with its pictures and tools; a null among a call's arguments counts if the called tool knows the argument."""
    found, turns = _tools(row), given(turns, row.get(IMAGES), repairs)
    known = {
        name: set((tool.get("parameters") or {}).get("properties") or ())
        for tool in (tool.get("function", tool) for tool in found.get("tools", ()))
        if isinstance(tool, Mapping) and isinstance(name := tool.get("name"), str)
    }
    return {"messages": [_called(turn, known) if "tool_calls" in turn else turn for turn in turns], **found}


def _called(turn: dict[str, Any], known: Mapping[str, set[str]]) -> dict[str, Any]:
    calls = turn["tool_calls"]
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
        return turn
    return {**turn, "tool_calls": [_call(call, known) for call in calls]}


def _call(call: Row, known: Mapping[str, set[str]]) -> dict[str, Any]:
    call = {name: value for name, value in call.items() if value is not None}
    if isinstance(call.get("function"), Mapping):
        return {**call, "function": _call(call["function"], known)}
    given, mine = call.get("arguments"), known.get(str(call.get("name")))
    if isinstance(given, Mapping) and mine is not None:
        call["arguments"] = {
            name: value for name, value in given.items() if value is not None or name in mine
        }
    return call


def turns_or_text(row: Row, column: str, role: str, repairs: Repairs | None = None) -> list[dict[str, Any]]:
    """The turns in a column; a text is one of that role, or several where it writes down who speaks.

    Args:
        row: by our column names.
        column: of which.
        role: who says a text that does not write it down.
        repairs: hears of a text that was read as turns.
    """
    value = row.get(column)
    if isinstance(value, Mapping):  # LLaMA-Factory's single turn
        value = [value]
    if isinstance(value, list) or (isinstance(value, str) and SPELT.match(value)):
        return as_turns(value, column)
    said = text_of(row, column)
    if not (turns := spoken(said, asks=role == "user")):
        # Behind `Assistant:` an answer begins with a space, which belongs to how it was written down.
        behind = role == "assistant" and spoken(row.get("prompt"), asks=True)
        return [a_turn(role, said.strip() if behind else said)]
    if repairs is not None and (told := reason("transcript_read")) not in repairs:
        repairs.append(told)
    return [a_turn(*each) for each in turns]


def system_of(row: Row) -> list[dict[str, Any]]:
    """The system message beside a conversation, if any."""
    return [a_turn("system", text_of(row, "system"))] if row.get("system") else []


def history_of(row: Row) -> list[dict[str, Any]]:
    """LLaMA-Factory's exchanges before what is asked, if any."""
    pairs = row.get("history") or []
    if not isinstance(pairs, list) or not all(map(_is_exchange, pairs)):
        raise Unusable(reason("no_history"))
    return [
        a_turn(role, part) for pair in pairs for role, part in zip(("user", "assistant"), pair, strict=True)
    ]


def _is_exchange(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)


def instruction_of(row: Row) -> str:
    """Alpaca's instruction, with its input below it."""
    extra = "\n\n" + text_of(row, "input") if row.get("input") else ""
    return text_of(row, "instruction") + extra


def a_turn(role: str, content: str) -> dict[str, Any]:
    """A turn in the spelling of OpenAI."""
    return {"role": role, "content": content}


def text_of(row: Row, column: str) -> str:
    """The text in a column.

    Raises:
        Unusable: where it is none.
    """
    value = as_text(row.get(column))
    if not isinstance(value, str):
        raise Unusable(reason("not_text", column=column, kind=kind(value)))
    return value
