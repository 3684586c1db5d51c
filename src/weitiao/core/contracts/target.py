"""What is explained of a prediction: one number of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from weitiao.core.errors import WeitiaoError, did_you_mean, fault


@dataclass(frozen=True)
class Target:
    """One number that a model says of a row, to be explained by the row's words."""

    name: str
    """Of what it is: a label, a span, the words of an answer."""
    what: Literal["logit", "number", "log_odds", "log_probability"]
    """What kind of number it is."""
    of: Any = None
    """What the task knows it by."""


def chosen_targets(targets: Sequence[Target], asked: Sequence[str]) -> list[Target]:
    """Those that are asked for by name; all, where none is.

    Raises:
        WeitiaoError: `no_such_target`.
    """
    for name in asked:
        if name not in (known := [target.name for target in targets]):
            raise no_such_target(name, known)
    return [target for target in targets if not asked or target.name in asked]


def no_such_target(name: str, known: Sequence[str]) -> WeitiaoError:
    """The error for a name that nothing to be explained has."""
    return fault("no_such_target", name=name, known=", ".join(known) or "-", hint=did_you_mean(name, known))
