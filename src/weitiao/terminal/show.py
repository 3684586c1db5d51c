"""Listens to the stages and draws on standard error what they say: for the command line, and for Python where nobody else listens.

    with Show() as show:
        api.train(recipe, tell=show.tell, progress=show.fetching, watchers=show.watchers())

Where no bar can move, a line now and then stands in its place.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from weitiao.core.gc_pause import paused
from weitiao.core.why import reason
from weitiao.evaluate.words import named
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
        name = reason("fetching")
        note = reason("megabytes_of", done=f"{done / 1e6:.0f}", total=f"{total / 1e6:.0f}")
        self.bar(name, done, total, note=note)
        if done >= total:
            self._bars.pop(name, None)

    def labelling(self, done: int, total: int) -> None:
        """Rows that are labelled."""
        self.judged(what="label", done=done, all=total)

    def tell(self, event: str, **facts: Any) -> None:
        """What a stage says."""
        if event == "asked":
            self.heed(facts["recipe"])
        elif event == "data":
            files = ", ".join(file["path"] for file in facts["ledger"].files)
            self.line(reason("told_data", files=escape(files)))
            self.ledger(facts["ledger"])
        elif event == "loading":
            self.line(reason("told_model", model=escape(facts["model"])))
        elif event == "encoded":
            self.encoded(facts["ledger"], trained=facts["trained"], total=facts["total"])
        elif event == "notice":
            self.note(facts["text"])
        elif event == "resumed":
            self.line(reason("told_resumed", checkpoint=facts["checkpoint"]))
        elif event == "training":
            said = reason("told_train", steps=facts["steps"], padding=f"{facts['padding']:.1%}")
            self.line(said + (reason("from_step", step=facts["start"]) if facts["start"] else ""))
        elif event == "saved":
            path, seconds = escape(str(facts["path"])), f"{facts['seconds']:.0f}"
            ended = named(facts["reason"])
            self.line(reason("told_saved", path=path, step=facts["step"], ended=ended, seconds=seconds))
        elif event == "tried":
            stage = facts["stage"]
            name = ", ".join(map(named, stage.name.split(", ")))
            self.line(reason("told_passed", stage=name, seconds=f"{stage.seconds:.1f}"))
        elif event == "judging":
            self.line(reason("told_judge_given" if facts["given"] else "told_judge", rows=facts["rows"]))
            self._judged = {}
        elif event == "judged":
            self.judged(**facts)
        else:
            compared.tell(self, event, **facts)

    def judged(self, *, what: str, done: int, all: int) -> None:
        """How far judging has come: a bar, or a line now and then where none can move."""
        from weitiao.terminal.bars import clock

        what = named(what)
        self.bar(what, done, all, note=f"{done:,}/{all:,}")
        now = time.monotonic()
        begun, last = self._judged.setdefault(what, (now, now))
        if self.live or (now - last < QUIET_S and done < all) or (done == all and last == begun):
            return
        self._judged[what] = begun, now
        left = "  " + reason("left", time=clock((all - done) * (now - begun) / done)) if done < all else ""
        self.line(f"      {what}: {done:,}/{all:,}{left}")

    def note(self, text: str) -> None:
        """What a reader should know."""
        self.line(reason("told_note", text=escape(text)))

    def ledger(self, ledger: Ledger) -> None:
        """What was read."""
        encodings = ", ".join(sorted({file["encoding"] for file in ledger.files} - {""}))
        said = reason("rows_read", rows=f"{ledger.total:,}")
        self.line(f"      {said}" + (f" ({encodings})" if encodings else ""))
        for note in (note for file in ledger.files for note in file.get("notes", ())):
            self.note(note)
        for side, (rows, asked) in ledger.missed.items():
            self.note(reason("side_missed", rows=f"{rows:,}", side=named(side), asked=f"{asked:,}"))

    def encoded(self, ledger: Ledger, *, trained: int, total: int) -> None:
        """What became of the rows, splits, lengths, trained parameters: all that a person may want to stop for."""
        for status, count in ledger.counts().items():
            self.line(f"      {count:>9,}  {named(status)}")
        splits = ", ".join(f"{named(name)} {count:,}" for name, count in ledger.split.items())
        leaks = ledger.leaks
        like = reason("groups_together", groups=leaks["groups"]) if leaks.get("groups") else ""
        gone = reason("rows_taken_out", rows=leaks["removed"]) if leaks.get("removed") else ""
        self.line(f"      {splits}{reason('kept_together')}{like}{gone}")
        for step, made in ledger.made.get("made", {}).items():
            self.line(
                f"      {step}: " + ", ".join(f"{count:,} {named(what)}" for what, count in made.items())
            )
        if ledger.tokens:
            self._lengths(ledger.tokens)
        share = f"{100 * trained / total:.3g}"
        said = reason("parameters_train", trained=f"{trained:,}", total=f"{total:,}", share=share)
        self.line(f"      {said}")

    def _lengths(self, tokens: Mapping[str, Any]) -> None:
        """How long rows are, and what was cut off."""
        cut = ""
        if tokens["windows"]:
            cut = reason(
                "read_in_windows", **{key: f"{tokens[key]:,}" for key in ("windowed_rows", "windows")}
            )
        if tokens["truncated_rows"]:
            cut += reason(
                "tokens_cut_off",
                tokens=f"{tokens['truncated_tokens']:,}",
                rows=f"{tokens['truncated_rows']:,}",
                trained=f"{tokens['truncated_trained_tokens']:,}",
            )
        median, longest, limit = (f"{tokens[key]:,}" for key in ("median", "max", "limit"))
        kind = "tokens_a_row_apart" if tokens.get("limit_of") == "text" else "tokens_a_row"
        said = reason(kind, median=median, longest=longest, limit=limit)
        self.line(f"      {said}{cut}")

    def watchers(self) -> list[Any]:
        """A watcher of the loop that moves the bar; none when quiet."""
        if self.quiet:
            return []
        with paused():
            from weitiao.terminal.meter import Meter

        return [Meter(self)]
