"""Answers that a model is asked to judge: a prompt with its answer, or with two.

    asked({"prompt": "2 + 2?", "completion": "Four."}, run)                           ->  Questions
    asked([{"role": "user", ...}, {"role": "assistant", ...}], run)                   one conversation; a list of such lists: many
    asked({"prompt": "2 + 2?", "chosen": "Four.", "rejected": "Five."}, run)          two answers beside each other
    asked(Path("answers.jsonl"), run, {"completion": "answer"})                       rows; lines of JSON, too

An answer may be empty: that is judged like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.core.contracts import Record
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.why import reason
from weitiao.data import formats
from weitiao.data.clean import clean
from weitiao.data.formats import FORMATS, Unusable
from weitiao.data.shapes import CONVERSATION
from weitiao.stages.asking import Answering, Questions, as_rows, given_rows
from weitiao.stages.prompts import no_column, turns_or_items

ONE = ("messages", "sharegpt", "alpaca", "prompt_completion")
"""Formats of one answer; the last is what is asked for."""
READ = ("prompt", "completion")


def asked(given: Any, run: Answering, columns: Mapping[str, str] | None = None) -> Questions:
    """What is given to be judged.

    Args:
        given: turns that end with an answer, a list of such lists, a row, rows, texts that are such rows as JSON, a table,
            or a path.
        run: whose task and recipe say which columns are read.
        columns: our column -> theirs, as `data.columns`.

    Raises:
        WeitiaoError: `not_texts` for anything else; `texts_alone`, `no_asked_column`; what reading a file raises.
    """
    rows = given_rows(given, run, columns, items_of=lambda these: as_rows(turns_or_items(these), READ))
    found, shape, recipe = rows.columns, run.task.shape, run.recipe.data
    names = (*shape.formats, *ONE)
    known = sorted({column for name in names for column in (*FORMATS[name].needs, *FORMATS[name].may_have)})
    for name, theirs in (columns or {}).items():
        if name not in known:
            raise fault("unread_column", column=name, known=", ".join(known), hint=did_you_mean(name, known))
        if not formats.there(theirs, found):
            no_column(rows.file, theirs, name, found, did_you_mean(theirs, found))
    named = {ours: theirs for ours, theirs in recipe.columns.items() if formats.there(theirs, found)}
    named |= dict(columns or {})
    have = {*found, *named}
    form = next((name for name in names if have >= {*FORMATS[name].needs}), "")
    if not form:
        lacks = next(name for name in READ if name not in have)
        no_column(rows.file, lacks, lacks, found, formats.hint(lacks, found))
    needs = (*FORMATS[form].needs, *FORMATS[form].may_have)
    read = {name: named.get(name, name) for name in needs if formats.there(named.get(name, name), found)}
    pairs = form in shape.formats

    def convert(row: Record) -> Record:
        values = {ours: formats.value(row.values, theirs) for ours, theirs in read.items()}
        came = formats.convert(Record(row.file, row.line, values), format=form, columns={}).values
        came = clean(came, shape if pairs else CONVERSATION, recipe.clean)[0] if recipe.clean else came
        return Record(row.file, row.line, came if pairs else _judged_last(came), row.nth)

    def unusable(row: Record) -> str:
        try:
            values = convert(row).values
        except Unusable as error:
            return str(error)
        return shape.faults(values) if pairs else _fault(values["messages"])

    return Questions(list(found), read, rows.rows, convert, rows.file, rows.bare, unusable=unusable)


def _judged_last(values: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation of which the last answer is judged, whatever was learnt of it."""
    turns: Sequence[Mapping[str, Any]] = values["messages"]
    plain = [{name: said for name, said in turn.items() if name != "weight"} for turn in turns]
    before = [{**turn, "weight": 0} if turn["role"] == "assistant" else turn for turn in plain[:-1]]
    return {**values, "messages": [*before, *plain[-1:]]}


def _fault(turns: Sequence[Mapping[str, Any]]) -> str:
    """Why a conversation cannot be judged; empty when it can."""
    if len(turns) < 2:
        return reason("no_turn", column="prompt")
    if turns[-1]["role"] != "assistant":
        return reason("no_answer_at_end", column="messages")
    stands = {"role": "assistant", "content": "."}  # the answer itself may be empty
    return CONVERSATION.faults({"messages": [*turns[:-1], stands]})
