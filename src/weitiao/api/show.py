"""Rows as the model sees them: its tokens, and which of them are learnt.

show("talk.jsonl", model="smollm2-135m")  ->  Shown(rows, notices)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.errors import fault
from weitiao.core.recipe import Data, Recipe
from weitiao.core.why import because, reason
from weitiao.data import check as checking
from weitiao.data import view as viewing
from weitiao.stages.data import guess, located, met, sample, suiting, task_of

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress


@dataclass(frozen=True)
class Shown:
    """Some rows as a model sees them."""

    model: str
    limit: int
    """Longest row in tokens; 0 where rows have none (pictures)."""
    rows: list[viewing.View]
    notices: list[str]
    """What is odd about the model's chat template, and how many rows cannot be shown."""
    unknown: float
    """Share of the tokens of a sample of the rows that the tokenizer does not know."""
    sampled: int
    """Rows of that sample."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = [row.to_dict() for row in self.rows]
        known = {"unknown": round(self.unknown, 6), "sampled": self.sampled}
        return {"model": self.model, "limit": self.limit, **known, "notices": self.notices, "rows": rows}

    def page(self) -> str:
        """A self-contained HTML page."""
        return viewing.page(self.rows, model=self.model, notices=self.notices)


def show(
    source: str | Path,
    *,
    model: str = "",
    task: str = "",
    rows: int = 3,
    line: int | None = None,
    columns: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> Shown:
    """Rows as the model sees them: its tokens, and which of them are trained.  Loads no weights.

    Args:
        source: a recipe (`.yaml`), or a file of rows or the name of an embedded data set.
        model: whose tokenizer; default: the recipe's, or one that suits the rows.
        task: for a file of rows; guessed from its columns by default.
        rows: how many, from the first.
        line: show the row at this line of the file instead, also one that cannot be used.
        columns: ours -> the file's, for a file of rows.
        overrides: `key=value` words on top of a recipe.
        progress: hears about a model that is being fetched.

    Raises:
        WeitiaoError: what reading, converting and loading the tokenizer raise; `no_such_row`; `wrong_usage` for
            anything but a path or name.
    """
    if not isinstance(source, str | Path):
        raise fault("wrong_usage", **because("no_file_named", type=type(source).__name__))
    from weitiao.data import chat
    from weitiao.models import load

    if str(source).endswith((".yaml", ".yml")):
        recipe = Recipe.read(source, overrides)
        data, name, model = recipe.data, recipe.task, model or recipe.model
    else:
        data, name = Data(train=[str(source)], columns=dict(columns or {})), {"name": task}
        if not task:
            shape, keys = guess(located(data, progress=progress))
            data, name = data.model_copy(update=keys), {"name": task_of(shape)}
    built = registry.build("task", name)
    # Rows that are like others are shown all the same.
    data = located(data, progress=progress).model_copy(
        update={"near_duplicates": "keep", "duplicates": "keep"}
    )
    checked = checking.inspect(data, built.shape)
    chosen = [row for row in checked.rows if row.line == line] if line is not None else checked.rows[:rows]
    bad = [row for row in checked.bad if row["line"] == line] if line is not None else []
    # Where no row can be used, the first ones say why.
    bad = bad if line is not None or len(chosen) else checked.bad[:rows]
    unusable = [viewing.View(row["file"], row["line"], why=row["reason"]) for row in bad]
    if not len(chosen) and not unusable:
        raise fault("no_such_row", path=", ".join(data.train), line=line or 1)
    if not built.reads_words:
        seen = [viewing.view(record, built, None, data, limit=1) for record in list(chosen)[:rows]]
        told = [reason("not_shown", rows=f"{len(checked.bad):,}")] if checked.bad and line is None else []
        return Shown(model, 0, [*seen, *unusable], told, 0.0, 0)
    model = model or suiting(built, checked)
    processor, limit = load.processor(model, built, progress=progress)
    limit = min(data.max_length or limit, limit)
    views = [viewing.view(record, built, processor, data, limit=limit) for record in list(chosen)[:rows]]
    notices = chat.notices(processor) if built.shape.turns and views else []
    if checked.bad and line is None:
        notices.append(reason("not_shown", rows=f"{len(checked.bad):,}"))
    texts = sample(checked)
    unknown = met(texts, processor).share
    return Shown(model, limit, [*views, *unusable], notices, unknown, len(texts))
