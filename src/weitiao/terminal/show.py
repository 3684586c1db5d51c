"""Listens to the stages and draws on standard error what they say: for the command line, and for Python where nobody else listens.

    with Show() as show:
        api.train(recipe, tell=show.tell, progress=show.fetching, watchers=show.watchers())

Where no bar can move, a line now and then stands in its place.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from weitiao.core.gc_pause import paused
from weitiao.core.why import reason
from weitiao.terminal import compared
from weitiao.terminal.screen import Screen

if TYPE_CHECKING:
    from weitiao.data.ledger import Ledger

QUIET_S = 10.0
"""Where no bar moves, judging and labelling say a line so often."""


@dataclass
class Show(Screen):
    """Listens to the stages and draws what they say on standard error."""

    _judged: dict[str, tuple[float, float]] = field(default_factory=dict, init=False)
    """Who is judged -> when it began, and when a line was last said."""

    def fetching(self, done: int, total: int) -> None:
        """Bytes of an embedded model."""
        self.bar("fetching", done, total, note=f"{done / 1e6:.0f} of {total / 1e6:.0f} MB")
        if done >= total:
            self._bars.pop("fetching", None)

    def labelling(self, done: int, total: int) -> None:
        """Rows that are labelled."""
        self.judged(what="label", done=done, all=total)

    def tell(self, event: str, **facts: Any) -> None:
        """What a stage says."""
        if event == "asked":
            self.heed(facts["recipe"])
        elif event == "data":
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
        else:
            compared.tell(self, event, **facts)

    def judged(self, *, what: str, done: int, all: int) -> None:
        """How far judging has come: a bar, or a line now and then where none can move."""
        from weitiao.terminal.bars import clock

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
            said = reason("side_missed", rows=f"{rows:,}", side=side, asked=f"{asked:,}")
            self.line(f"[yellow]note[/yellow]  {said}")

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
            from weitiao.terminal.meter import Meter

        return [Meter(self)]
