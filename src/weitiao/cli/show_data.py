"""How data look in a terminal: an examination, repaired copies, rows as the model sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from weitiao.cli.show import SHOWN, out
from weitiao.core.contracts import place, places
from weitiao.core.display import either
from weitiao.core.why import reason
from weitiao.evaluate.words import named

if TYPE_CHECKING:
    from weitiao.api.check import Examined
    from weitiao.api.show import Shown
    from weitiao.data.doctor.fix import Fixed
    from weitiao.data.ledger import Ledger

SEVERITY = {"fault": "问题", "warning": "警告", "note": "注意"}
ALIKE = 3  # rows to which the same happened that are named


def examined(found: Examined) -> None:
    """What `weitiao data check` found."""
    from weitiao.data.doctor.page import headline, learnt
    from weitiao.data.labels import label_table

    ledger = found.ledger
    for file in ledger.files:
        kind = ", ".join(filter(None, (file["format"], file["encoding"], *file.get("notes", ()))))
        rows = reason("rows_in_all", count=f"{file['rows']:,}")
        out.print(f"[bold]{escape(file['path'])}[/bold]  {rows}, {escape(kind)}")
    if found.data.columns:
        read_as = ", ".join(f"{ours}: {theirs}" for ours, theirs in found.data.columns.items())
        out.print("  " + reason("read_with", columns=escape("{" + read_as + "}")))
    if found.beside:
        out.print("  " + escape(found.beside))
    for status, count in ledger.counts().items():
        out.print(f"  {count:>8,}  {named(status)}")
    good = found.checked.rows
    counts = label_table({"": good}, found.shape).get("", {})
    if counts:
        table = Table(either("label", "标签"), either("rows", "行数"), either("share", "占比"))
        for label, count in counts.items():
            table.add_row(escape(label), f"{count:,}", f"{count / len(good):.1%}")
        out.print(table)
    if tags := found.diagnosis.tables.get("tags"):
        table = Table(either("tag", "标记"), either("words", "词数"))
        for tag, count in tags.items():
            table.add_row(escape(tag), f"{count:,}")
        out.print(table)
    if things := found.diagnosis.tables.get("things"):
        table = Table(either("thing", "物体"), either("boxes", "框数"))
        for thing, count in things.items():
            table.add_row(escape(thing), f"{count:,}")
        out.print(table)
    fates = list(_fates(ledger))
    for line in fates[:SHOWN]:
        out.print(f"  {escape(line)}")
    if len(fates) > SHOWN:
        out.print("  " + reason("more_of_them", count=f"{len(fates) - SHOWN:,}"))
    diagnosis = found.diagnosis
    if tokens := diagnosis.tables.get("tokens"):
        facts = {name: f"{tokens[name]:,}" for name in ("median", "p95", "max", "limit")}
        out.print("  " + reason("tokens_of_rows", **facts, unknown=f"{tokens['unknown']:.1%}"))
    out.print(f"\n[bold]{escape(headline(diagnosis))}[/bold]")
    out.print(escape(learnt(diagnosis)))
    for one in diagnosis.findings:
        style = {"fault": "red", "warning": "yellow", "note": "dim"}[one.severity]
        severity = f"[{style}]{either(one.severity, SEVERITY[one.severity])}[/{style}]"
        out.print(f"{severity}  [bold]{escape(one.title)}[/bold]: {escape(one.text)}")
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
    for (status, why), rows in alike.items():
        more = reason("and_more_rows", count=f"{len(rows) - ALIKE:,}") if len(rows) > ALIKE else ""
        yield f"{', '.join(places(rows[:ALIKE]))}{more}: {named(status)}: {why}"


def fixed(copies: Sequence[Fixed]) -> None:
    """Where the repaired copies are, and what was done."""
    for copy in copies:
        counts = ", ".join(f"{count:,} {named(name)}" for name, count in copy.counts.items())
        out.print(f"[bold]{escape(str(copy.path))}[/bold]  {counts}")
        mended = ", ".join(f"{name} {count:,}" for name, count in copy.mended.items())
        out.print("  " + reason("rows_by_repair", counts=mended))
        for line in copy.first:
            out.print(f"  {escape(line)}")
        for what, path in (
            (reason("every_change"), copy.changes),
            (reason("rejected_rows"), copy.rejected),
        ):
            if path:
                out.print(f"  {what}: {escape(str(path))}")


def views(found: Shown) -> None:
    """Rows token by token: trained ones in two greens, the others dim, special ones underlined."""
    from rich.text import Text

    from weitiao.data.view import visible

    for row in found.rows:
        out.print(f"[bold]{escape(place(row.file, row.line))}[/bold]", end="")
        if row.why:
            out.print(": " + reason("cannot_be_used", why=escape(row.why)))
            continue
        if row.about:
            label = reason("label_of_row", label=escape(row.label)) if row.label is not None else ""
            out.print(f": {escape(row.about)}{label}")
            continue
        trained = reason("tokens_trained", trained=row.trained) if row.trained else ""
        lost = reason("more_cut_off", lost=row.lost, trained=row.trained_lost) if row.lost else ""
        label = reason("label_of_row", label=escape(row.label)) if row.label is not None else ""
        out.print(f": {reason('tokens_in_row', tokens=row.tokens)}{trained}{lost}{label}")
        text = Text()
        for number, piece in enumerate(row.pieces):
            style = "dim" if piece.state == "seen" else "bold green" if number % 2 else "green"
            style += " underline" if piece.special else ""
            text.append(visible(piece).replace("\n", "⏎\n"), style=style)
        out.print(text, end="\n\n")
    for notice in found.notices:
        out.print(reason("told_note", text=escape(notice)))
    if not found.limit:
        return
    out.print(reason("key_to_colours", model=escape(found.model), limit=f"{found.limit:,}"))
    if found.sampled:
        share = f"{found.unknown:.1%}"
        out.print(
            reason("unknown_of_sample", model=escape(found.model), share=share, rows=f"{found.sampled:,}")
        )
