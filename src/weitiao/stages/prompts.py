"""What a model is asked to answer: a row of its task's shape less the answer.

    asked("2 + 2?", run)                                          ->  Questions
    asked([{"role": "user", "content": "2 + 2?"}], run)           one conversation; a list of such lists: many
    asked(Path("prompts.jsonl"), run, {"prompt": "question"})     rows with `prompt`, `messages`, `conversations`,
                                                                  `instruction`; of other tasks `text` or `source`

An answer that stands in a row, or ends a conversation, is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from weitiao.core.contracts import Record, Shape
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.why import reason
from weitiao.data import formats
from weitiao.data.clean import clean
from weitiao.data.formats import FORMATS, Unusable
from weitiao.data.formats.pictured import ANYWHERE
from weitiao.data.pairs import text_fault
from weitiao.data.read import BadRow
from weitiao.data.shapes import CONVERSATION
from weitiao.stages.asking import Answering, Questions, given_rows, items_of

STANDS_IN = "."
"""Where a format wants an answer."""


@dataclass(frozen=True)
class _Form:
    """A row format less its answer."""

    name: str
    asks: str
    """The column by which it is known."""
    answer: str = ""
    """The column of the answer, if it has one of its own."""

    @property
    def columns(self) -> list[str]:
        """What is read of a row."""
        form = FORMATS[self.name]
        return [name for name in (*form.needs, *form.may_have) if name != self.answer]


FORMS = (
    _Form("messages", "messages"),
    _Form("sharegpt", "conversations"),
    _Form("alpaca", "instruction", "output"),
    _Form("prompt_completion", "prompt", "completion"),
)
BARE = ("prompt", "text", "source")
"""Columns of which a bare text is one."""


def _form(shape: Shape) -> _Form:
    """Of rows that are no conversations the first column is what is asked."""
    return _Form(shape.formats[0], next(name for name in shape.columns if name != shape.target), shape.target)


def asked(given: Any, run: Answering, columns: Mapping[str, str] | None = None) -> Questions:
    """What is given to be answered.

    Args:
        given: the user's words, or a list of them; turns, or a list of such lists; a row, rows, a table, or a path.
        run: whose task and recipe say which columns are read.
        columns: our column -> theirs, as `data.columns`.

    Raises:
        WeitiaoError: `not_texts` for anything else; `no_asked_column`; what reading a file raises.
    """
    rows = given_rows(given, run, columns, items_of=turns_or_items)
    # A text file's lines are prompts.
    bare = rows.bare or (bool(rows.file) and [*rows.columns] == ["text"])
    return _questions(run, rows.columns, rows.rows, columns, file=rows.file, bare=bare)


def turns_or_items(given: Any) -> list[Any]:
    """Texts, or rows; turns become rows."""
    if isinstance(given, Sequence) and not isinstance(given, str | bytes) and given:
        if all(isinstance(item, Mapping) and "role" in item for item in given):
            return [{"messages": [*given]}]
        if all(isinstance(item, list | tuple) for item in given):
            return [{"messages": [*item]} for item in given]
    return items_of(given)


def _questions(
    run: Answering,
    found: Sequence[str],
    rows: Callable[[], Iterator[Record | BadRow]],
    columns: Mapping[str, str] | None,
    *,
    file: str = "",
    bare: bool = False,
) -> Questions:
    recipe = run.recipe.data
    forms = FORMS if run.task.shape.turns else (_form(run.task.shape),)
    known = sorted({name for form in forms for name in form.columns})
    for name, theirs in (columns or {}).items():
        if name not in known:
            raise fault("unread_column", column=name, known=", ".join(known), hint=did_you_mean(name, known))
        if not formats.there(theirs, found):
            no_column(file, theirs, name, found, did_you_mean(theirs, found))
    named = {ours: theirs for ours, theirs in recipe.columns.items() if formats.there(theirs, found)}
    named |= dict(columns or {})
    # A bare text is what is asked.
    own = {form.asks: "text" for form in forms if form.asks in BARE} if bare else {}
    have = {*found, *named, *own}
    form = next((form for form in forms if form.asks in have), None)
    if form is None:
        ours = next((each.asks for each in forms if each.asks in recipe.columns), forms[-1].asks)
        no_column(file, recipe.columns.get(ours, ours), ours, found, formats.hint(ours, found))
    names = {name: named.get(name) or own.get(name) or name for name in form.columns}
    read = {ours: theirs for ours, theirs in names.items() if formats.there(theirs, found)}

    def convert(row: Record) -> Record:
        values: dict[str, Any] = {ours: formats.value(row.values, theirs) for ours, theirs in read.items()}
        values |= {form.answer: STANDS_IN} if form.answer else {}
        # What a table names lies below its folder, as in training.
        place = (recipe.pictures or "") if row.file else ANYWHERE
        given = Record(row.file, row.line, values)
        values = dict(formats.convert(given, format=form.name, columns={}, pictures=place).values)
        if form not in FORMS:
            values = clean(values, run.task.shape, recipe.clean)[0] if recipe.clean else values
            text = values[form.asks]
            return Record(
                row.file, row.line, {"messages": [{"role": "user", "content": text or ""}]}, row.nth
            )
        turns = [*values["messages"]]
        if turns and turns[-1]["role"] == "assistant":
            turns.pop()
        values["messages"] = turns
        # What was repaired in the texts that were learnt is repaired here.
        values = clean(values, CONVERSATION, recipe.clean)[0] if recipe.clean else values
        return Record(row.file, row.line, values, row.nth)

    def unusable(row: Record) -> str:
        try:
            turns = convert(row).values["messages"]
        except Unusable as error:
            return str(error)
        if not turns:
            return reason("is_empty", what=form.asks)
        if form not in FORMS:
            return text_fault({form.asks: turns[0]["content"]}, form.asks)
        return CONVERSATION.faults({"messages": [*turns, {"role": "assistant", "content": STANDS_IN}]})

    return Questions(list(found), read, rows, convert, file, bare, unusable=unusable)


def no_column(file: str, column: str, ours: str, found: Sequence[str], hint: str) -> NoReturn:
    """Refuse rows without a column that is needed."""
    place = file or reason("the_table")
    raise fault("no_asked_column", path=place, column=column, ours=ours, found=", ".join(found), hint=hint)
