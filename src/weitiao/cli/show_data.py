"""How data look in a terminal: an examination, repaired copies, rows as the model sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from weitiao.cli.show import SHOWN, out
from weitiao.core.contracts import place, places

if TYPE_CHECKING:
    from weitiao.api.check import Examined
    from weitiao.api.show import Shown
    from weitiao.data.doctor.fix import Fixed
    from weitiao.data.ledger import Ledger

ALIKE = 3  # rows to which the same happened that are named


def examined(found: Examined) -> None:
    """What `weitiao data check` found."""
    from weitiao.data.doctor.page import headline, learnt
    from weitiao.data.labels import label_table

    ledger = found.ledger
    for file in ledger.files:
        kind = ", ".join(filter(None, (file["format"], file["encoding"], *file.get("notes", ()))))
        out.print(f"[bold]{escape(file['path'])}[/bold]  {file['rows']:,} rows, {escape(kind)}")
    if found.data.columns:
        read_as = ", ".join(f"{ours}: {theirs}" for ours, theirs in found.data.columns.items())
        out.print(f"  read with data.columns: {escape('{' + read_as + '}')}")
    for status, count in ledger.counts().items():
        out.print(f"  {count:>8,}  {status}")
    rows = found.checked.rows
    counts = label_table({"": rows}, found.shape).get("", {})
    if counts:
        table = Table("label", "rows", "share")
        for label, count in counts.items():
            table.add_row(escape(label), f"{count:,}", f"{count / len(rows):.1%}")
        out.print(table)
    fates = list(_fates(ledger))
    for line in fates[:SHOWN]:
        out.print(f"  {escape(line)}")
    if len(fates) > SHOWN:
        out.print(f"  ... {len(fates) - SHOWN:,} more; --json lists all")
    diagnosis = found.diagnosis
    out.print(f"\n[bold]{escape(headline(diagnosis))}[/bold]")
    out.print(escape(learnt(diagnosis)))
    for one in diagnosis.findings:
        style = {"fault": "red", "warning": "yellow", "note": "dim"}[one.severity]
        out.print(f"[{style}]{one.severity}[/{style}]  [bold]{escape(one.title)}[/bold]: {escape(one.text)}")
        for line in places(one.places):
            out.print(f"         {escape(line)}")
        if one.fix:
            out.print(f"         -> {escape(one.fix)}")


def _fates(ledger: Ledger) -> Iterator[str]:
    """What became of rows that were not kept as they were; the same thing that happened to many is one line."""
    alike: dict[tuple[str, str], list[str]] = {}
    for row in ledger.rows:
        where = place(row["file"], row["line"], row.get("nth", 0))
        alike.setdefault((row["status"], row["reason"]), []).append(where)
    for (status, reason), rows in alike.items():
        more = f" and {len(rows) - ALIKE:,} more" if len(rows) > ALIKE else ""
        yield f"{', '.join(places(rows[:ALIKE]))}{more}: {status}: {reason}"


def fixed(copies: Sequence[Fixed]) -> None:
    """Where the repaired copies are, and what was done."""
    for copy in copies:
        counts = ", ".join(f"{count:,} {name}" for name, count in copy.counts.items())
        out.print(f"[bold]{escape(str(copy.path))}[/bold]  {counts}")
        mended = ", ".join(f"{name} {count:,}" for name, count in copy.mended.items())
        out.print(f"  rows changed by each repair: {mended}")
        for line in copy.first:
            out.print(f"  {escape(line)}")
        for what, path in (("every change", copy.changes), ("rejected rows", copy.rejected)):
            if path:
                out.print(f"  {what}: {escape(str(path))}")


def views(found: Shown) -> None:
    """Rows token by token: trained ones in two greens, the others dim, special ones underlined."""
    from rich.text import Text

    from weitiao.data.view import visible

    for row in found.rows:
        out.print(f"[bold]{escape(place(row.file, row.line))}[/bold]", end="")
        if row.why:
            out.print(f": [red]cannot be used[/red]: {escape(row.why)}")
            continue
        trained = f", {row.trained} trained" if row.trained else ""
        lost = f"; {row.lost} more were cut off ({row.trained_lost} trained)" if row.lost else ""
        label = f"; label [green]{escape(row.label)}[/green]" if row.label is not None else ""
        out.print(f": {row.tokens} tokens{trained}{lost}{label}")
        text = Text()
        for number, piece in enumerate(row.pieces):
            style = "dim" if piece.state == "seen" else "bold green" if number % 2 else "green"
            style += " underline" if piece.special else ""
            text.append(visible(piece).replace("\n", "⏎\n"), style=style)
        out.print(text, end="\n\n")
    for notice in found.notices:
        out.print(f"[yellow]note[/yellow]  {escape(notice)}")
    out.print(
        f"[green]trained[/green], [dim]only seen[/dim], [underline]special token[/underline]; {escape(found.model)}, {found.limit:,} tokens fit"
    )
