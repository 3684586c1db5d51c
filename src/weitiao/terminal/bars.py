"""Bars that move while something goes on, with a line of figures below; Rich draws them.

train ━━━━━━━━━━━━━━━━╺━━━━━━━━━━━  57% 160/280 0:00:12 left 0:00:09
      loss 0.412  rate 1.8e-05  3,210 tokens/s  memory 812 MB
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from weitiao.core.why import reason

CELL = '<pre style="white-space:pre;overflow-x:auto;line-height:normal;margin:0">{code}</pre>'


class Left(ProgressColumn):
    """The time left: counted down to `ends`, where the bar knows when it will end, else as Rich guesses it."""

    def render(self, task: Task) -> Text:
        """Hours, minutes, seconds."""
        if task.finished:
            return Text("")
        ends = task.fields.get("ends")
        seconds = task.time_remaining if ends is None else ends - time.monotonic()
        return Text(reason("left", time=clock(seconds)))


class Bars(Progress):
    """Rich's bars, with a line of figures below them."""

    figures: str = ""

    def __init__(self, **options: Any):
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            Left(),
            refresh_per_second=4,  # drawing takes a core's time from training
            **options,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """Rich asks for what is to be drawn."""
        yield from super().get_renderables()
        if self.figures:
            yield Text(f"      {self.figures}", no_wrap=True, overflow="ellipsis")


class NotebookBars(Bars):
    """Bars in a notebook: one output of the cell, drawn anew now and then.

    Rich's own need ipywidgets, and what anybody says while their thread draws is caught in the widget, and lost.
    """

    _handle: Any = None
    _last: float = 0.0

    def start(self) -> None:
        """Nothing: the first bar is drawn when it comes, and no thread draws besides."""

    def stop(self) -> None:
        """As they stand now."""
        self.refresh()

    def update(self, task_id: TaskID, **facts: Any) -> None:
        """Move a bar; it is seen a quarter of a second later at the latest, or with the next move."""
        super().update(task_id, **facts)
        if time.monotonic() - self._last > 0.25:
            self.refresh()

    def refresh(self) -> None:
        """Draw."""
        from IPython.display import display

        page = Console(file=io.StringIO(), record=True, force_jupyter=False, width=100, emoji=False)
        page.print(self.get_renderable())
        plain = page.export_text(clear=False)
        drawn = {"text/plain": plain, "text/html": page.export_html(inline_styles=True, code_format=CELL)}
        if self._handle is None:
            self._handle = display(drawn, raw=True, display_id=True)
        else:
            self._handle.update(drawn, raw=True)
        self._last = time.monotonic()


def clock(seconds: float | None) -> str:
    """`0:01:30`."""
    return "-:--:--" if seconds is None else str(timedelta(seconds=max(0, round(seconds))))


def megabytes(size: float) -> str:
    """`812 MB`, `12.3 GB`."""
    return f"{size:,.0f} MB" if size < 1e4 else f"{size / 1e3:,.1f} GB"
