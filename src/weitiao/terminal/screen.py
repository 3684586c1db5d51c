"""What is drawn on: lines and bars on standard error.

    with Screen() as screen:
        screen.line("a sentence");  screen.bar("train", 3, 10, note="3/10")

In a terminal and in a notebook bars move; elsewhere, and where it is to be still, none is drawn.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.errors import LiveError

if TYPE_CHECKING:
    from weitiao.core.recipe import Recipe


class Heard(Console):
    """Standard error.  When its reader has left (`2> >(head)`) it falls silent; Rich would end the training, too."""

    def on_broken_pipe(self) -> None:
        """Nobody reads any more."""
        self.quiet = True


# No emoji codes: a text with ":smile:" in it is shown as it is.
err = Heard(stderr=True, highlight=False, soft_wrap=True, emoji=False)


@dataclass
class Screen:
    """Lines and bars on standard error."""

    quiet: bool = False
    still: bool = False
    """No bar moves, wherever this is."""
    _entered: bool = field(default=False, init=False)
    _progress: Any = field(default=None, init=False)
    _bars: dict[str, Any] = field(default_factory=dict, init=False)

    def __enter__(self) -> Self:
        self._entered = True
        return self

    def __exit__(self, *exception: object) -> None:
        self._entered = False
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def line(self, text: str) -> None:
        """One line of what happens."""
        if not self.quiet:
            err.print(text)

    def heed(self, recipe: Recipe) -> None:
        """What the recipe says of bars."""
        self.still = recipe.train.disable_tqdm

    @property
    def live(self) -> bool:
        """Can bars move here?"""
        return not self.still and (err.is_jupyter or (err.is_terminal and not err.is_dumb_terminal))

    def bar(self, name: str, done: float, total: float, note: str = "", ends: float | None = None) -> None:
        """Draw or move the bar of that name; where none can move, nothing is drawn.

        Args:
            name: stands before it, and tells it apart.
            done: of `total`.
            total: when it is full.
            note: stands behind it.
            ends: when it will be full, by `time.monotonic()`; without it Rich guesses.
        """
        if self._progress is None:
            self._progress = self._begun()
        if self._progress is not None:
            if name not in self._bars:
                self._bars[name] = self._progress.add_task(name, total=total, note=note, ends=ends)
            self._progress.update(self._bars[name], completed=done, total=total, note=note, ends=ends)

    def _begun(self) -> Any:
        """The bars, drawn from the first one on; None where none can move."""
        if self.quiet or not self._entered or not self.live:
            return None
        from weitiao.terminal.bars import Bars, NotebookBars

        if err.is_jupyter:
            return NotebookBars()
        # What somebody prints meanwhile goes above the bar, unless it goes to a file.
        to_terminal = sys.stdout is not None and sys.stdout.isatty()
        bars = Bars(console=err, redirect_stdout=to_terminal)
        try:
            bars.start()
        except LiveError:  # a bar of somebody else moves on this terminal (Rich below 14.1 draws one alone)
            self.still = True
            return None
        return bars

    def figures(self, text: str) -> None:
        """The line below the bars."""
        if self._progress is not None:
            self._progress.figures = text
