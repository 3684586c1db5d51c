"""How far each trial goes: to its end, or only on if it does better than most that came as far as it did.

    rungs(9.0)            ->  (1.0, 3.0)     epochs after which a trial must be among the best third
    promoted(climbers, 2) ->  the number of a trial that goes on from its rung, or None

Asynchronous successive halving (Li et al. 2020, "A system for massively parallel hyperparameter tuning", algorithm 2): a
trial that is among the best 1/eta of those that have reached a rung goes on to the next one, whoever else is on the way.
All are compared after the same number of epochs of schedules that are planned to the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ETA = 3
"""One in so many goes on (the papers' own choices are 3 and 4)."""


@dataclass(frozen=True)
class Climber:
    """A trial, as far as it has come."""

    number: int
    reached: Mapping[int, float]
    """Rung, counted from 0 -> how good it was there; more is better."""
    rung: int
    """On which rung it waits; -1 where it does not wait at one."""
    bracket: int = 0
    """It is compared with its own bracket, from rung `bracket` on."""


def rungs(epochs: float, *, least: float = 1.0, eta: int = ETA) -> tuple[float, ...]:
    """Epochs after which trials are compared, before their end: that divided by eta, by eta^2 ... (Hyperband's own rungs).

    Counted from the end: whoever is stopped shortly before it has cost as much as one that is not.

    Args:
        epochs: of a whole trial.
        least: between two looks at the validation rows.
        eta: one in so many goes on.
    """
    found: list[float] = []
    at = epochs / eta
    while at >= least * (1 - 1e-9):
        found.insert(0, least * round(at / least))
        at /= eta
    return tuple(found) or ((least,) if epochs > least * (1 + 1e-9) else ())


def bracket(number: int, count: int, *, eta: int = ETA) -> int:
    """In which of so many brackets a trial climbs: bracket b begins at rung b, the last one is never stopped.

    Shares are those of Hyperband (Li et al. 2018, JMLR 18, algorithm 1): eta^s / (s + 1) for the bracket with s rungs.
    """
    shares = [eta ** (count - 1 - one) / (count - one) for one in range(count)]
    taken = [0] * count
    for turn in range(number + 1):
        owed = [share / sum(shares) * (turn + 1) - has for share, has in zip(shares, taken, strict=True)]
        chosen = max(range(count), key=lambda one: owed[one])
        taken[chosen] += 1
    return chosen


def promoted(climbers: Sequence[Climber], count: int, *, eta: int = ETA) -> int | None:
    """The trial that goes on from its rung now, the highest rung first; None where none does.

    Args:
        climbers: all that have reached a rung.
        count: rungs that there are.
        eta: one in so many goes on.
    """
    brackets = sorted({one.bracket for one in climbers})
    for rung in range(count - 1, -1, -1):
        for bracket in brackets:
            there = [one for one in climbers if one.bracket == bracket and rung in one.reached]
            best = sorted(there, key=lambda one: (-one.reached[rung], one.number))[: len(there) // eta]
            for one in best:
                if one.rung == rung:
                    return one.number
    return None
