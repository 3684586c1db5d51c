"""Population based training: at each rung the worst go, and copies of the best take their place, with settings a little changed.

    replaced(ranked, 8)                        ->  (parents, those that go)
    changed(dimensions, values, rng)           ->  values of a copy
    inherit(parent, child, values)                 the copy: weights, moments, place in the schedule and in the order of rows

(Jaderberg et al. 2017, arXiv 1711.09846: truncation selection, and settings times 0.8 or 1.25.)  All members wait for each
other at a rung, so that who is copied does not hang on who is quick.  A copy is a run folder like any other: what it does
until its setting changes is what its parent does, to the last bit.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from weitiao.core.files import write_text
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.study.space import DIGITS, Dimension, set_to

SHARE = 4
"""One in so many goes, and one in so many is copied."""
FACTORS = (0.8, 1.25)
"""A number of a copy is one of these times its parent's."""
ANEW = 0.25
"""How often a copy draws a choice anew."""
TURNS = 9
"""Rungs, at most."""


def steady(epochs: float, *, every: float = 1.0) -> tuple[float, ...]:
    """Epochs after which members are compared: evenly, each look at the validation rows or, of many, every second ..."""
    looks = math.ceil(epochs / every - 1e-9) - 1
    stride = max(1, math.ceil(looks / TURNS))
    return tuple(every * look for look in range(stride, looks + 1, stride))


def replaced(ranked: Sequence[int], members: int) -> tuple[list[int], list[int]]:
    """Who is copied, the best first, and who goes; trial 0, beside which all others are set, never goes.

    Args:
        ranked: numbers of the members that wait, the best first.
        members: how many there should be.
    """
    share = max(1, members // SHARE)
    parents = list(ranked[:share])
    return parents, [one for one in ranked[len(parents) :] if one][::-1][:share]


def changed(dimensions: Sequence[Dimension], values: Mapping[str, Any], rng: Random) -> dict[str, Any]:
    """The settings of a copy, within what is searched."""
    found: dict[str, Any] = {}
    for one in dimensions:
        if not one.there(found):
            continue
        value, anew = values.get(one.key), rng.random() < ANEW
        if one.kind == "categorical":
            known = list(one.choices.values())
            found[one.key] = rng.choice(known) if anew or value not in known else value
            continue
        moved = (one.low if value is None else float(value)) * rng.choice(FACTORS)
        if one.step:
            moved = one.low + round((moved - one.low) / one.step) * one.step
        moved = min(max(moved, one.low), one.high)
        found[one.key] = round(moved) if one.kind == "int" else float(f"{moved:.{DIGITS}g}")
    return found


def inherit(parent: RunFolder, child: RunFolder, values: Mapping[str, Any]) -> None:
    """A run that goes on from where another waits, with settings of its own; whole or not at all.

    Args:
        parent: paused, with a checkpoint.
        child: there is none, or it is the copy already.
        values: key -> value, where the child's recipe differs.
    """
    if child.path.exists():
        return
    aside = child.path.with_name(f".{child.path.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(parent.path, aside, ignore=shutil.ignore_patterns(".*"))
    recipe = Recipe.read(set_to(parent.recipe, {**values, "output_dir": str(child.path)}))
    write_text(aside / "recipe.yaml", recipe.to_yaml())
    aside.rename(child.path)
