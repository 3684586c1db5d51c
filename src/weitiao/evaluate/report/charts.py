"""The curves of the report page.

    log lines  ->  curves(log, primary)  ->  [Chart]: inline SVG and the keys of its legend

The SVG holds numbers only.  Every word of a legend is HTML, so a chart needs no Chinese font to be measured,
and every colour is a CSS variable, so one drawing serves light, dark and paper.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Matplotlib must be given real colours; each stands for the CSS variable of that name.
INKS = {"soft": "#000001", "line": "#000002", "tuned": "#000003", "other": "#000004"}

# What the user's own matplotlibrc must not decide.
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.usetex": False,
    "font.family": "DejaVu Sans",  # only to measure numbers; the page's own font is set by its CSS
    "font.size": 11,
    "axes.unicode_minus": False,
    "axes.facecolor": "none",
    "axes.edgecolor": INKS["line"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.ymargin": 0.08,
    "grid.color": INKS["line"],
    "grid.linewidth": 0.8,
    "xtick.color": INKS["line"],
    "ytick.color": INKS["line"],
    "xtick.labelcolor": INKS["soft"],
    "ytick.labelcolor": INKS["soft"],
    "ytick.major.size": 0,
}

RAW_POINTS = 1500  # more than the pixels of the chart; the smoothed line is made from all of them
WIDE, NARROW = (520, 330), (320, 165)  # pixels

Key = tuple[str, str, int | None]


@dataclass(frozen=True)
class Chart:
    """One drawing, what it is of, and its legend: (style of the key, word, number in the word)."""

    title: str
    axis: str
    svg: str
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Story:
    """What a log tells: training steps, looks at the validation rows, and the two steps worth a mark."""

    steps: list[dict[str, Any]]
    looks: list[dict[str, Any]]
    axis: str
    best: int | None
    stop: int | None

    def points(self, name: str) -> tuple[list[float], list[float]]:
        """Where on the axis that number was logged, and what it was."""
        lines = self.looks if "/" in name else self.steps
        found = [line for line in lines if line.get(name) is not None]
        return [line[self.axis] for line in found], [line[name] for line in found]

    def marks(self) -> tuple[Key, ...]:
        """The keys of the marks, those that there are."""
        marks = ("best", "best", self.best), ("stop", "stopped", self.stop)
        return tuple(key for key in marks if key[2] is not None)


def told(log: Iterable[dict[str, Any]]) -> Story:
    """The story in the lines of a log."""
    by_event: dict[str, dict[int, dict[str, Any]]] = {"step": {}, "evaluate": {}, "early_stop": {}, "end": {}}
    for line in log:
        # A resumed run logs some steps twice; the later line is the one that counts.
        if line["event"] in by_event:
            by_event[line["event"]][line["step"]] = line
    steps, looks, stops, ends = (
        list(by_event[name].values()) for name in ("step", "evaluate", "early_stop", "end")
    )
    known = by_event["step"].keys() | by_event["evaluate"].keys()
    best, stop = (ends[-1].get("best_step") if ends else None), (stops[-1]["step"] if stops else None)
    return Story(
        steps,
        looks,
        axis="epoch" if all("epoch" in line for line in steps + looks) else "step",
        best=best if best in known else None,
        stop=stop if stop in known else None,
    )


def curves(log: Iterable[dict[str, Any]], primary: str) -> list[Chart]:
    """Loss, validation metric and learning rate, those of the three that the log holds."""
    story = told(log)

    def validation(axes: Axes, name: str) -> None:
        axes.plot(*story.points(name), color=INKS["other"], marker="o", markersize=4.5, linewidth=1.6)
        kept = [
            (line[story.axis], line[name])
            for line in story.looks
            if line["step"] == story.best and name in line
        ]
        for x, y in kept:
            axes.plot(x, y, "o", markersize=9, markerfacecolor="none", color=INKS["other"])

    def losses(axes: Axes) -> None:
        x, y = story.points("loss")
        if x:
            thin = slice(None, None, len(x) // RAW_POINTS + 1)
            axes.plot(x[thin], y[thin], color=INKS["tuned"], alpha=0.28, linewidth=0.8)
            axes.plot(x[thin], smooth(y)[thin], color=INKS["tuned"], linewidth=2.2)
        validation(axes, "validation/loss")

    def rates(axes: Axes) -> None:
        axes.plot(*story.points("learning_rate"), color=INKS["soft"], linewidth=1.6)
        axes.yaxis.set_major_formatter(small)

    keys: list[Key] = []
    if story.points("loss")[0]:
        keys += [("raw", "raw", None), ("smooth", "smoothed", None)]
    if story.points("validation/loss")[0]:
        keys += [("validation", "on_validation", None)]
    charts = (
        [Chart("loss", story.axis, drawn(losses, story, size=WIDE), (*keys, *story.marks()))] if keys else []
    )

    judged = dict.fromkeys(name for line in story.looks for name in line if name.startswith("validation/"))
    for name in ("validation/loss", "validation/loss_se"):
        judged.pop(name, None)
    metric = min(judged, key=lambda name: name != f"validation/{primary}", default="")
    if metric:
        svg = drawn(lambda axes: validation(axes, metric), story, size=NARROW)
        charts.append(Chart(metric, story.axis, svg))
    if story.points("learning_rate")[0]:
        charts.append(Chart("learning_rate", story.axis, drawn(rates, story, size=NARROW)))
    return charts


def drawn(draw: Callable[[Axes], None], story: Story, *, size: tuple[int, int]) -> str:
    """What `draw` draws over the steps of a story, with a line at each mark."""
    at = {line["step"]: line[story.axis] for line in story.steps + story.looks}

    def whole(axes: Axes) -> None:
        axes.set_xlim(0 if story.axis == "epoch" else min(at.values()), 1.01 * max(at.values()))
        draw(axes)
        for style, _, step in story.marks():
            dashes = ":" if style == "best" else (0, (6, 4))
            axes.axvline(at[step], color=INKS["soft"], linewidth=1.2, linestyle=dashes)

    return svg(whole, size=size, salt=draw.__qualname__)


def svg(draw: Callable[[Axes], None], *, size: tuple[int, int], salt: str) -> str:
    """What `draw` draws, as SVG to be put inside HTML; the same drawing and `salt` give the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    width, height = size
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=(width / 72, height / 72), facecolor="none")
        axes = figure.add_axes(frame(size))
        axes.locator_params(nbins=height // 55)
        draw(axes)
        page = io.StringIO()
        figure.savefig(page, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = re.sub(r"<!--.*?-->|<style.*?</style>", "", page.getvalue(), flags=re.DOTALL)
    text = re.sub(r"<g id=\"[^\"]*\">", "<g>", text[text.index("<svg") :])
    text = re.sub(r"<svg[^>]*>", f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">', text, count=1)
    for name, colour in INKS.items():
        text = text.replace(colour, f"var(--{name})")
    return re.sub(r">\s+<", "><", text).strip()


def frame(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Where the axes stand in a drawing: left, bottom, width and height, as shares of it."""
    width, height = size
    return 46 / width, 26 / height, 1 - 54 / width, 1 - 36 / height


def smooth(values: Sequence[float]) -> Any:
    """A centred, Hann-weighted mean over a twentieth of the run to each side: no lag, and no missing ends."""
    import numpy as np

    reach = max(1, len(values) // 20)
    window = np.hanning(2 * reach + 3)[1:-1]

    def spread(values_S: Any) -> Any:  # S steps
        return np.convolve(values_S, window)[reach:-reach]

    return spread(values) / spread(np.ones(len(values)))  # near an end, only the steps that are there count


def small(value: float, _: object = None) -> str:
    """`0.00002` as `2e-5`: a learning rate as people write it."""
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}" if value else "0"
