"""What learning from rewards tells: answers became longer or repeat themselves, and what was not rewarded was given up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weitiao.evaluate.findings.evidence import BEYOND, FEWEST, Evidence, Numbers

LONGER = 1.25
"""Answers that are so many times as long, or as short, are otherwise than they were."""


def reward_given_up(e: Evidence) -> Numbers | None:
    """Of several rewards one fell beyond noise: the one that fell farthest, by its own spread."""
    both = [
        (after["rewards"], before["rewards"])
        for after, before in zip(e.systems["tuned"], e.systems.get("untuned") or (), strict=False)
        if "rewards" in after and "rewards" in before
    ]
    if len(both) < FEWEST or len(both[0][0]) < 2:
        return None
    found = {}
    for name in both[0][0]:
        after, before = (np.array([one[side][name] for one in both], dtype=float) for side in (0, 1))
        fell = before - after
        error = fell.std(ddof=1) / math.sqrt(len(fell))
        if fell.mean() > BEYOND * error:
            found[name] = fell.mean() / error if error else math.inf, before.mean(), after.mean()
    if not found:
        return None
    name = max(found, key=lambda one: found[one][0])
    _, was, is_ = found[name]
    return {"reward": name, "before": float(was), "after": float(is_), "answers": len(both)}


def answers_drifted(e: Evidence) -> Numbers | None:
    """Rewarded answers have another length, or repeat themselves more, beyond noise."""
    metrics, beside = e.results["metrics"], e.results["comparisons"].get("untuned") or {}
    if "reward" not in metrics["tuned"] or "untuned" not in metrics:
        return None
    said: dict[str, Any] = {
        f"{name}_{when}": (metrics[system].get(metric) or {}).get("value")
        for name, metric in (("length", "answer_length"), ("repetition", "repetition"))
        for when, system in (("before", "untuned"), ("after", "tuned"))
    }
    if None in said.values():
        return None
    p_values = {
        name: (beside.get("metrics") or {}).get(name, {}).get("p_value")
        for name in ("answer_length", "repetition")
    }
    surely = {name: p is not None and p < 1 - e.confidence for name, p in p_values.items()}
    times = max(said["length_after"], 0.5) / max(said["length_before"], 0.5)
    longer = surely["answer_length"] and not 1 / LONGER < times < LONGER
    repeats = surely["repetition"] and said["repetition_after"] > said["repetition_before"]
    return said if longer or repeats else None
