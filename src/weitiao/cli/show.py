"""How things look in a terminal: progress, tables, a conversation.  Rich draws; nothing is computed here."""

from __future__ import annotations

import json as json_module
import sys
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from weitiao.core.collector import paused
from weitiao.core.errors import WeitiaoError

if TYPE_CHECKING:
    from weitiao.api import Run
    from weitiao.api.run import Speaker
    from weitiao.data.ledger import Ledger

# No emoji codes: a text with ":smile:" in it is shown as it is.
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
SHOWN = 20
QUIET_S = 10.0
"""Where there is no terminal, judging says a line so often."""


@dataclass
class Show:
    """Listens to the stages and draws what they say on standard error."""

    quiet: bool = False
    _progress: Any = field(default=None, init=False)
    _bars: dict[str, Any] = field(default_factory=dict, init=False)
    _judged: dict[str, tuple[float, float]] = field(default_factory=dict, init=False)
    """Who is judged -> when it began, and when a line was last said."""

    def __enter__(self) -> Show:
        if not self.quiet:
            from weitiao.cli.bars import Bars

            self._progress = Bars(console=err, disable=not err.is_terminal)
            self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def line(self, text: str) -> None:
        """One line of what happens."""
        if not self.quiet:
            err.print(text)

    @property
    def live(self) -> bool:
        """Is there a terminal, where bars can move?"""
        return err.is_terminal

    def bar(self, name: str, done: float, total: float, note: str = "", ends: float | None = None) -> None:
        """Draw or move the bar of that name; where there is no terminal, nothing moves.

        Args:
            name: stands before it, and tells it apart.
            done: of `total`.
            total: when it is full.
            note: stands behind it.
            ends: when it will be full, by `time.monotonic()`; without it Rich guesses.
        """
        if self._progress is not None:
            if name not in self._bars:
                self._bars[name] = self._progress.add_task(name, total=total, note=note, ends=ends)
            self._progress.update(self._bars[name], completed=done, total=total, note=note, ends=ends)

    def figures(self, text: str) -> None:
        """The line below the bars."""
        if self._progress is not None:
            self._progress.figures = text

    def fetching(self, done: int, total: int) -> None:
        """Bytes of an embedded model."""
        self.bar("fetching", done, total, note=f"{done / 1e6:.0f} of {total / 1e6:.0f} MB")
        if done >= total:
            self._bars.pop("fetching", None)

    def labelling(self, done: int, total: int) -> None:
        """Rows that are labelled."""
        self.bar("label", done, total, note=f"{done:,} of {total:,}")

    def tell(self, event: str, **facts: Any) -> None:
        """What a stage says."""
        if event == "data":
            self.line(
                "[bold]data[/bold]  " + escape(", ".join(file["path"] for file in facts["ledger"].files))
            )
            self.ledger(facts["ledger"])
        elif event == "loading":
            self.line(f"[bold]model[/bold] {escape(facts['model'])}")
        elif event == "encoded":
            self.encoded(facts["ledger"], trained=facts["trained"], total=facts["total"])
        elif event == "notice":
            self.line(f"[yellow]note[/yellow]  {escape(facts['text'])}")
        elif event == "resumed":
            self.line(f"[bold]resumed[/bold] from {facts['checkpoint']}")
        elif event == "training":
            self.line(
                f"[bold]train[/bold] {facts['steps']} steps, {facts['padding']:.1%} padding"
                + (f", from step {facts['start']}" if facts["start"] else "")
            )
        elif event == "saved":
            self.line(
                f"[bold]saved[/bold] {escape(str(facts['path']))}: step {facts['step']} ({facts['reason']}), {facts['seconds']:.0f} s"
            )
        elif event == "tried":
            stage = facts["stage"]
            self.line(f"[bold]{stage.what}[/bold] {stage.name}, {stage.seconds:.1f} s")
        elif event == "judging":
            self.line(
                f"[bold]judge[/bold] {facts['rows']} locked test rows, on the model read back from disk"
            )
            self._judged = {}
        elif event == "judged":
            self.judged(**facts)

    def judged(self, *, what: str, done: int, all: int) -> None:
        """How far judging has come: a bar, or a line now and then where there is no terminal."""
        from weitiao.cli.bars import clock

        self.bar(what, done, all, note=f"{done:,}/{all:,}")
        now = time.monotonic()
        begun, last = self._judged.setdefault(what, (now, now))
        if self.live or (now - last < QUIET_S and done < all) or (done == all and last == begun):
            return
        self._judged[what] = begun, now
        left = f"  left {clock((all - done) * (now - begun) / done)}" if done < all else ""
        self.line(f"      {what}: {done:,}/{all:,}{left}")

    def ledger(self, ledger: Ledger) -> None:
        """What was read."""
        encodings = ", ".join(sorted({file["encoding"] for file in ledger.files} - {""}))
        self.line(f"      {ledger.total:,} rows read" + (f" ({encodings})" if encodings else ""))
        for note in (note for file in ledger.files for note in file.get("notes", ())):
            self.line(f"[yellow]note[/yellow]  {escape(note)}")
        for side, (rows, asked) in ledger.missed.items():
            why = "rows that belong together are on one side, and there are large groups or rare labels"
            self.line(f"[yellow]note[/yellow]  {rows:,} {side} rows, not the {asked:,} asked for: {why}")

    def encoded(self, ledger: Ledger, *, trained: int, total: int) -> None:
        """What became of the rows, splits, lengths, trained parameters: all that a person may want to stop for."""
        for status, count in ledger.counts().items():
            self.line(f"      {count:>9,}  {status}")
        splits = ", ".join(f"{name} {count:,}" for name, count in ledger.split.items())
        leaks = ledger.leaks
        like = f"; {leaks['groups']} groups of like rows kept together" if leaks.get("groups") else ""
        gone = f"; {leaks['removed']} rows like judging ones taken out" if leaks.get("removed") else ""
        self.line(f"      {splits}; no text stands on two sides{like}{gone}")
        for step, made in ledger.made.get("made", {}).items():
            self.line(f"      {step}: " + ", ".join(f"{count:,} {what}" for what, count in made.items()))
        tokens = ledger.tokens
        cut = ""
        if tokens["truncated_rows"]:
            cut = f"; {tokens['truncated_tokens']:,} tokens of {tokens['truncated_rows']:,} rows cut off, {tokens['truncated_trained_tokens']:,} of them trained on"
        self.line(
            f"      tokens a row: median {tokens['median']:,}, longest {tokens['max']:,}, limit {tokens['limit']:,}{cut}"
        )
        self.line(f"      {trained:,} of {total:,} parameters train ({100 * trained / total:.3g} %)")

    def watchers(self) -> list[Any]:
        """A watcher of the loop that moves the bar; none when quiet."""
        if self.quiet:
            return []
        with paused():
            from weitiao.cli.meter import Meter

        return [Meter(self)]

    def results(self, run: Run) -> None:
        """The table of systems by metrics, the verdict, and what a reader must know besides."""
        results = run.results
        if not results:
            out.print(
                f"The model is in {run.path}/model; no test rows were kept to judge it (data.split.test is 0)."
            )
            return
        out.print(results_table(results))
        out.print(results["verdict"]["sentence"])
        for remark in run.remarks:
            out.print(escape(remark))
        for sample in results["samples"]:
            out.print(f"\n[bold]{escape(sample['prompt'])}[/bold]")
            for name in ("untuned", "tuned", "reference"):
                if name in sample:
                    out.print(f"  [dim]{name:>9}[/dim]  {escape(sample[name])}")
        if run.report.is_file():
            out.print(f"\nreport: {run.report.resolve()}")

    def next_steps(self, run: Run) -> None:
        """Three commands that work when pasted."""
        from weitiao import api

        me, path = program(), run.path
        if run.task.generates:
            steps = [
                ("talk to it", f"{me} chat {path}"),
                ("talk to the model as it was", f"{me} chat {run.recipe.model}"),
            ]
        else:
            text = (
                "一本让人爱不释手的好书"
                if run.recipe.model == "e5-small"
                else "A film I will gladly see twice."
            )
            steps = [("label a sentence of your own", f'{me} predict {path} "{text}"')]
            steps += [("chat with the small language model", f"{me} chat smollm2-135m")]
        table = api.example_table(run)
        recipe = table.with_suffix(".yaml")
        steps += [
            (
                f"tune on your own table: put your rows into {table}, or name your own file",
                f"{me} init {table} -o {recipe} && {me} train {recipe}",
            )
        ]
        out.print("\nThree things to try next:")
        for what, command in steps:
            out.print(f"  # {escape(what)}\n  {escape(command)}")


def program() -> str:
    """What to type for this program: its name where the shell finds it, else its path."""
    import shutil
    from pathlib import Path

    called = Path(sys.argv[0])
    found = shutil.which("weitiao")
    if called.name != "weitiao" or (found and Path(found).resolve() == called.resolve()):
        return "weitiao"
    return str(called.relative_to(Path.cwd()) if called.is_relative_to(Path.cwd()) else called)


def results_table(results: Mapping[str, Any]) -> Table:
    """Metrics with their intervals; tuned first."""
    table = Table(title=f"{results['rows']:,} locked test rows", title_justify="left", title_style="bold")
    table.add_column("")
    names = list(results["metrics"]["tuned"])
    for name in names:
        table.add_column(name, justify="right")
    for system, metrics in results["metrics"].items():
        cells = [
            f"{metrics[n]['value']:.3f} [dim]{metrics[n]['low']:.3f}-{metrics[n]['high']:.3f}[/dim]"
            for n in names
        ]
        table.add_row(f"[bold]{system}[/bold]" if system == "tuned" else system, *cells)
    return table


def prediction(texts: Iterable[str], answer: Mapping[str, Any]) -> str:
    """One line a row: label, probability, text, set apart by tabs (which Rich would turn into spaces)."""
    return "\t".join(map(one_line, (answer["label"], f"{answer['score']:.3f}", *texts)))


def one_line(text: str) -> str:
    """The text with everything that ends a line, or steers a terminal, written as an escape: `\\n`, `\\t`."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char
        for char in text
    )


def catalogue(entries: Mapping[str, Any], *, json: bool) -> None:
    """Embedded models or data sets."""
    from dataclasses import asdict

    if json:
        print(json_module.dumps([asdict(entry) for entry in entries.values()], ensure_ascii=False, indent=1))
        return
    for name, entry in entries.items():
        size = (
            f"{entry.parameters / 1e6:.0f} M parameters"
            if hasattr(entry, "parameters")
            else f"{entry.rows:,} rows"
        )
        out.print(
            f"[bold]{name}[/bold]  {', '.join(entry.languages)}; {size}; {entry.download_mb:.0f} MB to fetch"
        )
        out.print(f"    good for: {escape(entry.good_for)}")
        out.print(f"    licence:  {escape(entry.licence)}")
        out.print(f"    origin:   {escape(entry.origin)} ({entry.source.package} {entry.source.version})")


def shelf(name: str, *, json: bool) -> None:
    """The tasks or augmentations, with their settings and defaults."""
    from dataclasses import MISSING, fields

    from weitiao.core import registry

    rows: list[dict[str, Any]] = []
    for entry_name in registry.names(name):
        entry = registry.entry(name, entry_name)
        settings = {
            f.name: entry.preset.get(f.name, None if f.default is MISSING else f.default)
            for f in fields(entry.kind)
        }
        facts: dict[str, Any] = {"name": entry_name, "summary": entry.kind.summary, "settings": settings}
        if name == "augmentation":
            facts |= {"works_on": entry.kind.works_on, "source": entry.kind.source}
        else:
            facts |= {"formats": entry.kind.shape.formats, "columns": entry.kind.shape.columns}
        rows.append(facts)
    if json:
        print(json_module.dumps(rows, ensure_ascii=False, indent=1))
        return
    table = Table()
    table.add_column("name", no_wrap=True)
    for title in ("what", "settings", "row formats" if name == "task" else "source"):
        table.add_column(title, overflow="fold")
    for facts in rows:
        shown = "\n".join(f"{key}={value}" for key, value in facts["settings"].items()) or "-"
        last = facts["source"] if "source" in facts else ", ".join(facts["formats"])
        table.add_row(f"[bold]{facts['name']}[/bold]", escape(facts["summary"]), escape(shown), escape(last))
    Console(highlight=False).print(table)


def run_table(runs: Sequence[Run], *, json: bool) -> None:
    """Run folders with their scores."""
    rows = []
    for run in runs:
        try:
            recipe, results = run.recipe, run.results
        except (WeitiaoError, ValueError):  # of another version, or cut short: it must not hide the others
            rows.append(
                {"run": str(run.path), "state": "unreadable", "model": "-", "task": "-", "method": "-"}
            )
            continue
        rows.append(
            {
                "run": str(run.path),
                "state": run.folder.state,
                "model": recipe.model,
                "task": recipe.task["name"],
                "method": recipe.method["name"],
                **(
                    {results["primary"]: results["metrics"]["tuned"][results["primary"]]["value"]}
                    if results
                    else {}
                ),
            }
        )
    if json:
        print(json_module.dumps(rows, ensure_ascii=False, indent=1))
    elif not rows:
        out.print("no runs here yet; `weitiao demo` makes one")
    else:
        table = Table("run", "state", "model", "task", "method", "score")
        for row in rows:
            *words, score = [*row.values()] if len(row) == 6 else [*row.values(), None]
            shown = f"{list(row)[-1]} {score:.3f}" if score is not None else "-"
            table.add_row(*(escape(str(word)) for word in words), shown)
        Console(highlight=False).print(table)


def conversation(
    speaker: Speaker, *, system: str, max_new_tokens: int, sample: bool, temperature: float
) -> None:
    """Read a line, stream the answer, keep the turns; an empty line or the end of the input stops."""
    from transformers import TextStreamer

    turns = [{"role": "system", "content": system}] if system else []
    asks = sys.stdin.isatty()
    if asks:
        err.print("[dim]an empty line or Ctrl-D ends the conversation[/dim]")
    while True:
        try:
            said = input("you: ") if asks else next(iter(sys.stdin.readline, ""), "")
        except EOFError:
            break
        if not said.strip():
            break
        turns.append({"role": "user", "content": said.strip()})
        streamer = TextStreamer(speaker.loaded.processor, skip_prompt=True, skip_special_tokens=True)
        options: dict[str, Any] = {
            "max_new_tokens": max_new_tokens,
            "sample": sample,
            "temperature": temperature,
        }
        turns.append({"role": "assistant", "content": speaker.answer(turns, streamer=streamer, **options)})
