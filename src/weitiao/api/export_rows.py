"""Rows of any format that is read here, as another service takes them.

export_rows("alpaca-en", "rows.jsonl", to="openai")  ->  the file that was written
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from weitiao.core.errors import fault
from weitiao.core.files import refuse_unwritable, write_lines
from weitiao.core.recipe import Data
from weitiao.core.why import because, reason
from weitiao.data.as_openai import LEAST, SHAPES, as_openai
from weitiao.data.check import check
from weitiao.stages.data import guess, located

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress


def export_rows(
    name: str, file: str | Path = "", *, to: Literal["openai"] = "openai", progress: Progress | None = None
) -> Path:
    """Conversations or preferences as OpenAI's fine-tuning takes them, a row a line; all of them, or none.

    Args:
        name: a file, or an embedded data set.
        file: what is written; default: the name with `.openai.jsonl` in the folder where one works.
        to: who takes them.
        progress: hears about what is being fetched.

    Raises:
        WeitiaoError: `wrong_usage` for rows of another kind, fewer than ten, or a file that is there already; `lost_rows`,
            `bad_rows` for rows that cannot be read; what reading and writing raise.
    """
    target = Path(file or f"{Path(name.partition('#')[0]).stem}.{to}.jsonl")
    if target.exists():
        raise fault("wrong_usage", **because("output_there", path=target))
    refuse_unwritable(target)
    data = located(Data(train=[name], duplicates="keep", near_duplicates="keep"), progress=progress)
    shape, keys = guess(data)
    if shape not in SHAPES:
        known = ", ".join(each.name for each in SHAPES)
        raise fault("wrong_usage", **because("rows_not_for_openai", name=name, shape=shape.name, known=known))
    rows = []
    for record in check(data.model_copy(update=keys), shape).rows:
        try:
            rows.append(as_openai(record.values))
        except ValueError as error:
            place = reason("fault_of_line", line=record.line, why=error)
            raise fault("wrong_usage", **because("row_not_for_openai", path=record.file, row=place)) from None
    if len(rows) < LEAST:
        raise fault("wrong_usage", **because("few_for_openai", name=name, rows=len(rows), least=LEAST))
    write_lines(target, rows)
    return target
