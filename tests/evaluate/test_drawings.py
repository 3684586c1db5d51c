"""Drawings of a page: every point where arithmetic puts it, round numbers beside the axes, and odd curves too."""

from __future__ import annotations

import math
import random
import re
from xml.etree import ElementTree

import pytest

from weitiao.evaluate.report import charts
from weitiao.evaluate.report.numbers import ticks
from weitiao.evaluate.report.signals import signals
from weitiao.evaluate.report.svg import BOTTOM, LEFT, RIGHT, TOP, Mark, level, svg, upright

SIZE = (LEFT + 100 + RIGHT, TOP + 200 + BOTTOM)  # axes of 100 x 200 pixels


def drawn(*marks: Mark, **options) -> ElementTree.Element:
    return ElementTree.fromstring(svg(marks, size=SIZE, **options))


def lines(root: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """Points of each line, from the lower left corner of the axes."""
    found = [one.get("points").split() for one in root.iter("polyline")]
    places = [[tuple(map(float, point.split(","))) for point in line] for line in found]
    return [[(x - LEFT, SIZE[1] - BOTTOM - y) for x, y in line] for line in places]


def test_points_lie_where_their_numbers_say():
    mark = Mark([0, 1, 2], [10, 5, 0], "tuned", dot=4)
    root = drawn(mark, x=(0, 2), y=(0, 10))
    assert lines(root) == [[(0, 200), (50, 100), (100, 0)]]
    dots = [(float(one.get("cx")) - LEFT, float(one.get("cy")) - TOP) for one in root.iter("circle")]
    assert dots == [(0, 0), (50, 100), (100, 200)]
    assert lines(drawn(Mark([1, 10, 100], [0, 0, 0], "tuned"), x=(1, 100), log=True))[0][1][0] == 50
    assert lines(drawn(upright(1, ink="soft"), level(2.5, ink="soft"), x=(0, 2), y=(0, 10))) == [
        [(50, 0), (50, 200)],
        [(0, 50), (100, 50)],
    ]
    assert lines(drawn(mark, x=(1, 2), y=(0, 4), diagonal=True))[0] == [(0, 50), (100, 100)]


def test_what_lies_beyond_the_ends_that_were_given_is_cut_off():
    mark = Mark([0, 1], [0, 20], "tuned")
    assert drawn(mark, y=(0, 20)).find("clipPath") is None
    (name,) = (one.get("id") for one in drawn(mark, y=(0, 10)).iter("clipPath"))
    assert drawn(mark, y=(0, 10)).find("g").get("clip-path") == f"url(#{name})"


def test_a_line_is_broken_where_a_number_is_missing():
    y = [1.0, math.nan, 2.0, 3.0, None, 4.0]
    assert [len(line) for line in lines(drawn(Mark(range(6), y, "tuned")))] == [1, 2, 1]


@pytest.mark.parametrize("most", [3, 5, 7])
def test_numbers_beside_an_axis_are_as_round_as_those_of_matplotlib(most):
    from matplotlib.ticker import MaxNLocator

    rng, locator = random.Random(most), MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10])
    for _ in range(300):
        size = 10 ** rng.uniform(-6, 6)
        low = rng.choice((0, -1, 1)) * size * rng.random()
        high = low + size * rng.uniform(0.01, 2)
        assert ticks(low, high, most) == pytest.approx(list(locator.tick_values(low, high)), abs=size * 1e-9)


@pytest.mark.parametrize(
    "losses",
    [[0.0], [2.0, 2.0], [1e-12, 2e-12], [1e30, 1.0], [math.inf, 1.0], [math.nan], [0.1, 0.1 + 1e-15], [5e-324, 0.0]],
)  # fmt: skip
@pytest.mark.parametrize("axis", ["step", "epoch"])
def test_odd_curves_are_drawn_too(losses, axis):
    log = [
        {"event": "step", "step": i, "loss": loss, "learning_rate": 0.0, **({"epoch": 0} if axis == "epoch" else {})}
        for i, loss in enumerate(losses)
    ]  # fmt: skip
    for chart in charts.curves(log, "accuracy"):
        root = ElementTree.fromstring(chart.svg)
        shown = {place for line in lines(root) for point in line for place in point}
        assert all(map(math.isfinite, shown))
        assert not re.search("nan|inf", chart.svg)
        assert len([*root.iter("text")]) >= 2


def test_what_a_task_tells_of_its_steps_is_drawn_and_what_belongs_together_shares_axes():
    step = {"event": "step", "loss": 0.1, "seconds": 3.0, "rollout": 0, "memory_mb": 9.0, "tokens": 5}
    log = [
        {**step, "step": n, "reward": n / 2, "rewards/kind": n, "rewards/short": -n, "kl": 0.1, "odd_one": 7}
        for n in (1, 2, 3)
    ]
    found = signals(log)
    assert [*found] == ["reward", "kl", "odd_one"]
    lines = {
        str(line.name if isinstance(line.name, str) else line.name.en): line.y
        for line in found["reward"].lines
    }
    assert lines == {"reward of drawn answers": [0.5, 1, 1.5], "kind": [1, 2, 3], "short": [-1, -2, -3]}
    alone = [{key: value for key, value in line.items() if key != "rewards/short"} for line in log]
    assert len(signals(alone)["reward"].lines) == 1, "the sum of one is that one"
    pairs = [{**step, "step": 1, "rewards/margins": 0.5, "logps/chosen": -9.0, "logps/rejected": -8.0}]
    assert {name: len(one.lines) for name, one in signals(pairs).items()} == {"margin": 1, "logps": 2}
    assert signals([{**step, "step": 1}]) == {}
