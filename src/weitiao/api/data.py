"""Words about data: check it, guess what it is, write a recipe for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.recipe import Data, Recipe
from weitiao.core.run import write_lines
from weitiao.data import check as checking
from weitiao.data import formats
from weitiao.data import view as viewing
from weitiao.data.check import bad_rows
from weitiao.data.read import BadRow, table_rows

if TYPE_CHECKING:
    from weitiao.api.run import Run
    from weitiao.models.fetch import Progress


def check(files: str | Path | Sequence[str | Path], *, task: str = "", **words: Any) -> checking.Checked:
    """What stands in some files, without loading a model: the ledger, bad rows and labels.

    Args:
        files: paths, or names of embedded data sets.
        task: guessed from the columns when empty.
        **words: keys of the recipe's `data` section.

    Raises:
        WeitiaoError: when a file as a whole cannot be read; bad rows are listed, not raised.
    """
    named = [str(file) for file in ([files] if isinstance(files, str | Path) else files)]
    section = Recipe.read(
        {"model": "-", "task": "-", "output_dir": "-", "data": {**words, "train": named}}
    ).data
    data = located(section)
    if not task:
        found = guess(data)
        task, data = found["task"], data.model_copy(update={"columns": {**found["columns"], **data.columns}})
    return checking.inspect(data, registry.build("task", {"name": task}))


def guess(data: Data) -> dict[str, Any]:
    """The task and the columns that a file's header suggests: {"task": name, "columns": {ours: theirs}}.

    Raises:
        WeitiaoError: `unknown_row_format` when no task on the shelf can read such columns.
    """
    from weitiao.data.read import read

    source = read(data.train[:1], encoding=data.encoding)[0]
    for name in registry.names("task"):
        for shape in registry.entry("task", name).kind.formats:
            needs = formats.FORMATS[shape].needs
            columns = {
                ours: data.columns.get(ours) or formats.guess_column(ours, source.columns) for ours in needs
            }
            if all(columns.values()) and len(set(columns.values())) == len(columns):
                return {"task": name, "columns": {a: b for a, b in columns.items() if a != b}}
    raise fault("unknown_row_format", path=source.path, found=", ".join(source.columns))


@dataclass(frozen=True)
class Shown:
    """Some rows as a model sees them."""

    model: str
    limit: int
    """Longest row in tokens."""
    rows: list[viewing.View]
    notices: list[str]
    """What is odd about the model's chat template."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = [row.to_dict() for row in self.rows]
        return {"model": self.model, "limit": self.limit, "notices": self.notices, "rows": rows}

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
        WeitiaoError: what reading, converting and loading the tokenizer raise; `no_such_row`.
    """
    from weitiao.data import chat
    from weitiao.models import load

    if str(source).endswith((".yaml", ".yml")):
        recipe = Recipe.read(source, overrides)
        section, name, model = recipe.data, recipe.task, model or recipe.model
    else:
        section, name = Data(train=[str(source)], columns=dict(columns or {})), {"name": task}
        if not task:
            found = guess(located(section, progress=progress))
            name = {"name": found["task"]}
            section = section.model_copy(update={"columns": {**found["columns"], **section.columns}})
    built = registry.build("task", name)
    checked = checking.inspect(located(section, progress=progress), built)
    chosen = [row for row in checked.records if line is None or row.line == line][:rows]
    unusable = [viewing.View(row.file, row.line, why=row.reason) for row in checked.bad if row.line == line]
    if not chosen and not unusable:
        raise fault("no_such_row", path=", ".join(section.train), line=line or 1)
    model = model or _suiting(built, [built.key(record) for record in checked.records])
    processor, limit = load.processor(model, progress=progress)
    limit = min(section.max_length or limit, limit)
    views = [viewing.view(record, built, processor, limit=limit) for record in chosen]
    notices = chat.notices(processor) if built.generates and chosen else []
    return Shown(model, limit, [*views, *unusable], notices)


def _suiting(task: Any, texts: Sequence[str]) -> str:
    """The embedded model that suits rows of this kind and language."""
    from weitiao.evaluate.baseline import without_spaces

    return "smollm2-135m" if task.generates else "e5-small" if without_spaces(texts) else "minilm-l6"


def init(file: str | Path, *, model: str = "", columns: Mapping[str, str] | None = None) -> str:
    """A commented recipe for a file, with its columns and task guessed.

    Raises:
        WeitiaoError: when the file cannot be read or its columns say nothing.
    """
    section = Data(train=[str(file)], columns=dict(columns or {}))
    found = guess(located(section))
    section = section.model_copy(update={"columns": {**found["columns"], **section.columns}})
    task = registry.build("task", {"name": found["task"]})
    records = checking.inspect(located(section), task).records
    recipe = Recipe(
        model=model or _suiting(task, [task.key(record) for record in records]),
        task={"name": found["task"]},
        data=section,
        output_dir=f"runs/{Path(str(file).partition('#')[0]).stem}",
    )
    return recipe.to_commented_yaml()


def located(data: Data, *, progress: Progress | None = None) -> Data:
    """The section with embedded names replaced by the files they stand for, fetched if need be."""
    from weitiao.models import catalog

    def place(name: str) -> str:
        plain, mark, rows = name.partition("#")
        known = plain in catalog.DATASETS and not Path(plain).exists()
        return f"{catalog.dataset_path(plain, progress=progress)}{mark}{rows}" if known else name

    return data.model_copy(update={"train": [place(name) for name in data.train]})


def fetch(name: str, *, progress: Progress | None = None) -> Path:
    """Where an embedded model or data set lies, fetched and made if need be.

    Raises:
        WeitiaoError: `unknown_name`; what fetching raises (`no_network`, `wrong_hash`, `disk_full`...).
    """
    from weitiao.models import catalog

    if name in catalog.MODELS:
        return catalog.model_path(name, progress=progress)
    if name in catalog.DATASETS:
        return catalog.dataset_path(name, progress=progress)
    known = [*catalog.MODELS, *catalog.DATASETS]
    hint = did_you_mean(name, known)
    raise fault(
        "unknown_name", shelf="embedded model or data set", name=name, hint=hint, known=", ".join(known)
    )


def lines_of(text: str) -> list[str]:
    """Lines that say something; cut at line feeds alone, since texts may hold other separators (U+2028)."""
    return [line.removesuffix("\r") for line in text.split("\n") if line.strip()]


def texts_of(file: Path, run: Run) -> list[str]:
    """The texts in a file to predict: every line of a `.txt`, or the text column of a table.

    Raises:
        WeitiaoError: what reading raises; `missing_column` when there is no text column; `bad_rows`.
    """
    from weitiao.data.read import decode, read_bytes, read_file

    if file.suffix == ".txt":
        text, _ = decode(read_bytes(file), file, "auto")
        return lines_of(text)
    section = run.recipe.data
    source = read_file(file, encoding=section.encoding)
    column = section.columns.get("text", "text")
    if column not in source.columns:
        near = formats.guess_column("text", source.columns)
        hint = f' Did you mean "{near}"?' if near else ""
        raise fault("missing_column", path=file, column=column, found=", ".join(source.columns), hint=hint)
    empty = [record for record in source.records if not str(record.values[column] or "").strip()]
    bad = [*source.bad, *(BadRow(record.file, record.line, "the text is empty") for record in empty)]
    if bad:
        raise bad_rows(bad, total=len(source.records) + len(source.bad))
    return [str(record.values[column]) for record in source.records]


def rows_to_file(words: Mapping[str, Any]) -> dict[str, Any]:
    """Rows given in memory become a file of the run, so that a table is read, checked and resumed like any other."""
    data = words.get("data")
    if isinstance(data, Path):
        data = str(data)
    rows = data.get("train") if isinstance(data, Mapping) else data
    if (
        rows is None
        or isinstance(rows, str)
        or (isinstance(rows, list) and all(isinstance(r, str) for r in rows))
    ):
        return {**words, "data": {"train": rows}} if isinstance(data, str | list) else dict(words)
    if "output_dir" not in words:
        raise fault("missing_key", key="output_dir")
    lines = table_rows(rows)
    name = hashlib.sha256(json.dumps(lines, sort_keys=True, default=str).encode()).hexdigest()[:12]
    path = Path(words["output_dir"]) / "data" / f"rows-{name}.jsonl"
    write_lines(path, lines)
    rest = dict(data) if isinstance(data, Mapping) else {}
    return {**words, "data": {**rest, "train": str(path)}}
