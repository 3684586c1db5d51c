"""Look at data before training: what is there, what is wrong with it, and a repaired copy.

check("reviews.csv")  ->  Examined(checked, diagnosis);  examined.fix()  ->  reviews.fixed.csv and what was changed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Record, Shape
from weitiao.core.display import Sheet, Shown, either
from weitiao.core.errors import fault
from weitiao.core.files import refuse_unwritable
from weitiao.core.recipe import Data, Recipe
from weitiao.core.why import because, reason
from weitiao.data import check as checking
from weitiao.data import formats
from weitiao.data.chat.labels import special_tokens
from weitiao.data.doctor import Diagnosis, Finding, examine
from weitiao.data.formats.masked import legend_of
from weitiao.data.ledger import Ledger
from weitiao.data.overlong import ENDLESS
from weitiao.data.pictures.legend import Legend
from weitiao.data.read import read
from weitiao.data.read_as import read_as
from weitiao.data.sides import SIDES
from weitiao.data.unknown import Met
from weitiao.stages.data import beside_texts, guess, learner, located, task_of
from weitiao.stages.in_memory import lent, named_files, renamed

if TYPE_CHECKING:
    from weitiao.data.doctor.fix import Fixed
    from weitiao.models.assets.fetch import Progress


@dataclass(repr=False)
class Examined(Shown):
    """What stands in some files, and what the doctor says of it."""

    data: Data
    shape: Shape
    checked: checking.Checked
    diagnosis: Diagnosis
    given: Mapping[str, str] = field(default_factory=dict)
    """Files that rows in memory were written to -> what was given, which is named in their place."""
    beside: str = ""
    """What is to be said of columns beside texts that nobody reads."""

    @property
    def tabled(self) -> bool:
        """Were the rows in memory?  Repaired copies then lie where one works."""
        return bool(self.given)

    @property
    def ledger(self) -> Ledger:
        """What became of every row."""
        return self.checked.ledger

    @property
    def bad(self) -> list[dict[str, Any]]:
        """The rows that cannot be used."""
        return list(renamed(self.checked.bad, self.given))

    def sheet(self) -> Sheet:
        """How many rows came to what."""
        counts = self.ledger.counts()
        said = ", ".join(f"{count:,} {status}" for status, count in counts.items())
        rows = [[status, f"{count:,}"] for status, count in counts.items()]
        files = either("rows in memory", "内存中的数据") if self.tabled else ", ".join(self.data.train)
        return Sheet(f"{either('Check of', '检查')} {files}: {said}", ["", either("rows", "行数")], rows)

    def to_dict(self) -> dict[str, Any]:
        """Ledger and diagnosis, for JSON."""
        read_as = {"columns": self.data.columns, "shape": self.shape.name, "beside": self.beside}
        return {
            **read_as,
            **renamed(self.ledger.to_dict(), self.given),
            "diagnosis": self.diagnosis.to_dict(),
        }

    def write_page(self, path: Path) -> Path:
        """The diagnosis as a page."""
        from weitiao.data.doctor.page import write_page

        return write_page(self.diagnosis, path)

    def fix(self, extra: Sequence[str] = ()) -> list[Fixed]:
        """Write a repaired copy beside every file; `extra` repairs (`html`, `mojibake`, `personal`) on request.

        Raises:
            WeitiaoError: `wrong_usage` when a copy is there already, or a repair is unknown; `no_permission`.
        """
        from weitiao.data.clean import DEFAULT
        from weitiao.data.doctor.fix import refuse_taken, repaired_copy

        data, shape, seen, made = self.data, self.shape, set[bytes](), []
        # The judging files first: of two equal rows it is the training one that is left out.
        sources = read(
            [*data.test, *data.validation, *data.train], encoding=data.encoding, format=data.format
        )
        # Before the first is written: half of the copies would be in the way of the next attempt.
        refuse_taken([_beside(source.path, self.tabled) for source in sources])
        for source in sources:
            name = formats.recognise(
                source.file, source.columns, known=shape.formats, asked=data.format, columns=data.columns
            )
            own = formats.FORMATS[name].needs + formats.FORMATS[name].may_have
            texts = [
                data.columns.get(column, column)
                for column in own
                if column not in ("label", "labels", "image", "mask")
            ]
            for several in set(formats.NUMBERED).intersection(own):
                texts += formats.numbered(several, source.columns, data.columns)
            label = next((data.columns.get(c, c) for c in ("label", "labels") if c in own), "")

            legend = legend_of(data, source.file) if formats.FORMATS[name].masked else None

            def convert(record: Record, name: str = name, legend: Legend | None = legend) -> Record:
                words: dict[str, Any] = {
                    "columns": data.columns,
                    "decimal": data.decimal,
                    "pictures": data.pictures or "",
                    "legend": legend,
                }
                return formats.convert(record, format=name, **words)

            made.append(
                repaired_copy(
                    source.rows(),
                    _beside(source.path, self.tabled),
                    shape=shape,
                    convert=convert,
                    texts=texts,
                    label=label,
                    mapping={**self.diagnosis.mapping, **data.relabel},
                    cleaners=[*DEFAULT, *extra],
                    seen=seen,
                )
            )
        return made


def _beside(path: str, tabled: bool) -> Path:
    """What a copy is named after; an embedded data set and rows in memory have their copies where one works."""
    from weitiao.data.doctor.fix import beside
    from weitiao.models.assets.fetch import cache_dir

    named = beside(path)
    return Path(named.name) if tabled or named.is_relative_to(cache_dir()) else named


def _refuse_unfixable(paths: Sequence[str], repairs: Sequence[str], tabled: bool) -> None:
    """Is every repair known, and may the copies be written?"""
    from weitiao.data.clean import chosen
    from weitiao.data.doctor.fix import destinations, refuse_taken

    chosen(repairs)
    copies = [_beside(path, tabled) for path in paths]
    refuse_taken(copies)
    for copy in (to for path in copies for to in destinations(path)):
        refuse_unwritable(copy)


def check(
    files: Any,
    *,
    task: str = "",
    model: str = "",
    labels: bool = False,
    repairs: Sequence[str] | None = None,
    progress: Progress | None = None,
    **words: Any,
) -> Examined:
    """What stands in some files, and what the doctor says of it; loads no model.

    Args:
        files: paths, names of embedded data sets, or rows: a pandas table, a `datasets.Dataset`, a list of dicts.
        task: guessed from the columns when empty.
        model: whose tokenizer counts the lengths, if any.
        labels: look for likely wrong labels, too (confident learning; trains a small classifier).
        repairs: those that `fix` will be asked for, if it will: what stands in its way is told before anything is examined.
        progress: hears about what is being fetched.
        **words: keys of the recipe's `data` section.

    Raises:
        WeitiaoError: when a file as a whole cannot be read; bad rows are listed, not raised.
    """
    if isinstance(files, Mapping) and {"model", "task", "data"} & set(files):
        raise fault("wrong_usage", **because("recipe_for_rows", path="this dict"))
    named = (
        [str(file) for file in ([files] if isinstance(files, str | Path) else files)]
        if named_files(files)
        else None
    )
    if files is None or named == []:
        raise fault("wrong_usage", **because("no_file_named", type=type(files).__name__))
    if recipe := next((name for name in named or () if name.lower().endswith((".yaml", ".yml"))), ""):
        raise fault("wrong_usage", **because("recipe_for_rows", path=recipe))
    rows = files if named is None else named
    tree: dict[str, Any] = {"model": "-", "task": "-", "output_dir": "-", "data": {**words, "train": rows}}
    with lent(tree) as (lying, keep):
        asked, own = Recipe.read(lying), tree["data"]
        found = _examined(
            asked.data,
            given={
                lying["data"][side]: type(own[side]).__name__
                for side in SIDES
                if own.get(side) is not None and not named_files(own[side])
            },
            task=task,
            model=model,
            labels=labels,
            repairs=repairs,
            decimal=str(words.get("decimal", "")),
            progress=progress,
        )
        keep(found)
    return found


def _examined(
    asked: Data,
    *,
    given: Mapping[str, str],
    task: str,
    model: str,
    labels: bool,
    repairs: Sequence[str] | None,
    decimal: str,
    progress: Progress | None,
) -> Examined:
    """What `check` gives, of a recipe's data."""
    from weitiao.models import load

    data = located(asked, progress=progress)
    if repairs is not None:
        _refuse_unfixable([*data.test, *data.validation, *data.train], repairs, bool(given))
    if task:
        shape = registry.build("task", {"name": task}).shape
    else:
        shape, keys = guess(data)
        data = data.model_copy(update=keys)
    beside = "" if task else beside_texts(data, shape)
    reads = registry.build("task", {"name": task_of(shape)})
    # Who reads words alone is asked for words alone, whatever its base is.
    sees = reads if reads.seeing_class else None
    opened = load.processor(model, sees, progress=progress) if model else None
    checked = checking.inspect(data, shape)
    lengths, met, lost = _lengths(checked, opened[0]) if opened else (None, None, [])
    sides = {
        name: (checked.marks.side == number).nonzero()[0].tolist()
        for number, name in enumerate(checking.SIDES)
        if (checked.marks.side == number).any()
    }
    if sides:  # rows of `data.train` have no side yet
        sides["train"] = (checked.marks.side == checking.DEALT).nonzero()[0].tolist()
    diagnosis = examine(
        checked.rows,
        shape,
        ledger=checked.ledger.to_dict(),
        splits=sides or None,
        groups=checked.marks.near if data.near_duplicates != "keep" else None,
        near_threshold=data.near_duplicate_threshold,
        lengths=lengths,
        limit=opened[1] if opened else None,
        marks=tuple(special_tokens(opened[0])) if opened else (),
        unknown=met.share if met else None,
        written_lost=lost,
        labels=labels,
        read_as=read_as(asked, decimal=decimal, task=task),
    )
    diagnosis.task = task or learner(shape)
    for at, finding in enumerate(diagnosis.findings if given else ()):
        diagnosis.findings[at] = Finding(**renamed(asdict(finding), given))
    diagnosis.tables = renamed(diagnosis.tables, given) if given else diagnosis.tables
    return Examined(data, shape, checked, diagnosis, given, beside)


def _lengths(checked: checking.Checked, processor: Any) -> tuple[list[int], Met, list[int]]:
    """Tokens of every row as its task encodes it, what of them the tokenizer knows, and how many tokens are lost of what is
    written, where that is a side of its own."""
    task = registry.build("task", {"name": task_of(checked.shape)})
    # Without labels: lengths can be counted before the label set is known.  Answers are no labels.
    asks = checked.shape.asks if not task.generates else dict
    bare = (Record(row.file, row.line, asks(row.values)) for row in checked.rows)
    lengths, met, written_lost = list[int](), Met.of(processor), list[int]()
    for record, example in zip(checked.rows, task.encode(bare, processor, limit=ENDLESS), strict=True):
        lengths.append(len(example))
        met.see(example.inputs.get("input_ids", ()))
        if example.size is not None:
            met.see(example.inputs.get("labels", ()))
            written_lost.append(example.trained_lost)
        if why := example.refused or ("" if example.trained else reason("nothing_to_train")):
            checked.ledger.note(record, "quarantined", why, raw=dict(record.values))
    return lengths, met, written_lost
