"""The steps of a task that samples: answers are drawn on the way, and learnt from as rows are.

    step s  ->  rollout s // passes: prompts -> draw -> rate -> score -> task.learnt -> examples
            ->  their micro-batches, as any rows'

A rollout is a function of the weights and of (seed, rollout, attempt, prompt, answer): neither the number of processes nor
the size of a pass decides what is drawn.  While steps are taken on it a checkpoint has it, so a run that is gone on with in
their midst learns from the very same answers.  Whoever draws, rates and scores is handed in; all of it is done in evaluation mode
and in precision contexts of their own, before the step's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from weitiao.core.contracts import Batch, Drawn, Example, Sampling, Voice
from weitiao.data.pack import Batches, lengths
from weitiao.train.distributed import World

Draw: TypeAlias = Callable[[Sequence[tuple[int, int, Example]], int], list[Drawn]]
"""(number in the rollout, place of the prompt, prompt), seed -> an answer to each, in order."""
Rate: TypeAlias = Callable[[Sequence[Drawn]], list[dict[str, float]]]
"""Answers -> of each its reward, and the parts of that."""
Score: TypeAlias = Callable[[Sequence[Example], Voice], list[dict[str, Any]]]
"""Prompts with answers -> what is said of each answer's tokens (`Sampling.scored`); of others' rows nothing."""


@dataclass
class Rollouts:
    """What the loop learns from, drawn when it is asked for."""

    model: nn.Module
    task: Sampling
    prompts: Batches
    """Which prompts make which rollout: a step of these each."""
    batches: Batches
    """How the answers of a rollout are cut into micro-batches; its examples are those of the current one."""
    draw: Draw
    rate: Rate
    """Asked of process 0 alone, which has the rows."""
    score: Score
    seed: int
    world: World = field(default_factory=World)
    sampled: bool = False
    """Are the log-probabilities that answers were drawn with those that `score` gives the policy?  Then it is not
    asked, where nothing else is."""
    worth: Callable[[Sequence[float]], None] = field(default=lambda worth: None)
    """Hears in process 0 what the answers of a rollout are worth, once no more are drawn for it."""
    _number: int = field(default=-1, init=False)
    """Which rollout is at hand."""
    _held: dict[str, Tensor] = field(default_factory=dict, init=False)
    """It, as a checkpoint keeps it."""
    _facts: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in which every prompt is answered once."""
        return self.prompts.steps_per_epoch * self.task.passes

    @property
    def outlook(self) -> Batches:
        """Answers as long as they may become, each as often as it is learnt from."""
        return self.batches.over(Foreseen(self.task, self.prompts.examples), seed=self.seed)

    def step(self, index: int, *, parts: int = 1) -> list[Batch]:
        """This process's micro-batches of an optimiser step; the first step of a rollout draws it.

        Args:
            index: which step.
            parts: into how many each is cut.

        Raises:
            WeitiaoError: `bad_reward`; what drawing raises.
        """
        number, nth = divmod(index, self.task.passes)
        if number != self._number:
            self._hold(number, self._drawn(number))
        return self.batches.step(nth, parts=parts)

    def padding(self) -> float:
        """Nothing is known of answers before they are drawn."""
        return 0.0

    def told(self) -> dict[str, Any]:
        """Of a rollout that was just drawn: rewards, lengths, and how long that took."""
        facts, self._facts = self._facts, {}
        return facts

    def kept(self, step: int) -> dict[str, Tensor]:
        """The rollout that this step goes on with; nothing where it draws one of its own."""
        number, nth = divmod(step, self.task.passes)
        return {**self._held, "number": torch.tensor(number)} if nth and number == self._number else {}

    def take_up(self, kept: Mapping[str, Tensor]) -> None:
        """What `kept` gave."""
        held = dict(kept)
        if held:
            self._hold(int(held.pop("number")), held)

    def _hold(self, number: int, held: dict[str, Tensor]) -> None:
        # Drawn or read, examples are made of the same arrays: they must not differ in a bit.
        self._number, self._held = number, held
        seed = _mixed(self.seed, number, 1)
        self.batches = self.batches.over(_examples(held), seed=seed)

    def _drawn(self, number: int) -> dict[str, Tensor]:
        started = time.perf_counter()
        epoch, place = divmod(number, self.prompts.steps_per_epoch)
        rows, each = self.prompts.plan(epoch)[place], self.task.draws
        drawn, rewards = self._answered(number, rows, range(len(rows)), attempt=0)
        again = 0
        for attempt in range(1, 1 + self.task.redraws):
            groups = (rewards[nth * each : (nth + 1) * each] for nth in range(len(rows)))
            todo = [nth for nth, group in enumerate(groups) if self.task.moot(group)]
            if not todo:
                break
            again += len(todo)
            anew = self._answered(number, rows, todo, attempt=attempt)
            for at, nth in enumerate(todo):
                for held, fresh in zip((drawn, rewards), anew, strict=True):
                    held[nth * each : (nth + 1) * each] = fresh[at * each : (at + 1) * each]
        if self.world.first and rewards:
            self.worth([one["reward"] for one in rewards])
        written = [self.task.written(one.prompt, one.ids, one.end) for one in drawn]
        known = self.sampled and set(self.task.says) == {"logps"}
        heard: dict[Voice, list[dict[str, Any]]] = {
            voice: [{"logps": list(one.logps)} for one in drawn]
            if voice == "policy" and known
            else self._scored(written, voice)
            for voice in self.task.asks
        }
        rollout = self.task.learnt(drawn, rewards, heard)
        self.model.train()
        redrawn = {"resampled": again} if self.task.redraws else {}
        took = {"rollout": number, "rollout_seconds": time.perf_counter() - started}
        self._facts = {**rollout.facts, **redrawn, **took}
        return _flat(rollout.examples)

    def _answered(
        self, number: int, rows: Sequence[int], todo: Sequence[int], *, attempt: int
    ) -> tuple[list[Any], list[Any]]:
        """Answers, and what each is worth, of some prompts of a rollout; one prompt after the other.

        Args:
            number: which rollout.
            rows: its prompts.
            todo: places of those that are answered.
            attempt: how often they were before.
        """
        each, world = self.task.draws, self.world
        chances = np.random.default_rng(_mixed(self.seed, number, 2)).random(len(rows) * each)
        given, asked = {}, []
        for at, place in enumerate(todo):
            row, example = int(rows[place]), self.prompts.examples[rows[place]]
            for nth in range(place * each, (place + 1) * each):
                if one := self.task.given(example, row, chance=float(chances[nth])):
                    given[nth] = one
                # Whole groups: equal prompts are read once.
                elif at % world.size == world.rank:
                    asked.append((nth, row, example))
        # 1 shuffles what is learnt from, 2 are the chances.
        seed = _mixed(self.seed, number, attempt and 2 + attempt)
        own: list[Drawn] = []
        world.all_or_none(lambda: own.extend(self.draw(asked, seed) if asked else []))
        numbered = world.gather([(one[0], drawn) for one, drawn in zip(asked, own, strict=True)])
        known = [*given.items(), *(pair for part in numbered for pair in part)]
        drawn = [found for _, found in sorted(known, key=itemgetter(0))]
        return drawn, world.together(lambda: self.rate(drawn))

    def _scored(self, written: Sequence[Example], voice: Voice) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        self.world.all_or_none(lambda: found.extend(self.score(written, voice)))
        everybody = self.world.gather({row: one for row, one in enumerate(found) if one})
        of_row = {row: one for part in everybody for row, one in part.items()}
        return [of_row[row] for row in range(len(written))]


class Foreseen(Sequence[Example]):
    """The answers of all rollouts of an epoch, each as long as may be: how large steps are, and how many."""

    written = None
    """Answers are no side of their own."""

    def __init__(self, task: Sampling, prompts: Any):
        self._task, self._prompts = task, prompts

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each."""
        each = self._task.draws * self._task.passes
        longest: int = self._task.drawing()["max_new_tokens"]
        return np.repeat(lengths(self._prompts), each) + longest

    def counts(self, name: str) -> np.ndarray:
        """Nothing is cut of answers that are not there yet."""
        return np.zeros(len(self), dtype=np.int64)

    def unknown(self, processor: Any) -> float:
        """The share of words that a tokenizer does not know, of the prompts."""
        return float(self._prompts.unknown(processor))

    def __len__(self) -> int:
        return len(self._prompts) * self._task.draws * self._task.passes

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        place, answer = divmod(index, self._task.draws * self._task.passes)
        return self._task.stand_in(self._prompts[place], answer)


def _mixed(seed: int, number: int, kind: int) -> int:
    return int(np.random.SeedSequence([seed, number, kind]).generate_state(1, np.uint64)[0]) % 2**63


def _flat(examples: Sequence[Example]) -> dict[str, Tensor]:
    """Examples as arrays: of each input all values, and where each example's begin."""
    found: dict[str, Tensor] = {"trained": torch.tensor([example.trained for example in examples])}
    for name in examples[0].inputs:
        parts = [np.asarray(example.inputs[name]) for example in examples]
        found[f"inputs/{name}"] = torch.from_numpy(np.concatenate(parts))
        found[f"bounds/{name}"] = torch.from_numpy(np.cumsum([0, *map(len, parts)]))
    return found


def _examples(held: Mapping[str, Tensor]) -> list[Example]:
    names = [key.partition("/")[2] for key in held if key.startswith("inputs/")]
    arrays = {name: (held[f"inputs/{name}"].numpy(), held[f"bounds/{name}"].tolist()) for name in names}
    return [
        Example(
            {name: values[bounds[at] : bounds[at + 1]] for name, (values, bounds) in arrays.items()},
            trained=trained,
        )
        for at, trained in enumerate(held["trained"].tolist())
    ]
