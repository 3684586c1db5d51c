"""Preferences: of two answers to one prompt the chosen one becomes likelier than the rejected one (DPO and its kin).

    {"prompt": [user], "chosen": [assistant], "rejected": [assistant]}
        ->  {"preferred": 1.0, "margin": 0.7, "chosen_logp": -31.2, "rejected_logp": -40.1, ...}

Both answers stand behind their prompt as rows of their own, one behind the other in an example; of each only the answer is
scored.  What is learnt is a formula of four numbers a pair (`tasks.parts.preference_losses`): the log-probabilities of both
answers, and what a reference says of them, which is asked once before the first step.  Where no reference was asked the
model is its own: that holds before training, and moves nothing but what the model says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from weitiao.core.contracts import Batch, Example, Record, Shape, Task
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.data.shapes import PREFERENCE
from weitiao.tasks.parts import packed, sides
from weitiao.tasks.parts.preference_losses import USUAL, Kind, Usual, pair_losses
from weitiao.tasks.parts.speaking import Speaking

if TYPE_CHECKING:
    from torch import Tensor, nn

LOGPS = ("chosen_logp", "rejected_logp")


@dataclass(frozen=True)
class Said:
    """What a model says of pairs."""

    logps_B2: Tensor
    """Log-probabilities of chosen and rejected."""
    ratios_B2: Tensor
    """r of the formulas."""
    losses_B: Tensor
    tokens_B2: Tensor


@register("task", "dpo")
@dataclass(frozen=True)
class DirectPreferenceOptimization(Speaking):
    """Prefer the answers that people chose."""

    loss_type: Kind = "sigmoid"
    """What is made small: sigmoid (DPO), hinge, ipo, robust, apo_zero go by a reference; simpo, cpo, orpo by none
    (docs/dpo.md)."""
    beta: Annotated[float, Field(gt=0)] | None = None
    """How strongly the model is held to its reference: the larger, the nearer it stays; of orpo the weight of the odds.
    Default: 0.1, and 2 of simpo."""
    gamma: Annotated[float, Field(ge=0)] | None = None
    """By how much the chosen answer is to be ahead, in rewards.  Default: 0, and 1 of simpo."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The share of pairs that is taken to be the wrong way round: of sigmoid this is cDPO."""
    length_normalization: bool | None = None
    """Do log-probabilities count as means a token, not as sums?  Default: with ipo, simpo and orpo."""
    rpo_alpha: Annotated[float, Field(ge=0)] | None = None
    """How much of the chosen answer's own loss a token (SFT) is added.  Default: 0, and 1 of cpo and orpo."""
    ref_model: str = ""
    """Another model as the reference: a folder, name or hub id with the same vocabulary.  Default: the model as it was
    before training, of which no second copy is kept."""
    split_special_tokens: bool = True
    """Are special tokens that a text spells (`<|im_end|>`) read as characters?  With `false` they become the tokens."""

    summary: ClassVar[str] = "prefer chosen answers to rejected ones (DPO, IPO, SimPO, ORPO ...)"
    shape: ClassVar[Shape] = PREFERENCE
    predicts: ClassVar[tuple[str, ...]] = (
        "preferred",
        "margin",
        *LOGPS,
        "chosen_tokens",
        "rejected_tokens",
        "pair_loss",
    )
    metrics: ClassVar[tuple[str, ...]] = (
        "preference_accuracy",
        "reward_margin",
        "likelier_chosen",
        "chosen_logp",
        "rejected_logp",
        "pair_loss",
    )
    loss_metric: ClassVar[str] = "pair_loss"
    baselines: ClassVar[tuple[str, ...]] = ("longer",)
    shares: ClassVar[bool] = True
    apart: ClassVar[bool] = True
    training_only: ClassVar[tuple[str, ...]] = (
        "loss_type",
        "beta",
        "gamma",
        "label_smoothing",
        "length_normalization",
        "rpo_alpha",
        "ref_model",
    )

    @property
    def usual(self) -> Usual:
        """What is usual of its loss."""
        return USUAL[self.loss_type]

    @property
    def hears(self) -> tuple[str, ...]:
        """Both log-probabilities, unless its loss goes by no reference."""
        return LOGPS if self.usual.reference else ()

    @property
    def helper(self) -> str:
        """`ref_model`."""
        return self.ref_model

    def learn(self, records: Sequence[Record]) -> Task:
        """Nothing; but a setting that its loss does not know would be ignored.

        Raises:
            WeitiaoError: `wrong_value`.
        """
        unknown = {
            "gamma": self.gamma is not None and self.usual.gamma is None,
            "label_smoothing": self.label_smoothing > 0 and not self.usual.smooths,
            "ref_model": bool(self.ref_model) and not self.usual.reference,
        }
        for key, does_nothing in unknown.items():
            if does_nothing:
                why = reason("loss_knows_none", loss=self.loss_type)
                raise fault("wrong_value", key=f"task.{key}", value=getattr(self, key), why=why)
        return self

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Ids and labels of the prompt with each answer, one behind the other; the end of a long side is cut.

        A row that holds `messages` is one conversation, as it was asked and answered.
        """
        yield from sides.encode(records, processor, limit=limit, plain=self.split_special_tokens)

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Every side a row, filled up on the right."""
        flat = sides.apart(examples)
        return _of_pairs(packed.collate(flat, range(len(flat)), padding=processor.pad_token_id or 0), rows)

    def pack(self, examples: Sequence[Example], rows: Sequence[int], *, shared: bool = False) -> Batch:
        """Every side a row, end to end."""
        flat = sides.apart(examples)
        return _of_pairs(packed.pack(flat, range(len(flat)), shared=shared), rows)

    def said(self, model: nn.Module, batch: Batch) -> Said:
        """Log-probabilities, and what the formulas make of them."""
        import torch

        losses_N = packed.token_losses(model, batch)
        owner_N = batch.extra["owner"].to(losses_N.device)
        logps_B2 = losses_N.new_zeros(batch.extra["rows"]).index_add(0, owner_N, -losses_N).view(-1, 2)
        tokens_B2 = torch.bincount(owner_N, minlength=batch.extra["rows"]).view(-1, 2)
        ratios_B2 = logps_B2
        if self.usual.reference:
            asked = batch.extra.get("reference")
            ratios_B2 = logps_B2 - (logps_B2.detach() if asked is None else asked.to(logps_B2))
        if self.usual.mean if self.length_normalization is None else self.length_normalization:
            ratios_B2 = ratios_B2 / tokens_B2
        beta, gamma = self._beta, self.usual.gamma if self.gamma is None else self.gamma
        words: dict[str, Any] = {"gamma": gamma or 0.0, "label_smoothing": self.label_smoothing}
        losses_B = pair_losses(self.loss_type, ratios_B2, beta=beta, **words)
        alpha = self.usual.sft if self.rpo_alpha is None else self.rpo_alpha
        if alpha:
            losses_B = losses_B - alpha * logps_B2[:, 0] / tokens_B2[:, 0]
        return Said(logps_B2, ratios_B2, losses_B, tokens_B2)

    @property
    def _beta(self) -> float:
        return self.usual.beta if self.beta is None else self.beta

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """That of every pair, summed; the log is told how far both sides are apart, and how likely each is."""
        said = self.said(model, batch)
        batch.told |= sides.told(self._margins(said).detach(), said.logps_B2.detach())
        return said.losses_B.sum()

    def _margins(self, said: Said) -> Tensor:
        return self._beta * (said.ratios_B2[:, 0] - said.ratios_B2[:, 1])

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Which answer of each pair is preferred (1: the chosen, 0: the rejected, 0.5: neither), by how much, and both
        log-probabilities.  Of a conversation (`messages`) summed loss and number of learnt tokens."""
        if not batch.extra["pairs"]:
            return packed.row_losses(model, batch)
        said = self.said(model, batch)
        margins_B = self._margins(said)
        columns = {
            "preferred": (margins_B.sign() + 1) / 2,
            "margin": margins_B,
            "chosen_logp": said.logps_B2[:, 0],
            "rejected_logp": said.logps_B2[:, 1],
            "chosen_tokens": said.tokens_B2[:, 0],
            "rejected_tokens": said.tokens_B2[:, 1],
            "pair_loss": said.losses_B,
        }
        lists = (column.tolist() for column in columns.values())
        return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]

    def reference(self, record: Record) -> dict[str, Any]:
        """The prompt, and both answers."""
        return sides.compared(record)


def _of_pairs(batch: Batch, rows: Sequence[int]) -> Batch:
    """What counts is pairs; conversations, as they are explained, are none."""
    batch.extra["pairs"] = batch.extra["rows"] == 2 * len(rows)
    batch.rows, batch.trained = list(rows), len(rows)
    return batch
