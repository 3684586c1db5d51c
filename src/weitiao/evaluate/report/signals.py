"""What a log tells of a run beside its loss, as curves: rewards, divergence, length, margins, log-probabilities.

log lines  ->  signals(log)  ->  {"reward": Curve, "kl": Curve, ...}

Whatever a task tells of its steps is drawn; what belongs together shares its axes.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch
from typing import Any

from weitiao.core.contracts import both
from weitiao.core.contracts.section import Curve, Line, Words
from weitiao.evaluate.report.charts import Story, smooth, told
from weitiao.evaluate.words import pairs

TOGETHER = {
    "margin": ("rewards/margins", "margin"),
    "accuracy": ("rewards/accuracies", "accuracy"),
    "rewards_of_sides": ("rewards/chosen", "rewards/rejected"),
    "logps": ("logps/*",),
    "reward": ("reward", "rewards/*"),
    "kl": ("kl",),
    "completion_length": ("completion_length",),
    "entropy": ("entropy",),
    "shares": ("clip_ratio", "clipped_ratio", "frac_reward_zero_std"),
}
"""What is drawn over one pair of axes, in order; the rest stands alone behind it."""
LEFT_OUT = (
    *("event", "step", "epoch", "loss", "learning_rate", "grad_norm", "rows", "tokens", "trained", "padding"),
    *("shared", "seconds", "skipped", "halvings", "energy_*", "memory_*", "*_mb", "rollout", "rollout_*", "reward_std"),
)  # fmt: skip
"""What says how training went, not what was learnt."""
MANY = 60
"""Of more points a mean is drawn that moves along."""


def signals(log: Iterable[dict[str, Any]]) -> dict[str, Curve]:
    """The curves by name, in order; none of a task that tells nothing but its loss.

    Args:
        log: the lines of a run's log.
    """
    story = told(log)
    free = dict.fromkeys(
        name
        for line in story.steps
        for name, value in line.items()
        if isinstance(value, int | float) and not any(fnmatch(name, one) for one in LEFT_OUT)
    )
    found: dict[str, list[str]] = {}
    for title, wanted in TOGETHER.items():
        own = [name for one in wanted for name in free if fnmatch(name, one)]
        for name in own:
            free.pop(name, None)
        if own:
            found[title] = [*dict.fromkeys(own)]
    if len(found.get("reward", ())) == 2:  # the sum of one is that one
        found["reward"] = found["reward"][:1]
    drawn = {
        title: [_line(story, name) for name in names]
        for title, names in {**found, **{name: [name] for name in free}}.items()
    }
    if any(line.y == drawn["reward"][0].y for line in drawn.get("reward", ())[1:]):
        drawn["reward"].pop(0)  # the sum, of which all but one have no weight
    axis = both("epoch", "轮次") if story.axis == "epoch" else both("step", "步数")
    return {
        title: Curve(title=word(title), x=axis, y=word(title), lines=lines) for title, lines in drawn.items()
    }


def word(name: str) -> Words:
    """What a number of the log is called, in both languages; a reward by its own name."""
    known = pairs().get(f"log_{name}", pairs().get(name))
    return both(*known) if known else name.rpartition("/")[2]


def _line(story: Story, name: str) -> Line:
    x, y = story.points(name)
    return Line(name=word(name), x=[*x], y=[*map(float, smooth(y) if len(y) > MANY else y)])
