"""Rewards as a recipe names them, made one number an answer.

judge(["my.py:kind", {"name": "length", "max": 20, "weight": 0.5}])  ->  ([Answered, ...]) -> [{"reward": 1.2, "kind": 1.0, "length": 0.4}]
models([{"name": "reward_model", "run": "runs/kinder"}])             ->  [AskedModel(...)]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weitiao.core import registry
from weitiao.core.contracts import Answered, AskedModel, Judge, Rate, Reward
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import reason

KEY = "task.rewards"
SHOWN = 80
"""Characters of an answer that an error shows."""
TOTAL = "reward"


@dataclass(frozen=True)
class Part:
    """One reward of several."""

    name: str
    weight: float
    rate: Rate


def judge(asked: Sequence[str | Mapping[str, Any]]) -> Judge:
    """The weighted sum of rewards.

    Args:
        asked: each a name of the shelf, a function `file.py:name`, or settings with a `name` and a `weight` (default: 1).

    Raises:
        WeitiaoError: `wrong_value`, `unknown_name`, `unknown_key`, `no_such_function`; what opening one raises.  The judge
            itself: `bad_reward`.
    """
    if not asked:
        why = reason("no_reward", known=", ".join(registry.names("reward")))
        raise fault("wrong_value", key=KEY, value="[]", why=why)
    parts: list[Part] = []
    for each in asked:
        name, weight, reward = _named(each)
        same = sum(name == other.name.partition("#")[0] for other in parts)
        parts.append(Part(f"{name}#{same + 1}" if same else name, weight, reward.ready()))

    def rated(answers: Sequence[Answered]) -> list[dict[str, float]]:
        columns = [_numbers(part, answers) for part in parts]
        return [
            {
                TOTAL: sum(part.weight * number for part, number in zip(parts, row, strict=True)),
                **{part.name: number for part, number in zip(parts, row, strict=True)},
            }
            for row in zip(*columns, strict=True)
        ]

    return rated


def models(asked: Sequence[str | Mapping[str, Any]]) -> list[AskedModel]:
    """The models that rewards ask.

    Args:
        asked: as of `judge`.

    Raises:
        WeitiaoError: as `judge`.
    """
    found = (_named(each)[2].asks() for each in asked)
    return [model for model in found if model is not None]


def _named(asked: str | Mapping[str, Any]) -> tuple[str, float, Reward]:
    """What one is called, its weight, and itself."""
    settings = {"name": asked} if isinstance(asked, str) else dict(asked)
    name, weight = str(settings.get("name", "")), settings.pop("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
        raise fault("wrong_value", key=f"{KEY}.weight", value=weight, why=reason("finite_number"))
    if ":" in name:
        settings = {**settings, "name": "function", "function": name}
        name = name.rpartition(":")[2]
    return name, float(weight), registry.build("reward", settings)


def _numbers(part: Part, answers: Sequence[Answered]) -> list[float]:
    """What one reward says of every answer.

    Raises:
        WeitiaoError: `bad_reward`, with the first row that it fails at.
    """
    try:
        found = list(part.rate(answers))
    except WeitiaoError:
        raise
    except Exception as error:  # the user's own code, or what it was given
        raise _bad(part, _culprit(part, answers), _said(error)) from error
    if len(found) != len(answers):
        raise _bad(part, answers[0], reason("reward_count", found=len(found), wanted=len(answers)))
    numbers = []
    for answer, each in zip(answers, found, strict=True):
        try:
            number = math.nan if isinstance(each, str) else float(each)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise _bad(part, answer, reason("reward_no_number", value=repr(each)[:SHOWN]))
        numbers.append(number)
    return numbers


def _culprit(part: Part, answers: Sequence[Answered]) -> Answered:
    """The first answer that it fails at alone; the first of all where it fails at all of them together."""
    for answer in answers:
        try:
            part.rate([answer])
        except Exception:  # what was asked for
            return answer
    return answers[0]


def _said(error: Exception) -> str:
    return reason("error_of_kind", type=type(error).__name__, error=str(error).partition("\n")[0])


def _bad(part: Part, answer: Answered, why: str) -> WeitiaoError:
    text = answer.answer if len(answer.answer) <= SHOWN else answer.answer[:SHOWN] + "…"
    return fault("bad_reward", reward=part.name, place=answer.place or reason("a_row"), answer=text, why=why)
