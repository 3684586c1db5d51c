"""On-policy distillation: a student learns to say each word of its own answers as its teacher would.

    {"messages": [user, assistant]}  ->  {"divergence": 3.1, "loss": 12.3, "tokens": 9}

With probability `lmbda` the student answers a prompt itself (a rollout, nobody rates it), else the answer that stands in the
row is taken; either way both models read it, and at each of its tokens the student's distribution moves towards the teacher's
(GKD, Agarwal et al. 2023, arXiv 2306.13649; the formula: `tasks.parts.divergences`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Drawn, Example, Heard, Record, Rollout, Sampling, Shape
from weitiao.core.registry import register
from weitiao.data.chat import IGNORE
from weitiao.data.shapes import CONVERSATION
from weitiao.tasks.parts import packed
from weitiao.tasks.parts.divergences import generalised_jsd
from weitiao.tasks.parts.speaking import Speaking, conversations, last_answer

if TYPE_CHECKING:
    from torch import Tensor, nn

Share = Annotated[float, Field(ge=0, le=1)]


@register("task", "distillation")
@dataclass(frozen=True)
class Distillation(Speaking, Sampling):
    """Answer as a teacher would, learnt on the model's own answers."""

    teacher_model_name_or_path: str = ""
    """The teacher: a folder, name or hub id of a model with the same vocabulary."""
    beta: Share = 0.5
    """What is made small: 0, KL(teacher || student); 1, the reverse KL(student || teacher); between them the generalised
    Jensen-Shannon divergence."""
    lmbda: Share = 0.5
    """How often the student's own answer is learnt from, and not that of the row: 1 always, 0 never."""
    temperature: Annotated[float, Field(gt=0)] = 0.9
    """What scores are divided by before words are drawn; the loss compares undivided ones."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """Longest answer that is drawn, in tokens."""
    split_special_tokens: bool = True
    """Are special tokens that a text spells (`<|im_end|>`) read as characters?  With `false` they become the tokens."""

    summary: ClassVar[str] = "answer as a teacher would (on-policy distillation, GKD)"
    shape: ClassVar[Shape] = CONVERSATION
    predicts: ClassVar[tuple[str, ...]] = ("divergence", "loss", "tokens")
    metrics: ClassVar[tuple[str, ...]] = (
        "teacher_divergence",
        "perplexity",
        "loss",
        "bits_per_byte",
        "exact_match",
        "token_f1",
        "rouge_l",
        "length_ratio",
        "distinct_1",
        "distinct_2",
        "repetition",
    )
    loss_metric: ClassVar[str] = "teacher_divergence"
    rewarded: ClassVar[bool] = False
    taught: ClassVar[bool] = True
    helper_key: ClassVar[str] = "teacher_model_name_or_path"
    training_only: ClassVar[tuple[str, ...]] = (
        "teacher_model_name_or_path",
        "beta",
        "lmbda",
        "temperature",
        "max_new_tokens",
    )

    @property
    def draws(self) -> int:
        """One."""
        return 1

    @property
    def passes(self) -> int:
        """One."""
        return 1

    @property
    def own_share(self) -> float:
        """`lmbda`."""
        return self.lmbda

    @property
    def helper(self) -> str:
        """The teacher."""
        return self.teacher_model_name_or_path

    # ------------------------------------------------------------------ what is learnt from

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Ids and labels of the conversation, its last answer alone learnt; the end of a long one is cut."""
        plain = self.split_special_tokens
        return conversations(records, processor, limit=limit, last_only=True, plain=plain)

    def prompt(self, example: Example) -> list[int]:
        """What stands before the answer."""
        labels = np.asarray(example.inputs["labels"])
        first = int((labels != IGNORE).argmax()) if (labels != IGNORE).any() else len(labels)
        return [int(token) for token in example.inputs["input_ids"][:first]]

    def drawing(self) -> dict[str, Any]:
        """As the settings say."""
        return {
            "max_new_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "top_k": None,
            "top_p": None,
        }

    def given(self, example: Example, row: int, *, chance: float) -> Drawn | None:
        """The row's own answer, where chance is not below `lmbda`."""
        if chance < self.lmbda:
            return None
        answer = [int(token) for token in example.inputs["labels"] if token != IGNORE]
        return Drawn(row, self.prompt(example), answer, None, "", given=True)

    def written(self, prompt: Sequence[int], ids: Sequence[int], end: int | None) -> Example:
        """Only the answer is learnt, with its end where it has one."""
        answer = [*ids] if end is None else [*ids, end]
        whole = np.array([*prompt, *answer], dtype=np.int64)
        labels = np.array([IGNORE] * len(prompt) + answer, dtype=np.int64)
        return Example({"input_ids": whole, "labels": labels}, trained=len(answer))

    def learnt(self, drawn: Sequence[Drawn], rewards: Sequence[Mapping[str, float]], heard: Heard) -> Rollout:
        """Every answer; facts of those that were drawn."""
        own = [one for one in drawn if not one.given]
        facts = {"on_policy": len(own) / len(drawn)}
        if own:
            facts["completion_length"] = float(np.mean([len(one.ids) for one in own]))
            facts["clipped_ratio"] = float(np.mean([one.end is None for one in own]))
        return Rollout([self.written(one.prompt, one.ids, one.end) for one in drawn], facts)

    def stand_in(self, prompt: Example, place: int) -> Example:
        """The prompt's own words over and over as the answer."""
        ids = self.prompt(prompt) or [0]
        return self.written(ids, [ids[at % len(ids)] for at in range(self.max_new_tokens)], None)

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """The rows filled up on the right."""
        return _beside(packed.collate(examples, rows, padding=processor.pad_token_id or 0), examples)

    def pack(self, examples: Sequence[Example], rows: Sequence[int], *, shared: bool = False) -> Batch:
        """The rows end to end."""
        return _beside(packed.pack(examples, rows, shared=shared), examples)

    # ------------------------------------------------------------------ the loss

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The divergence from the teacher, summed over the answers' tokens.  Of a batch that holds none, as where a forecast has
        no teacher, cross-entropy: what stands there is the teacher then."""
        if "teacher" not in batch.extra:
            return packed.token_losses(model, batch).sum()
        teacher = self._teacher(batch)
        return packed.formula_losses(
            model, batch, lambda own_PV, which: generalised_jsd(own_PV, teacher(which), self.beta)
        ).sum()

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Of each row the summed divergence from the teacher, the summed loss, and the number of learnt tokens."""
        import torch

        if "teacher" not in batch.extra:
            return packed.row_losses(model, batch)
        teacher = self._teacher(batch)

        def both(own_PV: Tensor, which: slice) -> Tensor:
            target_P1 = batch.target[which, None]
            surprise_P = -own_PV.log_softmax(-1).gather(1, target_P1)[:, 0]
            return torch.stack([generalised_jsd(own_PV, teacher(which), self.beta), surprise_P], 1)

        found_N2 = packed.formula_losses(model, batch, both).double()
        owner_N = batch.extra["owner"].to(found_N2.device)
        sums_B2 = found_N2.new_zeros(batch.extra["rows"], 2).index_add(0, owner_N, found_N2)
        counts_B = torch.bincount(owner_N, minlength=batch.extra["rows"])
        return [
            {"divergence": apart, "loss": loss, "tokens": tokens}
            for (apart, loss), tokens in zip(sums_B2.tolist(), counts_B.tolist(), strict=True)
        ]

    def _teacher(self, batch: Batch) -> Any:
        """What gives its scores of some of the learnt tokens, which lie in the same order however a model wants its rows."""
        teacher = batch.extra["teacher"]
        theirs = teacher.collate(self)(batch.extra["examples"], batch.rows)
        return packed.part_scores(teacher.model, theirs.to(batch.target.device))

    def reference(self, record: Record) -> dict[str, Any]:
        """The turns before the last answer, and that answer."""
        return last_answer(record)


def _beside(batch: Batch, examples: Sequence[Example]) -> Batch:
    """With the rows as they are: a teacher may want them laid otherwise."""
    batch.trained = sum(example.trained for example in examples)
    batch.extra["examples"] = examples
    return batch
