"""The curves of the report page.

    log lines  ->  curves(log, primary)  ->  [Chart]: inline SVG and the keys of its legend

Words are those of the page; `svg` draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import both
from weitiao.core.contracts.section import Curve, Line, Words
from weitiao.evaluate.report.numbers import small
from weitiao.evaluate.report.svg import INKS, NARROW, WIDE, svg
from weitiao.evaluate.words import WORDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RAW_POINTS = 1500  # more than the pixels of the chart; the smoothed line is made from all of them

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


def as_sections(log: Iterable[dict[str, Any]], primary: str) -> dict[str, Curve]:
    """The same curves as sections, for whoever draws sections alone."""
    story = told(log)
    axis = both("epoch", "轮次") if story.axis == "epoch" else both("step", "步数")

    def curve(title: Words, y: Words, *named: tuple[Words, tuple[Any, Any]]) -> Curve | None:
        lines = [Line(name=name, x=list(x), y=list(map(float, values))) for name, (x, values) in named if x]
        return Curve(title=title, x=axis, y=y, lines=lines) if lines else None

    x, losses = story.points("loss")
    metric = WORDS.get(f"macro_{primary}", WORDS.get(primary, (primary, primary)))
    found = {
        "training": curve(
            both("Training", "训练过程"),
            both("loss", "损失"),
            (both("training, smoothed", "训练，平滑"), (x, smooth(losses) if x else [])),
            (both("validation", "验证"), story.points("validation/loss")),
        ),
        "validation": curve(
            both(f"Validation {metric[0]}", f"验证{metric[1]}"),
            both(*metric),
            (both("validation", "验证"), story.points(f"validation/{primary}")),
        ),
        "learning_rate": curve(
            both("Learning rate", "学习率"),
            both("learning rate", "学习率"),
            (both("learning rate", "学习率"), story.points("learning_rate")),
        ),
    }
    return {name: section for name, section in found.items() if section}


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


def smooth(values: Sequence[float]) -> Any:
    """A centred, Hann-weighted mean over a twentieth of the run to each side: no lag, and no missing ends."""
    import numpy as np

    reach = max(1, len(values) // 20)
    window = np.hanning(2 * reach + 3)[1:-1]

    def spread(values_S: Any) -> Any:  # S steps
        return np.convolve(values_S, window)[reach:-reach]

    return spread(values) / spread(np.ones(len(values)))  # near an end, only the steps that are there count
