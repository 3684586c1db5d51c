"""Learning from rewards: a model answers prompts, and answers that are worth more than others become likelier.

    {"prompt": [user], ...}  ->  answers drawn  ->  rewards  ->  advantages  ->  {"answer": "4", "reward": 1.0, ...}

What `grpo`, `rloo` and `ppo` share: how prompts are read, how answers are drawn, rated and written as examples.  What they
make of that are formulas of numbers (`tasks.parts.policy_losses`); what learns by groups of answers is in `tasks.parts.groups`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import (
    AskedModel,
    Batch,
    Drawn,
    Example,
    Judge,
    Record,
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
from weitiao.tasks.parts.rewarding import TOTAL, judge, models
from weitiao.tasks.parts.speaking import Speaking

if TYPE_CHECKING:
    from torch import Tensor, nn

LOGPS: dict[Voice, str] = {"policy": "old", "reference": "reference"}
"""Who was asked -> what the log-probabilities beside an answer's tokens are called."""


@dataclass(frozen=True)
class Policy(Speaking, Sampling):
    """A task that learns from rewards; what its loss is, says a subclass."""

    rewards: tuple[str | dict[str, Any], ...] = ()
    """What answers are worth: names on the shelf of rewards, with settings and a `weight` where wanted, or functions as
    `file.py:name`; their weighted sum counts (docs/grpo.md)."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """What scores are divided by before words are drawn; the loss goes by the same."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Only the likeliest words that together have this probability are drawn; the loss knows nothing of it."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """Only so many of the likeliest words are drawn, 0: all; the loss knows nothing of it."""
    ref_model: str = ""
    """Another model as the reference: a folder, name or hub id with the same vocabulary.  Default: the model as it was
    before training, of which no second copy is kept."""
    split_special_tokens: bool = True
    """Are special tokens that a text spells (`<|im_end|>`) read as characters?  With `false` they become the tokens."""

    reference_weight: ClassVar[str] = "beta"
    """The setting that gives the reference its weight."""
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
    @abstractmethod
    def longest(self) -> int:
        """Tokens that an answer has at most."""

    @abstractmethod
    def counts(self, tokens: int) -> int:
        """How many things of an answer with so many tokens that count the loss is a mean over."""

    @abstractmethod
    def imagined(self, tokens: int, place: int) -> dict[str, Any]:
        """Numbers beside an answer as `learnt` puts them there, for forecasts.

        Args:
            tokens: of the answer.
            place: which answer to its prompt.
        """

    @property
    def needs_base(self) -> bool:
        """Where a reference is asked, unless it is another model."""
        return "reference" in self.asks and not self.ref_model

    @property
    def helper(self) -> str:
        """`ref_model`, where a reference is asked at all."""
        return self.ref_model

    def drawing(self) -> dict[str, Any]:
        """As the settings say."""
        top_p = None if self.top_p == 1 else self.top_p
        words = {"temperature": self.temperature, "top_k": self.top_k or None, "top_p": top_p}
        return {"max_new_tokens": self.longest, **words}

    def judge(self) -> Judge:
        """The weighted sum of the rewards."""
        return judge(self.rewards)

    def raters(self) -> list[AskedModel]:
        """Those of the rewards."""
        return models(self.rewards)

    def learn(self, records: Sequence[Record]) -> Sampling:
        """Nothing; but a reference that nobody asks would be ignored.

        Raises:
            WeitiaoError: `wrong_value`.
        """
        if self.ref_model and "reference" not in self.asks:
            why = reason("reference_unasked", key=f"task.{self.reference_weight}")
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

    def numbered(self, row: Example, numbers: Mapping[str, Any], *, counts: bool = True) -> Example:
        """A row of `written` with numbers of the answer, or of each of its tokens, beside it.

        Args:
            row: the row.
            numbers: arrays by name.
            counts: does it count for anything in the loss?
        """
        own = {name: np.asarray(each, np.float32) for name, each in numbers.items()}
        trained = self.counts(row.trained if counts else 0)
        return replace(row, inputs={**row.inputs, **own}, trained=trained)

    def facts(self, drawn: Sequence[Drawn], rewards: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """What the log is told of a rollout, whatever is learnt from it."""
        names = [name for name in rewards[0] if name != TOTAL]
        return {
            "reward": float(np.mean([one[TOTAL] for one in rewards])),
            **{f"rewards/{name}": float(np.mean([one[name] for one in rewards])) for name in names},
            "completion_length": float(np.mean([len(one.ids) for one in drawn])),
            "clipped_ratio": float(np.mean([one.end is None for one in drawn])),
        }

    def stand_in(self, prompt: Example, place: int) -> Example:
        """The prompt's own words over and over as the answer."""
        ids = [int(token) for token in prompt.inputs["input_ids"]] or [0]
        answer = [ids[at % len(ids)] for at in range(self.longest)]
        return self.numbered(self.written(ids, answer, None), self.imagined(len(answer), place))

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """The rows filled up on the right."""
        return _beside(packed.collate(examples, rows, padding=processor.pad_token_id or 0), examples)

    def pack(self, examples: Sequence[Example], rows: Sequence[int], *, shared: bool = False) -> Batch:
        """The rows end to end."""
        return _beside(packed.pack(examples, rows, shared=shared), examples)

    def scored(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Under the temperature that they were drawn at."""
        return by_answer({"logps": -packed.token_losses(model, batch, temperature=self.temperature)}, batch)

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
    for name in examples[0].inputs.keys() - {"input_ids", "labels"}:
        parts = [np.asarray(example.inputs[name]) for example in examples]
        batch.extra[name] = torch.from_numpy(np.concatenate(parts))
    return batch


def numbers(batch: Batch, like: Tensor) -> dict[str, Tensor]:
    """The numbers beside the answers of a batch, as tensors like `like`; a prompt without an answer, as forecasts have it, has
    none."""
    return {name: each.to(like) for name, each in batch.extra.items() if name not in ("owner", "rows")}


def by_answer(told: Mapping[str, Tensor], batch: Batch) -> list[dict[str, Any]]:
    """Of each answer of a batch its own part of numbers of all tokens (N,), by name."""
    ends = np.cumsum(np.bincount(batch.extra["owner"].cpu(), minlength=batch.extra["rows"]))[:-1]
    parts = {name: np.split(np.array(each.tolist()), ends) for name, each in told.items()}
    return [{name: each[row].tolist() for name, each in parts.items()} for row in range(batch.extra["rows"])]
