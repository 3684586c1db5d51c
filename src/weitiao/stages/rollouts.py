"""Who draws, rates and scores for a task that learns from its own answers (`train.rollouts`).

rollouts(recipe, prepared, method, ...)   ->  the steps of training
refuse_unfit(recipe, task)                ->  nothing, or what is wrong with rewards and numbers of answers
Rater(task).rate(records, said)           ->  what is said of answers besides: their reward, and its parts
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import (
    Answered,
    Batch,
    Drawn,
    Example,
    Judge,
    Method,
    Record,
    Sampling,
    Task,
    Voice,
)
from weitiao.core.errors import fault
from weitiao.core.recipe import Recipe
from weitiao.core.why import reason
from weitiao.stages.beginning import beginning
from weitiao.stages.events import Tell
from weitiao.stages.for_use import for_use
from weitiao.stages.prepare import Prepared, row_limit, stacked
from weitiao.stages.reference import opened
from weitiao.stages.reward_stress import stress
from weitiao.stages.speaker import KEPT_PER_TRAINED

if TYPE_CHECKING:
    from torch import Tensor

    from weitiao.models.load import Loaded
    from weitiao.train.distributed import World
    from weitiao.train.rollouts import Rollouts


def refuse_unfit(recipe: Recipe, task: Task) -> None:
    """Is there something that says what answers are worth, where they are rated, and does a step hold whole groups of answers?  No row is read.

    Raises:
        WeitiaoError: `wrong_value`; what opening rewards raises.
    """
    if not isinstance(task, Sampling):
        return
    if task.rewarded:
        task.judge()
    rows = recipe.train.per_device_train_batch_size * recipe.train.gradient_accumulation_steps
    if rows % task.draws:
        why = reason("not_a_share", rows=rows)
        raise fault("wrong_value", key="task.num_generations", value=task.draws, why=why)
    task.learn([])


@dataclass
class Rater:
    """What a task's rewards say of answers; opened when they are first asked."""

    task: Sampling

    @cached_property
    def _judge(self) -> Judge:
        return self.task.judge()

    def rate(self, records: Sequence[Record], said: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Of each answer `reward`, `rewards` (its parts) and `answer_tokens`.

        Args:
            records: the rows.
            said: `answer`, and `tokens` of it.

        Raises:
            WeitiaoError: `bad_reward`.
        """
        told = self._judge([self._answered(*each) for each in zip(records, said, strict=True)])
        return [
            {"reward": one.pop("reward"), "rewards": one, "answer_tokens": each["tokens"]}
            for one, each in zip(told, said, strict=True)
        ]

    def _answered(self, record: Record, said: Mapping[str, Any]) -> Answered:
        values = record.values
        return Answered(
            values["prompt"], said["answer"], values.get("row") or {}, said["tokens"], record.place
        )


def rollouts(
    recipe: Recipe,
    prepared: Prepared,
    method: Method,
    snapshot: Mapping[str, Tensor],
    *,
    world: World,
    processes: int,
    fresh: bool,
    tell: Tell,
) -> Rollouts:
    """The steps of a task that samples.

    Args:
        recipe: resolved.
        prepared: rows and model.
        method: what trains; it is turned off where the model is its own reference.
        snapshot: base weights that turning off swaps in.
        world: the processes.
        processes: how many there were when the run began; a step holds so many times the accumulation.
        fresh: does the run begin?  Then its rewards are stressed first.
        tell: hears what a user should know.
    """
    from weitiao.train.rollouts import Rollouts

    task, loaded, examples = prepared.task, prepared.loaded, prepared.examples["train"]
    assert isinstance(task, Sampling)  # who asks saw to it
    settings = recipe.train
    batches = replace(stacked(recipe, task, loaded, [], None), dealt=(world.rank, world.size))
    prompts = (
        settings.per_device_train_batch_size * settings.gradient_accumulation_steps * processes // task.draws
    )
    which = replace(
        batches,
        examples=examples,
        batch_size=prompts,
        accumulation=1,
        strategy="random",
        max_tokens=None,
        weights=prepared.weights,
    )
    drawn = task.drawing()
    narrowed = bool(drawn["top_k"] or drawn["top_p"])
    if narrowed:
        tell("notice", text=reason("loss_goes_by_all"))
    voices = _Voices(recipe, prepared, method, snapshot, world)
    drawing, rater = Drawing(recipe, task, loaded, method, prepared.device), Rater(task)
    if fresh and task.rewarded:
        world.together(lambda: stress(drawing.draw, rater.rate, prepared, seed=recipe.seed, tell=tell))
    return Rollouts(
        loaded.model,
        task,
        which,
        batches,
        drawing.draw,
        _Rating(prepared, rater).rate if task.rewarded else lambda drawn: [],
        voices.score,
        recipe.seed,
        world,
        # In half precision a row alone and among others differ by more than what a ratio may be wrong by.
        sampled=not narrowed and settings.half is None,
        worth=_Spread(task.draws, tell).heard,
    )


def validated(answering: Drawing, prepared: Prepared, *, world: World) -> list[dict[str, Any]]:
    """What the model answers to the validation rows when nothing is left to chance, and what that is worth, in every process.

    Args:
        answering: asks the model.
        prepared: rows.
        world: the processes share the work.
    """
    task, examples = answering.task, prepared.examples["validation"]
    own = range(world.rank, len(examples), world.size)
    mine = answering.greedy([examples[row] for row in own])
    everybody = world.gather(dict(zip(own, mine, strict=True)))
    of_row = {row: one for part in everybody for row, one in part.items()}
    said = [of_row[row] for row in range(len(examples))]

    def rated() -> list[dict[str, Any]]:
        rows = prepared.splits["validation"]
        return Rater(task).rate([rows[int(row)] for row in examples.rows], said)

    return [{**one, **told} for one, told in zip(said, world.together(rated), strict=True)]


@dataclass
class Drawing:
    """Draws answers, many at a time, as the model is then."""

    recipe: Recipe
    task: Sampling
    loaded: Loaded
    method: Method
    device: str

    @classmethod
    def of(cls, recipe: Recipe, prepared: Prepared, method: Method) -> Drawing | None:
        """For a task whose answers are rated; None for others, which are judged by what stands in their rows."""
        task = prepared.task
        if not isinstance(task, Sampling) or not task.rewarded:
            return None
        return cls(recipe, task, prepared.loaded, method, prepared.device)

    @cached_property
    def _sampler(self) -> Any:
        from weitiao.models.decoding import OwnSampler

        return OwnSampler.of(self.loaded.model, self.loaded.processor, longest=self._limit)

    @property
    def _limit(self) -> int:
        return row_limit(self.recipe, self.loaded, self.method)

    def draw(self, asked: Sequence[tuple[int, int, Example]], seed: int) -> list[Drawn]:
        """As `train.rollouts.Draw`."""
        prompts = [self.task.prompt(example) for _, _, example in asked]
        numbers = [number for number, _, _ in asked]
        found = self.answers(prompts, numbers=numbers, sample=True, seed=seed, **self.task.drawing())
        return [
            Drawn(row, prompt, answer.ids, answer.end, text, answer.logps)
            for (_, row, _), prompt, (answer, text) in zip(asked, prompts, found, strict=True)
        ]

    def answers(
        self, prompts: Sequence[Sequence[int]], *, numbers: Sequence[int] | None = None, **asked: Any
    ) -> list[tuple[Any, str]]:
        """The answer to each prompt, and its words, in evaluation mode and a precision context of its own."""
        import torch

        from weitiao.models import marks
        from weitiao.models.decoding import Decoding
        from weitiao.models.precision import autocast

        model, processor, train = self.loaded.model, self.loaded.processor, self.recipe.train
        longest = max(map(len, prompts), default=0) + asked["max_new_tokens"]
        words = Decoding(
            stops=marks.ends(model, processor),
            limit=self._limit,
            padding=processor.pad_token_id or 0,
            rows=train.per_device_eval_batch_size,
            tokens=KEPT_PER_TRAINED * train.per_device_train_batch_size * longest,
            **asked,
        )
        found: dict[int, Any] = {}
        model.eval()
        with torch.no_grad(), autocast(self.device, train.half):
            found.update(self._sampler.sample(prompts, words, numbers=numbers))
        told = [found[place] for place in range(len(prompts))]
        return [(one, processor.decode(one.ids, skip_special_tokens=True).strip()) for one in told]

    def greedy(self, examples: Sequence[Example]) -> list[dict[str, Any]]:
        """The likeliest answer to each prompt, as `Rater` and metrics read it."""
        prompts = [self.task.prompt(example) for example in examples]
        found = self.answers(prompts, max_new_tokens=self.task.drawing()["max_new_tokens"])
        return [{"answer": text, "ending": one.ending, "tokens": len(one.ids)} for one, text in found]


@dataclass
class _Rating:
    """Rates what was drawn."""

    prepared: Prepared
    rater: Rater

    def rate(self, drawn: Sequence[Drawn]) -> list[dict[str, float]]:
        """As `train.rollouts.Rate`."""
        rows, of = self.prepared.splits["train"], self.prepared.examples["train"].rows
        records = [rows[int(of[one.row])] for one in drawn]
        told = self.rater.rate(records, [{"answer": one.text, "tokens": len(one.ids)} for one in drawn])
        return [{"reward": one["reward"], **one["rewards"]} for one in told]


@dataclass
class _Spread:
    """Says once that a whole rollout teaches nothing."""

    draws: int
    tell: Tell
    _said: bool = field(default=False, init=False)

    def heard(self, worth: Sequence[float]) -> None:
        """What all answers of a rollout are worth, one prompt after the other."""
        if not self._said and (why := _without_spread(worth, self.draws)):
            self._said = True
            self.tell("notice", text=why)


def _without_spread(worth: Sequence[float], draws: int) -> str:
    """What is to be said where no answer of a rollout is worth more than those that it is set against."""
    if draws == 1:  # all others of the rollout
        none = len(worth) > 1 and min(worth) == max(worth)
        return reason("no_spread_at_all", answers=len(worth)) if none else ""
    worth_PG = np.array(worth).reshape(-1, draws)
    return reason("no_spread", prompts=len(worth_PG)) if (worth_PG.max(1) == worth_PG.min(1)).all() else ""


@dataclass
class _Voices:
    """Says how likely drawn tokens are: to the model as it is, and to its reference."""

    recipe: Recipe
    prepared: Prepared
    method: Method
    snapshot: Mapping[str, Tensor]
    world: World

    @cached_property
    def _other(self) -> Loaded:
        recipe, task, device = self.recipe, self.prepared.task, self.prepared.device
        if task.helper:
            return opened(task.helper, recipe, task, device)
        # To turn the method off gives the base, and not what the run began with.  All of a model trains in float32.
        half = None if self.method.layout == "pretrained" else recipe.train.half
        return for_use(beginning(recipe, task, self.method, device=device), half=half)

    def score(self, written: Sequence[Example], voice: Voice) -> list[dict[str, Any]]:
        """As `train.rollouts.Score`."""
        if voice == "policy":
            return self._asked(self.prepared.loaded, written)
        if self.prepared.task.helper or self.recipe.start_from:
            return self._asked(self._other, written)
        with self.method.off(self.prepared.loaded.model, self.snapshot):
            return self._asked(self.prepared.loaded, written)

    def _asked(self, loaded: Loaded, written: Sequence[Example]) -> list[dict[str, Any]]:
        from weitiao.evaluate.predict import predict

        task, train = self.prepared.task, self.recipe.train
        assert isinstance(task, Sampling)
        ask: Callable[[Batch], list[dict[str, Any]]] = partial(task.scored, loaded.model)
        return predict(
            loaded,
            task,
            written,
            batch_size=train.per_device_eval_batch_size,
            longest=self.recipe.data.max_length,
            device=self.prepared.device,
            half=train.half,
            ask=ask,
            dealt=(self.world.rank, self.world.size),
        )
