"""The curves of the report page.

    log lines  ->  curves(log, primary)  ->  [Chart]: inline SVG and the keys of its legend

Words are those of the page; `svg` draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from weitiao.core.contracts import both
from weitiao.core.contracts.section import Curve, Line, Words
from weitiao.evaluate.report.numbers import short, small
from weitiao.evaluate.report.svg import NARROW, WIDE, Mark, svg, upright
from weitiao.evaluate.words import pairs

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
        lines = self.looks if name.startswith("validation/") else self.steps
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

    def validation(name: str) -> list[Mark]:
        kept = [
            (line[story.axis], line[name])
            for line in story.looks
            if line["step"] == story.best and name in line
        ]
        rings = [Mark([x], [y], "other", width=1, dot=9, hollow=True) for x, y in kept]
        return [Mark(*story.points(name), "other", dot=5.5), *rings]

    def losses() -> list[Mark]:
        x, y = story.points("loss")
        thin = slice(None, None, len(x) // RAW_POINTS + 1)
        raw = Mark(x[thin], y[thin], "tuned", width=0.8, opacity=0.28)
        mean = [Mark(x[thin], smooth(y)[thin], "tuned", width=2.2)] if x else []
        return [raw, *mean, *validation("validation/loss")]

    keys: list[Key] = []
    if story.points("loss")[0]:
        keys += [("raw", "raw", None), ("smooth", "smoothed", None)]
    if story.points("validation/loss")[0]:
        keys += [("validation", "on_validation", None)]
    charts = (
        [Chart("loss", story.axis, drawn(losses(), story, size=WIDE), (*keys, *story.marks()))]
        if keys
        else []
    )

    judged = dict.fromkeys(name for line in story.looks for name in line if name.startswith("validation/"))
    for name in ("validation/loss", "validation/loss_se"):
        judged.pop(name, None)
    metric = min(judged, key=lambda name: name != f"validation/{primary}", default="")
    if metric:
        charts.append(Chart(metric, story.axis, drawn(validation(metric), story, size=NARROW)))
    rates = Mark(*story.points("learning_rate"), "soft")
    if rates.x:
        charts.append(Chart("learning_rate", story.axis, drawn([rates], story, size=NARROW, text=small)))
    return charts


def as_sections(log: Iterable[dict[str, Any]], primary: str) -> dict[str, Curve]:
    """The same curves as sections, for whoever draws sections alone."""
    story = told(log)
    axis = both("epoch", "轮次") if story.axis == "epoch" else both("step", "步数")

    def curve(title: Words, y: Words, *named: tuple[Words, tuple[Any, Any]]) -> Curve | None:
        lines = [Line(name=name, x=list(x), y=list(map(float, values))) for name, (x, values) in named if x]
        return Curve(title=title, x=axis, y=y, lines=lines) if lines else None

    x, losses = story.points("loss")
    metric = pairs().get(f"macro_{primary}", pairs().get(primary, (primary, primary)))
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


def drawn(
    marks: Sequence[Mark], story: Story, *, size: tuple[int, int], text: Callable[[float], str] = short
) -> str:
    """Marks over the steps of a story, with a line at each step that is worth one."""
    at = {line["step"]: line[story.axis] for line in story.steps + story.looks}
    lines = [
        upright(at[step], ink="soft", dashes="1.2 2" if style == "best" else "7.2 4.8")
        for style, _, step in story.marks()
        if step is not None
    ]
    ends = 0 if story.axis == "epoch" else min(at.values()), 1.01 * max(at.values())
    return svg([*marks, *lines], size=size, x=ends, y_text=text)


def smooth(values: Sequence[float]) -> Any:
    """A centred, Hann-weighted mean over a twentieth of the run to each side: no lag, and no missing ends."""
    import numpy as np

    reach = max(1, len(values) // 20)
    window = np.hanning(2 * reach + 3)[1:-1]

    def spread(values_S: Any) -> Any:  # S steps
        return np.convolve(values_S, window)[reach:-reach]

    return spread(values) / spread(np.ones(len(values)))  # near an end, only the steps that are there count
