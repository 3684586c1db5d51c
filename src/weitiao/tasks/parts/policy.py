"""Learning from rewards: a model answers prompts, and answers that are worth more than others become likelier.

    {"prompt": [user], ...}  ->  answers drawn  ->  rewards  ->  advantages  ->  {"answer": "4", "reward": 1.0, ...}

What `grpo` and `rloo` share: how prompts are read, how answers are drawn, rated and written as examples.  What they make of
that is a formula of numbers an answer (`tasks.parts.policy_losses`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import (
    Batch,
    Drawn,
    Example,
    Judge,
    Record,
    Rollout,
    Sampling,
    Shape,
    Voice,
)
from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data import chat
from weitiao.data.chat import IGNORE
from weitiao.data.formats import Unusable
from weitiao.data.shapes import PROMPTED
from weitiao.tasks.parts import packed
from weitiao.tasks.parts.policy_losses import without_spread
from weitiao.tasks.parts.rewarding import judge
from weitiao.tasks.parts.speaking import Speaking

if TYPE_CHECKING:
    from torch import Tensor, nn

ADVANTAGE = "advantage"
NUMBERS = {"policy": "old", "reference": "reference"}
"""Who was asked -> what the numbers beside an answer's tokens are called."""


@dataclass(frozen=True)
class Spoken:
    """What a loss goes by: tokens of answers, and what is known of them."""

    logps_N: Tensor
    """Log-probabilities of the answers' tokens, with a gradient."""
    old_N: Tensor
    """The same when they were drawn."""
    owner_N: Tensor
    """Whose they are."""
    advantages_B: Tensor
    tokens_B: Tensor
    """Tokens of each answer that count."""
    reference_N: Tensor | None
    """The same as a reference says it."""


@dataclass(frozen=True)
class Policy(Speaking, Sampling):
    """A task that learns from rewards; what its loss is, says a subclass."""

    rewards: tuple[str | dict[str, Any], ...] = ()
    """What answers are worth: names on the shelf of rewards, with settings and a `weight` where wanted, or functions as
    `file.py:name`; their weighted sum counts (docs/grpo.md)."""
    num_generations: Annotated[int, Field(ge=2)] = 8
    """Answers that are drawn to each prompt."""
    max_completion_length: Annotated[int, Field(ge=1)] = 256
    """Longest answer, in tokens."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """What scores are divided by before words are drawn; the loss goes by the same."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Only the likeliest words that together have this probability are drawn; the loss knows nothing of it."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """Only so many of the likeliest words are drawn, 0: all; the loss knows nothing of it."""
    epsilon: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """How far below 1 the ratio of new to old probability may fall before it stops to count."""
    epsilon_high: Annotated[float, Field(gt=0)] | None = None
    """How far above 1 it may rise (DAPO: 0.28).  Default: `epsilon`."""
    num_iterations: Annotated[int, Field(ge=1)] = 1
    """Optimiser steps on each rollout; with 1 the ratio is 1."""
    mask_truncated_completions: bool = False
    """Do answers that did not come to their end count for nothing in the loss?"""
    ref_model: str = ""
    """Another model as the reference: a folder, name or hub id with the same vocabulary.  Default: the model as it was
    before training, of which no second copy is kept."""
    split_special_tokens: bool = True
    """Are special tokens that a text spells (`<|im_end|>`) read as characters?  With `false` they become the tokens."""

    shape: ClassVar[Shape] = PROMPTED
    predicts: ClassVar[tuple[str, ...]] = ("answer", "ending", "reward", "answer_tokens")
    metrics: ClassVar[tuple[str, ...]] = (
        "reward",
        "win_rate",
        "answer_length",
        "cut_answers",
        "repetition",
        "distinct_1",
        "distinct_2",
    )
    loss_metric: ClassVar[str] = "missed_reward"
    shares: ClassVar[bool] = True

    @property
    def draws(self) -> int:
        """`num_generations`."""
        return self.num_generations

    @property
    def passes(self) -> int:
        """`num_iterations`."""
        return self.num_iterations

    @property
    def needs_base(self) -> bool:
        """With `beta`, unless another model is the reference."""
        return "reference" in self.asks and not self.ref_model

    @property
    def helper(self) -> str:
        """`ref_model`, where a reference is asked at all."""
        return self.ref_model

    def drawing(self) -> dict[str, Any]:
        """As the settings say."""
        top_p = None if self.top_p == 1 else self.top_p
        words = {"temperature": self.temperature, "top_k": self.top_k or None, "top_p": top_p}
        return {"max_new_tokens": self.max_completion_length, **words}

    def judge(self) -> Judge:
        """The weighted sum of the rewards."""
        return judge(self.rewards)

    def learn(self, records: Sequence[Record]) -> Sampling:
        """Nothing; but a reference that nobody asks would be ignored.

        Raises:
            WeitiaoError: `wrong_value`.
        """
        if self.ref_model and "reference" not in self.asks:
            why = reason("reference_unasked")
            raise fault("wrong_value", key="task.ref_model", value=self.ref_model, why=why)
        return self

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Ids of each prompt; one that leaves no room for an answer teaches nothing.

        A row that holds `messages` is one conversation, as it was asked and answered.
        """
        for found in chat.asked_or_answered(records, processor, plain=self.split_special_tokens):
            if isinstance(found, Unusable):
                yield Example({}, refused=str(found))
                continue
            example = packed.cut(*found, limit=limit)
            asks = len(found[0]) == found[1].count(IGNORE)
            yield replace(example, trained=int(len(found[0]) < limit)) if asks else example

    def written(self, prompt: Sequence[int], ids: Sequence[int], end: int | None) -> Example:
        """Only the answer is scored, with its end where it has one."""
        answer = [*ids] if end is None else [*ids, end]
        whole = np.array([*prompt, *answer], dtype=np.int64)
        labels = np.array([IGNORE] * len(prompt) + answer, dtype=np.int64)
        return Example({"input_ids": whole, "labels": labels}, trained=len(answer))

    def learnt(
        self,
        drawn: Sequence[Drawn],
        rewards: Sequence[Mapping[str, float]],
        told: Mapping[Voice, Sequence[Sequence[float]]],
    ) -> Rollout:
        """Every answer with its advantage; facts of the rollout."""
        worth_PG = np.array([one["reward"] for one in rewards]).reshape(-1, self.num_generations)
        advantages = self.advantages(worth_PG, told).reshape(-1)
        examples = []
        for place, one in enumerate(drawn):
            row = self.written(one.prompt, one.ids, one.end)
            numbers = {NUMBERS[voice]: np.array(each[place], np.float32) for voice, each in told.items()}
            left_out = self.mask_truncated_completions and one.end is None
            if left_out:
                row = replace(
                    row, inputs={**row.inputs, "labels": np.full_like(row.inputs["labels"], IGNORE)}
                )
                numbers = dict.fromkeys(numbers, np.zeros(0, np.float32))
            examples.append(self._counted(row, float(advantages[place]), numbers, tokens=not left_out))
        lengths = [len(one.ids) for one in drawn]
        facts = {
            "reward": float(worth_PG.mean()),
            "reward_std": float(worth_PG.std(1, ddof=1).mean()),
            **{
                f"rewards/{name}": float(np.mean([one[name] for one in rewards]))
                for name in rewards[0]
                if name != "reward"
            },
            "completion_length": float(np.mean(lengths)),
            "clipped_ratio": float(np.mean([one.end is None for one in drawn])),
            "frac_reward_zero_std": float(without_spread(worth_PG).mean()),
        }
        return Rollout(examples, facts)

    def _counted(
        self, row: Example, advantage: float, numbers: Mapping[str, Any], *, tokens: bool
    ) -> Example:
        inputs = {**row.inputs, **numbers, ADVANTAGE: np.array([advantage], np.float32)}
        return replace(row, inputs=inputs, trained=self.counts(row.trained if tokens else 0))

    @abstractmethod
    def counts(self, tokens: int) -> int:
        """How many things of an answer with so many tokens that count the loss is a mean over."""

    @abstractmethod
    def advantages(self, worth_PG: np.ndarray, told: Mapping[Voice, Sequence[Sequence[float]]]) -> np.ndarray:
        """Of each answer (P, G)."""

    def stand_in(self, prompt: Example, place: int) -> Example:
        """The prompt's own words over and over as the answer."""
        ids = [int(token) for token in prompt.inputs["input_ids"]] or [0]
        answer = [ids[at % len(ids)] for at in range(self.max_completion_length)]
        row = self.written(ids, answer, None)
        even = np.zeros(len(answer), np.float32) - 1
        return self._counted(
            row, 1.0 - 2 * (place % 2), {NUMBERS[voice]: even for voice in self.asks}, tokens=True
        )

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """The rows filled up on the right."""
        return _beside(packed.collate(examples, rows, padding=processor.pad_token_id or 0), examples)

    def pack(self, examples: Sequence[Example], rows: Sequence[int], *, shared: bool = False) -> Batch:
        """The rows end to end."""
        return _beside(packed.pack(examples, rows, shared=shared), examples)

    def spoken(self, model: nn.Module, batch: Batch) -> Spoken:
        """What the loss goes by."""
        import torch

        logps_N = -packed.token_losses(model, batch, temperature=self.temperature)
        owner_N = batch.extra["owner"].to(logps_N.device)
        numbers = {
            name: batch.extra[name].to(logps_N)
            for name in (*NUMBERS.values(), ADVANTAGE)
            if name in batch.extra
        }
        old_N = numbers.get("old", logps_N.detach())
        batch.told["entropy"] = -logps_N.detach().sum(), len(logps_N)
        tokens_B = torch.bincount(owner_N, minlength=batch.extra["rows"])
        # A prompt without an answer, as forecasts have it, says nothing.
        none_B = logps_N.new_zeros(batch.extra["rows"])
        advantages_B = numbers.get(ADVANTAGE, none_B)
        return Spoken(logps_N, old_N, owner_N, advantages_B, tokens_B, numbers.get("reference"))

    def scored(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Under the temperature that they were drawn at."""
        logps_N = -packed.token_losses(model, batch, temperature=self.temperature)
        parts = np.split(
            logps_N.tolist(), np.cumsum(np.bincount(batch.extra["owner"], minlength=batch.extra["rows"]))[:-1]
        )
        return [{"logps": part.tolist()} for part in parts]

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Of a conversation summed loss and number of answered tokens; a prompt has none."""
        return packed.row_losses(model, batch)

    def reference(self, record: Record) -> dict[str, Any]:
        """The prompt, and the right answer where the row has one."""
        return {"prompt": record.values["prompt"], "reference": _right(record.values.get("row") or {})}


def _right(row: Mapping[str, Any]) -> str:
    """The right answer, where the row has one as people call it."""
    known = next(
        (row[name] for name in ("answer", "solution", "completion") if row.get(name) is not None), ""
    )
    return "" if isinstance(known, dict | list) else str(known)


def _beside(batch: Batch, examples: Sequence[Example]) -> Batch:
    """What counts is said by the examples; with the numbers beside their tokens."""
    import torch

    batch.trained = sum(example.trained for example in examples)
    for name in (*NUMBERS.values(), ADVANTAGE):
        if name in examples[0].inputs:
            parts = [np.asarray(example.inputs[name]) for example in examples]
            batch.extra[name] = torch.from_numpy(np.concatenate(parts))
    return batch
