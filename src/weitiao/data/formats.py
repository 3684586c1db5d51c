"""The shapes rows come in  ->  the columns a task reads.

    {"instruction": ..., "input": ..., "output": ...}  ->  {"messages": [user, assistant]}
    {"评论": ..., "标签": 1} with columns {text: 评论, label: 标签}  ->  {"text": ..., "label": "1"}

Formats: `table` (text, label), `messages` (OpenAI), `prompt_completion` (TRL), `alpaca` (Stanford Alpaca).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import did_you_mean, fault, nearest

ROLES = ("system", "user", "assistant", "tool")
# What people call our columns; used for guesses and hints, never in silence.
KNOWN_AS = {
    "text": (
        "sentence",
        "review",
        "content",
        "comment",
        "tweet",
        "title",
        "文本",
        "评论",
        "内容",
        "句子",
        "正文",
    ),
    "label": (
        "labels",
        "sentiment",
        "category",
        "class",
        "target",
        "stars",
        "rating",
        "标签",
        "类别",
        "情感",
        "分类",
    ),
    "prompt": ("question", "query", "问题", "提问"),
    "completion": ("answer", "response", "回答", "答案"),
    "messages": ("conversations", "conversation", "对话"),
    "instruction": ("指令",),
    "output": ("输出",),
}


@dataclass(frozen=True)
class Format:
    """A row format: the columns it needs, those it may have, and the way to the task's columns."""

    needs: tuple[str, ...]
    may_have: tuple[str, ...]
    convert: Callable[[Mapping[str, Any]], dict[str, Any]]


class Unusable(ValueError):
    """A row that does not hold what its format promises; the text says why."""


def _table(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"text": row["text"], "label": as_label(row["label"])}


def _messages(row: Mapping[str, Any]) -> dict[str, Any]:
    turns = row["messages"]
    if not isinstance(turns, list) or not turns:
        raise Unusable("`messages` is not a list of turns")
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, Mapping) or not {"role", "content"} <= set(turn):
            raise Unusable(f"turn {number} lacks `role` or `content`")
        if turn["role"] not in ROLES:
            hint = did_you_mean(str(turn["role"]), ROLES)
            raise Unusable(
                f'turn {number} has the role "{turn["role"]}", not one of {", ".join(ROLES)}.{hint}'
            )
        if not isinstance(turn["content"], str):
            raise Unusable(f"the content of turn {number} is {_kind(turn['content'])}, not text")
    return {"messages": [{"role": turn["role"], "content": turn["content"]} for turn in turns]}


def _prompt_completion(row: Mapping[str, Any]) -> dict[str, Any]:
    return _dialogue(prompt=_text(row, "prompt"), answer=_text(row, "completion"))


def _alpaca(row: Mapping[str, Any]) -> dict[str, Any]:
    prompt = _text(row, "instruction")
    if row.get("input"):
        prompt += "\n\n" + _text(row, "input")
    return _dialogue(prompt=prompt, answer=_text(row, "output"))


def _dialogue(*, prompt: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}


FORMATS = {
    "messages": Format(("messages",), (), _messages),
    "prompt_completion": Format(("prompt", "completion"), (), _prompt_completion),
    "alpaca": Format(("instruction", "output"), ("input",), _alpaca),
    "table": Format(("text", "label"), (), _table),
}


def as_label(value: Any) -> str | None:
    """A label as text: 1 and 1.0 are "1"; a missing or blank one (or NaN) is None."""
    if isinstance(value, list | Mapping):
        raise Unusable(f"`label` is {_kind(value)}, not one label")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value != value:
        value = None
    if isinstance(value, bool):
        value = "true" if value else "false"  # as JSON and YAML spell them
    return None if value is None or str(value).strip() == "" else str(value).strip()


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    if not isinstance(value, str):
        raise Unusable(f"`{column}` is {_kind(value)}, not text")
    return value


def _kind(value: Any) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"


def recognise(
    path: str, found: Sequence[str], *, known: Sequence[str], asked: str, columns: Mapping[str, str]
) -> str:
    """The name of the format whose columns are there, among those `known` to the task.

    Args:
        path: the file, for errors.
        found: its columns.
        asked: `data.format`; `auto` takes the first that fits.
        columns: `data.columns`, ours -> the file's.

    Raises:
        WeitiaoError: `missing_column` (with the nearest name), `unknown_row_format`, `wrong_usage`.
    """
    for ours, theirs in columns.items():
        if theirs not in found:
            hint = did_you_mean(theirs, found)
            raise fault("missing_column", path=path, column=theirs, found=", ".join(found), hint=hint)
        if not any(ours in FORMATS[name].needs + FORMATS[name].may_have for name in known):
            names = sorted({c for name in known for c in FORMATS[name].needs + FORMATS[name].may_have})
            hint = did_you_mean(ours, names)
            raise fault("unknown_key", key=f"data.columns.{ours}", hint=hint, known=", ".join(names))
    if asked != "auto" and asked not in known:
        way = f"take one of: auto, {', '.join(known)}"
        raise fault("wrong_usage", why=f"data.format={asked} does not suit this task", way=way)
    have = set(found) | set(columns)
    candidates = known if asked == "auto" else [asked]
    for name in candidates:
        if have >= set(FORMATS[name].needs):
            return name
    if len(candidates) > 1:
        raise fault("unknown_row_format", path=path, found=", ".join(found))
    missing = next(column for column in FORMATS[candidates[0]].needs if column not in have)
    guess = guess_column(missing, found)
    hint = f' Did you mean "{guess}"?' if guess else ""
    raise fault("missing_column", path=path, column=missing, found=", ".join(found), hint=hint)


def guess_column(ours: str, found: Sequence[str]) -> str:
    """The column of a file that probably is our `ours`; empty when none looks like it."""
    lower = {name.lower(): name for name in found}
    for name in (ours, *KNOWN_AS.get(ours, ())):
        if name in lower:
            return lower[name]
    return nearest(ours, found, cutoff=0.7)


def convert(record: Record, *, format: str, columns: Mapping[str, str]) -> Record:
    """The record in the task's columns.

    Raises:
        Unusable: when the row does not hold what the format needs.
    """
    shape = FORMATS[format]
    row = {ours: record.values.get(columns.get(ours, ours)) for ours in shape.needs + shape.may_have}
    return Record(record.file, record.line, shape.convert(row))
