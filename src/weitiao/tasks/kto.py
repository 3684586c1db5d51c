"""Judged answers: an answer that was liked becomes likelier than it was, one that was not less likely (KTO and its kin).

    {"prompt": [user], "completion": [assistant], "label": true}
        ->  {"reward": 0.7, "logp": -31.2, "kl": 0.4, "answer_loss": 0.43, ...}

With r = log pi(y) - log ref(y), summed over the answer, s the logistic function, and w the weight of the row's side

    kto                 w (1 - s(beta (r - z)))  where it was liked,  w (1 - s(beta (z - r)))  where not
                        z = max(0, mean of log pi(y') - log ref(y'))            Ethayarajh et al. 2024, arXiv 2402.01306, equation 8
    apo_zero_unpaired   w (1 - s(beta r))  where it was liked,  w s(beta r)  where not
                                                                                D'Oosterlinck et al. 2024, arXiv 2408.06266

y' is another row's answer behind the row's own prompt.  Which row's is drawn once from the seed, so that the reference is
asked for these pairs, too, once before the first step.  z has no gradient, and its mean is over *all rows of the optimiser
step*, whatever micro-batches and processes they lie in: a batch that is cut in any way gives one gradient.  Where rows are
judged it is over all of them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from weitiao.core.contracts import Batch, Example, Record, Shape, Task
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.data.shapes import UNPAIRED
from weitiao.tasks.parts import packed, sides
from weitiao.tasks.parts.speaking import Speaking

if TYPE_CHECKING:
    from torch import Tensor, nn

OTHER = "other"
"""The column of another row's answer, and what a batch keeps of these pairs."""
LOOKED = 1000
"""Rows ahead that are looked at for another prompt."""
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@register("task", "kto")
@dataclass(frozen=True)
class KahnemanTverskyOptimization(Speaking):
    """Answers that people liked become likelier, those they did not less likely; each is judged by itself."""

    loss_type: Literal["kto", "apo_zero_unpaired"] = "kto"
    """What is made small: `kto`, where rewards count from what the model gives answers to other prompts, or
    `apo_zero_unpaired`, where they count from 0 (docs/kto.md)."""
    beta: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    """How strongly the model is held to its reference: the larger, the nearer it stays."""
    desirable_weight: Weight = 1.0
    """What an answer that was liked counts for: with few of them more than 1 (weight times rows of both sides alike is
    usual)."""
    undesirable_weight: Weight = 1.0
    """What an answer that was not liked counts for."""
    ref_model: str = ""
    """Another model as the reference: a folder, name or hub id with the same vocabulary.  Default: the model as it was
    before training, of which no second copy is kept."""
    split_special_tokens: bool = True
    """Are special tokens that a text spells (`<|im_end|>`) read as characters?  With `false` they become the tokens."""

    summary: ClassVar[str] = "make liked answers likelier and others less likely (KTO)"
    shape: ClassVar[Shape] = UNPAIRED
    predicts: ClassVar[tuple[str, ...]] = ("reward", "logp", "kl", "answer_tokens", "answer_loss")
    metrics: ClassVar[tuple[str, ...]] = (
        "reward_auc",
        "reward_gap",
        "desirable_logp",
        "undesirable_logp",
        "reference_kl",
        "answer_loss",
    )
    loss_metric: ClassVar[str] = "answer_loss"
    baselines: ClassVar[tuple[str, ...]] = ("tfidf_liked", "length")
    apart: ClassVar[bool] = True
    training_only: ClassVar[tuple[str, ...]] = ("beta", "desirable_weight", "undesirable_weight", "ref_model")

    @property
    def _mismatches(self) -> bool:
        """Does its loss go by answers to other prompts?"""
        return self.loss_type == "kto"

    @property
    def tallies(self) -> bool:
        """Where its loss goes by answers to other prompts."""
        return self._mismatches

    @property
    def hears(self) -> tuple[str, ...]:
        """How likely the answer is, and another row's answer."""
        return ("logp", "other_logp") if self._mismatches else ("logp",)

    @property
    def helper(self) -> str:
        """`ref_model`."""
        return self.ref_model

    # ------------------------------------------------------------------ what is learnt from

    def learn(self, records: Sequence[Record]) -> Task:
        """Nothing; but both kinds of answers must be there.

        Raises:
            WeitiaoError: `one_kind_of_answers`.
        """
        liked = sum(bool(record.values["label"]) for record in records)
        if len(records) and liked in (0, len(records)):
            raise fault("one_kind_of_answers", label=str(bool(liked)).lower(), rows=len(records))
        return self

    def gathered(
        self, records: Sequence[Record], *, trains: bool, seed: int
    ) -> Iterator[tuple[int, Record]] | None:
        """Every row with another one's answer, drawn from its side."""
        return mismatched(records, seed=seed) if self._mismatches else None

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Ids and labels of the prompt with its answer, and with another row's behind it; the end of a long one is cut.

        A row that holds `messages` is one conversation, as it was asked and answered.
        """
        columns = ("completion", OTHER) if self._mismatches else ("completion",)
        labels: list[float | None] = []

        def rows() -> Iterator[Record]:
            for record in records:
                label = record.values.get("label")
                labels.append(None if label is None else float(label))
                # A row that was not gathered (one that is looked at) has no other.
                own = {column: record.values.get("completion") for column in columns}
                yield replace(record, values={**own, **record.values})

        plain = self.split_special_tokens
        found = sides.encode(rows(), processor, limit=limit, plain=plain, sides=columns, compared=False)
        for place, example in enumerate(found):
            yield replace(example, target=None if example.refused else labels[place])

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Every answer a row, filled up on the right; those to other prompts beside them."""
        padding = processor.pad_token_id or 0
        return self._batch(
            examples, rows, lambda part: packed.collate(part, range(len(part)), padding=padding)
        )

    def pack(self, examples: Sequence[Example], rows: Sequence[int], *, shared: bool = False) -> Batch:
        """Every answer a row, end to end."""
        return self._batch(examples, rows, lambda part: packed.pack(part, range(len(part)), shared=shared))

    def _batch(self, examples: Sequence[Example], rows: Sequence[int], stack: Any) -> Batch:
        import torch

        flat, judged = sides.apart(examples), all(example.target is not None for example in examples)
        each = len(flat) // len(examples)
        batch: Batch = stack(flat[::each])
        batch.extra["judged"] = judged
        if judged:
            batch.extra["liked"] = torch.tensor([float(example.target) for example in examples])
            batch.rows, batch.trained = list(rows), len(rows)
        else:
            batch.rows = list(rows)
        if each == 2:
            batch.extra[OTHER] = stack(flat[1::2])
        return batch

    # ------------------------------------------------------------------ what a model says

    def tally(self, model: nn.Module, batch: Batch) -> tuple[float, ...]:
        """The sum of log pi(y') - log ref(y') over the rows, and their number."""
        moved_B = self._moved(model, batch)
        return moved_B.sum().item(), float(len(moved_B))

    def _moved(self, model: nn.Module, batch: Batch) -> Tensor:
        """log pi(y') - log ref(y') of each row."""
        import torch

        other = batch.extra[OTHER].to(batch.inputs["input_ids"].device)
        with torch.no_grad():
            return self._apart(_log_probabilities(model, other), batch, place=1)

    def _apart(self, logps_B: Tensor, batch: Batch, *, place: int) -> Tensor:
        """Less what the reference says; where nobody asked it the model is its own."""
        asked = batch.extra.get("reference")
        return logps_B - (logps_B.detach() if asked is None else asked[:, place].to(logps_B))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """That of every answer, summed."""
        import torch

        zero: Any = 0.0
        if self._mismatches:
            step = batch.extra.get("step")
            # A batch alone is a step.  Where a forecast asks, numbers have no values: nothing here reads one.
            zero = (
                max(0.0, step[0] / max(step[1], 1.0))
                if step
                else self._moved(model, batch).mean().clamp(min=0)
            )
            batch.told["kl"] = zero * len(batch.extra["liked"]), len(batch.extra["liked"])
        logps_B = _log_probabilities(model, batch)
        ratios_B = self._apart(logps_B, batch, place=0)
        liked_B = batch.extra["liked"].to(ratios_B.device) > 0
        for name, side_B in (("chosen", liked_B), ("rejected", ~liked_B)):
            batch.told[f"rewards/{name}"] = self.beta * (ratios_B.detach() * side_B).sum(), side_B.sum()
            batch.told[f"logps/{name}"] = (logps_B.detach() * side_B).sum(), side_B.sum()
        apart_B = self.beta * (ratios_B - zero)
        # 1 - s(x) = s(-x)
        losses_B = torch.where(
            liked_B, self.desirable_weight * (-apart_B).sigmoid(), self.undesirable_weight * apart_B.sigmoid()
        )
        return losses_B.sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """The reward of each answer, how likely it is, and how much likelier than to the reference an answer to another
        prompt.  Of a conversation (`messages`) summed loss and number of learnt tokens."""
        if not batch.extra["judged"]:
            return packed.row_losses(model, batch)
        logps_B = _log_probabilities(model, batch)
        found = {
            "reward": self.beta * self._apart(logps_B, batch, place=0),
            "logp": logps_B,
            "answer_tokens": _counts(batch),
        }
        if self._mismatches:
            other = batch.extra[OTHER].to(logps_B.device)
            found["other_logp"] = _log_probabilities(model, other)
            found["kl"] = self._apart(found["other_logp"], batch, place=1)
        lists = (column.tolist() for column in found.values())
        return [dict(zip(found, row, strict=True)) for row in zip(*lists, strict=True)]

    def together(
        self, predictions: Sequence[dict[str, Any]], examples: Sequence[Example]
    ) -> list[dict[str, Any]]:
        """With the loss of each, for which rewards count from the mean over all of these rows."""
        judged = [one for one in predictions if "reward" in one]
        kls = [one["kl"] for one in judged if "kl" in one]
        zero = self.beta * max(0.0, sum(kls) / len(kls)) if kls else 0.0
        found = []
        for one, example in zip(predictions, examples, strict=True):
            if "reward" not in one or example.target is None:
                found.append(one)
                continue
            sign, weight = (-1, self.desirable_weight) if example.target else (1, self.undesirable_weight)
            found.append({**one, "answer_loss": weight * _logistic(sign * (one["reward"] - zero))})
        return found

    def reference(self, record: Record) -> dict[str, Any]:
        """The prompt, the answer, and whether it was liked."""
        return {
            "prompt": record.values["prompt"],
            "reference": sides.first_answer(record.values["completion"]),
            "liked": bool(record.values["label"]),
        }

    def expected(self, example: Example) -> dict[str, Any]:
        """Whether it was liked."""
        return {"liked": bool(example.target)}

    # ------------------------------------------------------------------ in use

    def text_bytes(self, example: Example, processor: Any) -> int:
        """Those of the answer, without end tokens and the like."""
        (own, *_) = sides.apart([example])
        return super().text_bytes(own, processor)


def mismatched(records: Sequence[Record], *, seed: int) -> Iterator[tuple[int, Record]]:
    """Every row with the answer of another one that asks something else, each answer about as often; where all ask the same,
    of any other row.

    The rows stand in a circle in an order drawn from the seed; each looks on from itself.
    """
    order = list(range(len(records)))
    random.Random(seed).shuffle(order)
    asked = [UNPAIRED.group(record.values) for record in records]
    other = {}
    for place, row in enumerate(order):
        ahead = [order[(place + step) % len(order)] for step in range(1, min(len(order), LOOKED))] or [row]
        other[row] = next((one for one in ahead if asked[one] != asked[row]), ahead[0])
    for row, record in enumerate(records):
        yield row, replace(record, values={**record.values, OTHER: records[other[row]].values["completion"]})


def _log_probabilities(model: nn.Module, batch: Batch) -> Tensor:
    """Of the answer of each row (B,)."""
    losses_N = packed.token_losses(model, batch)
    owner_N = batch.extra["owner"].to(losses_N.device)
    return losses_N.new_zeros(batch.extra["rows"]).index_add(0, owner_N, -losses_N)


def _counts(batch: Batch) -> Tensor:
    import torch

    return torch.bincount(batch.extra["owner"], minlength=batch.extra["rows"])


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
