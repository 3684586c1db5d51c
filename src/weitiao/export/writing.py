"""A form is written aside, asked in a process of its own, compared, sealed, and renamed: there whole and verified, or not at
all.

write(run, form)  ->  export/onnx/{model, processor, config.json, runner.py, parity.json, SHA256SUMS}
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from weitiao.core import registry
from weitiao.core.display import Sheet, Shown, either
from weitiao.core.errors import fault, need
from weitiao.core.files import refuse_unwritable, sha256, write_json, write_text
from weitiao.core.why import reason
from weitiao.export.asked import asked
from weitiao.export.budget import Budget
from weitiao.export.differs import Differs, Unwritable
from weitiao.export.proof import Proven, prove
from weitiao.stages.events import Tell, listening

if TYPE_CHECKING:
    from weitiao.stages.run import Run

FOLDER = "export"
PARITY = "parity.json"
SUMS = "SHA256SUMS"
TABLE = "forms.csv"
MEASURED = ("size_mb", "peak_mb", "ms", "apart")
"""Of `parity.json`, as they stand beside each other in `TABLE`."""
VERSION = 1
"""Of `parity.json`."""


class Writes(Proven, Protocol):
    """What is asked of a form (`export.form.Form`)."""

    modules: ClassVar[tuple[str, ...]]
    extra: ClassVar[str]
    legacy: ClassVar[str]

    @property
    def dtype(self) -> str:
        """The precision of its weights."""

    @property
    def exact(self) -> bool:
        """Are its numbers those of the judged model?"""

    def refuses(self, run: Run) -> str:
        """Why it cannot be had."""

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Model, processor, runner."""


@dataclass(repr=False)
class Exported(Shown):
    """A form of a run's model."""

    path: Path

    @property
    def parity(self) -> dict[str, Any]:
        """`parity.json`: what was compared, and what came out."""
        found: dict[str, Any] = json.loads((self.path / PARITY).read_text(encoding="utf-8"))
        return found

    def sheet(self) -> Sheet:
        """Its size, memory and time, and how near it is."""
        return side_by_side([self])


def side_by_side(forms: Sequence[Exported], *, budget: Budget | None = None) -> Sheet:
    """Forms in one table; with a budget the last column says which fit."""
    head = [
        either("form", "形式"),
        "MB",
        either("peak MB", "峰值 MB"),
        "ms",
        either("apart", "最大差异"),
        either("score", "分数"),
    ]
    rows = []
    for one in forms:
        told = one.parity
        metric = told["metric"] or {}
        score = (metric.get("exported") or {}).get("value")
        rows.append(
            [
                one.path.name,
                f"{told['size_mb']:.1f}",
                f"{told['peak_mb']:.0f}",
                "-" if told["ms"] is None else f"{told['ms']:.1f}",
                f"{told['apart']:.1e}",
                "-" if score is None else f"{metric['name']} {score:.4f}",
            ]
        )
    if budget:
        head.append(either("fits", "符合"))
        for row, one in zip(rows, forms, strict=True):
            row.append(either("yes", "是") if budget.fits(one.parity) else either("no", "否"))
    foot = reason("export_table")
    title = ", ".join(str(one.path) for one in forms) or "-"
    return Sheet(title, head, rows, foot if rows else "")


def siblings(form: Exported) -> list[Exported]:
    """The other forms of the same run."""
    return [Exported(path) for path in _forms(form.path.parent) if path != form.path]


def write(run: Run, form: Writes, *, tell: Tell | None = None) -> Exported:
    """As `Form.export`."""
    from weitiao.models.store import read_card, replacing

    name, dtype = _name(form), form.dtype
    folder = run.path / FOLDER / (name if form.exact else f"{name}-{dtype}")
    if run.variant:
        raise fault(
            "no_such_form", form=name, why=reason("form_of_variant", variant=run.variant), path=run.path
        )
    read_card(run.folder.model)  # an unfinished or broken model is told first
    if why := form.refuses(run):
        raise fault("no_such_form", form=name, why=why, path=run.path)
    for module in form.modules:
        need(module, extra=form.extra)
    refuse_unwritable(folder)
    with listening(tell) as (told, _, _), tempfile.TemporaryDirectory(prefix="weitiao-asked-") as room:
        if form.legacy:
            told("notice", text=reason("export_legacy", form=name, follows=form.legacy))
        told("notice", text=reason("export_asks", form=folder.name))
        judged = exactly(run)
        rows = asked(judged, room=Path(room))
        inputs = list(rows.passes[0].inputs)
        outputs = list(rows.passes[0].said)
        told("notice", text=reason("export_writes", form=folder.name))
        with replacing(folder) as temporary:
            try:
                form.write(judged, temporary, inputs=inputs, outputs=outputs)
            except Unwritable as error:
                why = reason("form_not_made", why=error)
                raise fault("no_such_form", form=name, why=why, path=run.path) from error
            told("notice", text=reason("export_compares", rows=len(rows.predictions)))
            try:
                found = prove(judged, temporary, rows, form=form)
            except Differs as error:
                raise fault("export_differs", form=folder.name, what=error.said, path=run.path) from error
            size = sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file())
            head = {"version": VERSION, "form": name, "dtype": dtype, "size_mb": round(size / 1e6, 3)}
            write_json(temporary / PARITY, {**head, **found})
            seal(temporary)
        write_text(run.path / FOLDER / TABLE, _table(run))
        return Exported(folder)


def _table(run: Run) -> str:
    """Size, memory, time and score of every form of a run, a line each."""
    lines = [",".join(("form", *MEASURED, "metric", "score"))]
    for folder in exports(run):
        told = Exported(folder).parity
        metric = told["metric"] or {}
        score = (metric.get("exported") or {}).get("value")
        cells = (folder.name, *(told[name] for name in MEASURED), metric.get("name"), score)
        lines.append(",".join("" if cell is None else str(cell) for cell in cells))
    return "\n".join([*lines, ""])


def exactly(run: Run) -> Run:
    """The run with its model as it was judged, in float32 and on the CPU: what everything is compared with."""
    from weitiao.models.store import load_tuned
    from weitiao.stages.for_use import for_use

    recipe, same = run.recipe, replace(run, device="cpu")
    words: dict[str, Any] = {"task": run.task, "method": run.method, "base": run.base, "seed": recipe.seed}
    loaded = load_tuned(run.folder.model, ref=recipe.model, longest=recipe.data.max_length, **words)
    same.__dict__ |= {"task": run.task, "method": run.method, "tuned": for_use(loaded, half=None)}
    return same


def _name(form: Writes) -> str:
    return next(name for name in registry.names("form") if registry.entry("form", name).kind is type(form))


def seal(folder: Path) -> None:
    """`SHA256SUMS`, as `sha256sum -c` reads it."""
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    write_text(folder / SUMS, "".join(lines))


def refuse_changed(folder: Path) -> None:
    """Is everything as it was sealed?

    Raises:
        Differs: `files`.
    """
    if not (folder / SUMS).is_file():
        raise Differs("files", why=SUMS)
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    known = {name: sum for sum, _, name in (line.partition("  ") for line in lines)}
    for name, sum in known.items():
        path = folder / name
        if not path.is_file() or sha256(path) != sum:
            raise Differs("files", why=name)


def _files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    return sorted(path for path in found if "__pycache__" not in path.parts)


def exports(run: Run) -> list[Path]:
    """The folders of a run's forms."""
    return _forms(run.path / FOLDER)


def _forms(folder: Path) -> list[Path]:
    found = (path.parent for path in folder.glob(f"*/{PARITY}"))
    # Others are of an export that was killed.
    return sorted(path for path in found if not path.name.startswith("."))
