"""Rows of an uploaded file as tasks read them, or what is wrong with them, line by line.

{"messages": [...]}                                                                          ->  the same            supervised
{"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}     ->  prompt, chosen, rejected   dpo
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from weitiao.core.contracts import Shape
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import write_lines
from weitiao.core.recipe import Data
from weitiao.core.why import reason
from weitiao.data.check import inspect
from weitiao.data.shapes import CONVERSATION, PREFERENCE

Way: TypeAlias = Literal["supervised", "dpo"]
TASKS: Mapping[Way, tuple[str, Shape]] = {"supervised": ("sft", CONVERSATION), "dpo": ("dpo", PREFERENCE)}
"""What learns from such rows, and their shape."""
PAIR = ("input", "preferred_output", "non_preferred_output")
SHOWN = 10
"""Faults that are told at once."""


class Faulty(Exception):
    """A file cannot be learnt from."""


def way_of(raw: bytes) -> Way:
    """What the rows of a file are for.

    Raises:
        Faulty: they cannot be used: which lines, and why.
    """
    with tempfile.TemporaryDirectory(prefix="weitiao-rows-") as folder:
        return converted(raw, Path(folder) / "rows.jsonl")


def converted(raw: bytes, target: Path) -> Way:
    """Write the rows as training reads them, each in its line.

    Raises:
        Faulty: as `way_of`.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise Faulty(_lines([(line, reason("not_utf8"))])) from None
    found = list(_read(text))
    faults = [(number, row) for number, row in found if isinstance(row, str)]
    rows = [(number, row) for number, row in found if isinstance(row, dict)]
    ways: set[Way] = {"dpo" if PAIR[1] in row or PAIR[2] in row else "supervised" for _, row in rows}
    if len(ways) > 1:
        raise Faulty(reason("rows_of_two_ways"))
    if not found:
        raise Faulty(reason("file_of_nothing"))
    way: Way = ways.pop() if ways else "supervised"
    made: list[tuple[int, dict[str, Any]]] = []
    for number, row in rows:
        told = _pair(row) if way == "dpo" else _turns(row)
        if isinstance(told, str):
            faults.append((number, told))
        else:
            made.append((number, told))
    write_lines(target, [row for _, row in made])
    if made:
        faults += _misfits(target, way, [number for number, _ in made])
    if faults:
        raise Faulty(_lines(sorted(faults)))
    return way


def _read(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, reason("line_no_json", why=error)
            continue
        yield number, row if isinstance(row, dict) else reason("line_no_object")


def _turns(row: dict[str, Any]) -> dict[str, Any] | str:
    if unknown := set(row) - {"messages", "tools", "parallel_tool_calls"}:
        return reason("unknown_in_row", name=sorted(unknown)[0])
    if not isinstance(row.get("messages"), list):
        return reason("lacks_turns", name="messages")
    return _unread(row["messages"]) or {key: row[key] for key in ("messages", "tools") if row.get(key)}


def _pair(row: dict[str, Any]) -> dict[str, Any] | str:
    if unknown := set(row) - set(PAIR):
        return reason("unknown_in_row", name=sorted(unknown)[0])
    given = row.get("input")
    prompt = given.get("messages") if isinstance(given, dict) else None
    sides = {"input.messages": prompt, **{name: row.get(name) for name in PAIR[1:]}}
    for name, turns in sides.items():
        if not isinstance(turns, list) or not turns:
            return reason("lacks_turns", name=name)
        if why := _unread(turns):
            return why
    if isinstance(given, dict) and given.get("tools"):
        return reason("pair_with_tools")
    return dict(zip(("prompt", "chosen", "rejected"), sides.values(), strict=True))


def _unread(turns: list[Any]) -> str:
    """Why turns are not read: what they show would be looked for on this machine."""
    for turn in turns:
        content = turn.get("content") if isinstance(turn, dict) else None
        parts = content if isinstance(content, list) else []
        if any(not isinstance(part, dict) or part.get("type") != "text" for part in parts):
            return reason("part_no_text")
        if isinstance(turn, dict) and "images" in turn:
            return reason("part_no_text")
    return ""


def _misfits(file: Path, way: Way, numbers: list[int]) -> list[tuple[int, str]]:
    """What the shape of such rows says of them."""
    shape = TASKS[way][1]
    data = Data(train=[str(file)], near_duplicates="keep", duplicates="keep")
    try:
        bad = inspect(data, shape).bad
    except WeitiaoError as error:
        return [(numbers[0], error.text())]
    return [(numbers[row["line"] - 1], row["reason"]) for row in bad]


def _lines(faults: list[tuple[int, str]]) -> str:
    told = [reason("fault_of_line", line=line, why=why) for line, why in faults[:SHOWN]]
    if len(faults) > SHOWN:
        told.append(reason("faults_more", count=len(faults) - SHOWN))
    return "\n".join(told)
