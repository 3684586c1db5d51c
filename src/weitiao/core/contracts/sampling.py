"""A task that learns from what the model itself says: rows are prompts, and what is learnt from is drawn on the way.

    prompts --the engine--> Drawn --judge--> rewards --learnt--> Example, ... --the loop--> `passes` steps

A rollout is a small data set: the answers that were drawn to some prompts, as examples with whatever numbers the loss needs
beside them.  The engine (`train.rollouts`) draws it, keeps it in the checkpoint, and cuts it into micro-batches as any rows.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from weitiao.core.contracts.reward import Answered, AskedModel
from weitiao.core.contracts.rows import Batch, Example
from weitiao.core.contracts.task import Task

if TYPE_CHECKING:
    from torch import nn

Voice: TypeAlias = Literal["policy", "reference"]
"""Who is asked of the drawn tokens: the model as it is when they are drawn, or as it was before training."""

Heard: TypeAlias = Mapping[Voice, Sequence[Mapping[str, Sequence[float]]]]
"""Who was asked -> what it says of each answer (`Sampling.scored`)."""


@dataclass(frozen=True)
class Drawn:
    """One answer that was drawn."""

    row: int
    """Of which prompt, by its place among the examples."""
    prompt: Sequence[int]
    """Its tokens."""
    ids: Sequence[int]
    """Tokens of the answer, without the end token."""
    end: int | None
    """The end token; None where the answer did not come to its end."""
    text: str
    """The answer."""
    logps: Sequence[float] = ()
    """The log-probability of every token of `ids` and of `end`, under what it was drawn from (after temperature, top_k and
    top_p)."""
    given: bool = False
    """Does it stand in the row (`Sampling.given`)?  Then nobody drew it."""


@dataclass(frozen=True)
class Rollout:
    """What a task makes of answers that were drawn."""

    examples: Sequence[Example]
    """To learn from, one an answer; all hold the same names."""
    facts: Mapping[str, float]
    """What the log is told."""


Judge: TypeAlias = Callable[[Sequence[Answered]], list[dict[str, float]]]
"""Answers -> of each its `reward`, and the parts of that by name."""


class Sampling(Task):
    """A task whose rows are prompts, or hold them."""

    rewarded: ClassVar[bool] = True
    """Are answers rated (`judge`)?  Else rows hold answers of their own, and models are judged by these."""

    says: ClassVar[tuple[str, ...]] = ("logps",)
    """What `scored` says of each token of an answer."""

    @property
    @abstractmethod
    def draws(self) -> int:
        """Answers that are drawn to each prompt."""

    @property
    @abstractmethod
    def passes(self) -> int:
        """Optimiser steps that are taken on each rollout."""

    @property
    def redraws(self) -> int:
        """How often the answers to a prompt are drawn anew, at most, while they are `moot`."""
        return 0

    def moot(self, rewards: Sequence[Mapping[str, float]]) -> bool:
        """Is nothing to be learnt from the answers to a prompt?

        Args:
            rewards: what the judge says of each.
        """
        return False

    @property
    def own_share(self) -> float:
        """The share of answers that are drawn, on average, where others are given; for forecasts."""
        return 1.0

    @property
    def asks(self) -> tuple[Voice, ...]:
        """Who says something of the drawn tokens (`scored`) that `learnt` needs; by default nobody."""
        return ()

    def prompt(self, example: Example) -> list[int]:
        """The tokens of a row that answers are drawn to; by default all of it."""
        return [int(token) for token in example.inputs["input_ids"]]

    def given(self, example: Example, row: int, *, chance: float) -> Drawn | None:
        """The answer that stands in a row, where that one is learnt from; None, as by default, where one is drawn.

        Args:
            example: the row.
            row: its place among the examples.
            chance: a number from 0 up to 1, of this answer alone.
        """
        return None

    @abstractmethod
    def drawing(self) -> dict[str, Any]:
        """How answers are drawn: `max_new_tokens`, `temperature`, `top_k`, `top_p`."""

    def judge(self) -> Judge:
        """What rates answers, with whatever it needs opened, once; only when `rewarded`.

        Raises:
            WeitiaoError: what opening raises; the judge itself `bad_reward`.
        """
        raise self._unfinished("judge", says="rewarded")

    def raters(self) -> list[AskedModel]:
        """The models that `judge` asks, for forecasts.

        Raises:
            WeitiaoError: as `judge`.
        """
        return []

    @abstractmethod
    def written(self, prompt: Sequence[int], ids: Sequence[int], end: int | None) -> Example:
        """A prompt with an answer, as `scored` reads it."""

    def scored(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Of each row of `written` what is asked for, a number for each of the answer's tokens, the end token among them: their
        log-probabilities are `logps`; only when somebody is asked (`asks`)."""
        raise self._unfinished("scored", says="asks")

    @abstractmethod
    def learnt(self, drawn: Sequence[Drawn], rewards: Sequence[Mapping[str, float]], heard: Heard) -> Rollout:
        """What is learnt from a rollout.

        Args:
            drawn: `draws` answers to each prompt, one prompt after the other.
            rewards: what the judge says of each; nothing where nobody rates them.
            heard: what each voice that is asked says of each answer.
        """

    @abstractmethod
    def stand_in(self, prompt: Example, place: int) -> Example:
        """An example as `learnt` makes them, with an answer as long as may be: for forecasts.

        Args:
            prompt: a row.
            place: which answer to it.
        """
