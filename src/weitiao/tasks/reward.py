"""Reward models: how good an answer to a prompt is, learnt from pairs of which one was preferred (Bradley-Terry).

    {"prompt": [user], "chosen": [assistant], "rejected": [assistant]}
        ->  {"preferred": 1.0, "margin": 1.3, "chosen_reward": 0.9, "rejected_reward": -0.4, ...}
    {"messages": [user, assistant]}  ->  {"reward": 0.9}

The model is a classifier with one output r, that of prompt and answer together, and learns

    -log s(r(chosen) - r(rejected) - margin) + c (r(chosen) + r(rejected))^2

where s is the logistic function, the margin is the row's own, or 0 (Touvron et al. 2023, arXiv 2307.09288, equation 2), and c
is `center_rewards_coefficient` (Eisenstein et al. 2023, arXiv 2312.09244), as TRL's RewardTrainer has it.

By a chat template the model sees the conversation as that writes it, up to the end of the answer; of a long one the answer
is cut, and its end still written.  A tokenizer without one that sets two texts apart and ends them (BERT's) reads the prompt
as the first text and the answer as the second.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from weitiao.core.contracts import Batch, Example, Record, Shape, Target, Task, chosen_targets
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.data import chat
from weitiao.data.around import around
from weitiao.data.chat import IGNORE
from weitiao.data.plain import plain as as_characters
from weitiao.data.shapes import PREFERENCE
from weitiao.tasks.parts import sides
from weitiao.tasks.parts.apart import outputs, stacked

if TYPE_CHECKING:
    from torch import Tensor, nn

SAMPLE = 256
"""Rows whose sides are tokenised at once, where there is no template."""


@register("task", "reward")
@dataclass(frozen=True)
class RewardModeling(Task):
    """How good is an answer?  Learnt from answers that people preferred to others."""

    center_rewards_coefficient: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """How much the mean reward of a pair is drawn to 0, as in TRL (0.01 is usual).  Default: not at all, for the loss asks
    only for differences."""
    split_special_tokens: bool = True
    """Are special tokens that a text spells (`<|im_end|>`) read as characters?  With `false` they become the tokens."""

    summary: ClassVar[str] = "how good an answer is, from pairs of which one was preferred (reward model)"
    shape: ClassVar[Shape] = PREFERENCE
    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    peft_task_type: ClassVar[str] = "SEQ_CLS"
    predicts: ClassVar[tuple[str, ...]] = (
        "preferred",
        "margin",
        "chosen_reward",
        "rejected_reward",
        "pair_loss",
    )
    metrics: ClassVar[tuple[str, ...]] = (
        "preference_accuracy",
        "preference_log_loss",
        "preference_ece",
        "reward_margin",
        "pair_loss",
    )
    loss_metric: ClassVar[str] = "pair_loss"
    baselines: ClassVar[tuple[str, ...]] = ("tfidf_pair", "longer")
    apart: ClassVar[bool] = True
    training_only: ClassVar[tuple[str, ...]] = ("center_rewards_coefficient",)

    def model_options(self) -> dict[str, Any]:
        """One output."""
        return {"num_labels": 1}

    def opened(self, model: Any, processor: Any, *, ref: str, limit: int) -> list[str]:
        """Rows are padded with a token that ends none: a decoder's reward is read at the last token that does not pad."""
        from weitiao.models import marks

        marks.pad_apart(model.config, processor, chat.closing(processor))
        return []

    def of_logits(self) -> str:
        """The conversation with its answer, and how rows of a batch are told from what fills them up."""
        return (
            "model.config.pad_token_id = tokenizer.pad_token_id\n"
            '# turns: [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]\n'
            'row = tokenizer.apply_chat_template(turns, return_dict=True, return_tensors="pt")  # without a template: tokenizer(prompt, answer, ...)\n'
            "reward = model(**row).logits.item()"
        )

    def answer_code(self) -> str:
        """How good the answer is."""
        return 'return {"reward": float(said["logits"][0])}'

    # ------------------------------------------------------------------ rows to examples

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Ids of the prompt with each answer, one behind the other; a row that holds `messages` is one of them."""
        waiting: deque[Record] = deque()

        def rows() -> Iterator[Record]:
            for record in records:
                waiting.append(record)
                yield record

        words: dict[str, Any] = {"limit": limit, "plain": self.split_special_tokens}
        if not processor.chat_template and all(around(processor, texts=2)[1:]):
            found = _as_pairs(rows(), processor, **words)
        else:  # without a template that is told with the first row
            cut = partial(_cut, ends=chat.ends(processor))
            found = sides.encode(rows(), processor, cut=cut, **words)
        for example in found:
            record = waiting.popleft()
            margin, why = _margin(record)
            yield Example({}, refused=example.refused or why) if why else replace(example, target=margin)

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Right-padded ids and mask (K, T) of all sides, by length; margins (B,)."""
        import torch

        inputs, extra, padding = stacked(examples, processor.pad_token_id or 0)
        return Batch(
            inputs,
            torch.tensor([example.target or 0.0 for example in examples]),
            trained=len(examples),
            rows=list(rows),
            tokens=sum(map(len, examples)),
            padding=padding,
            extra=extra,
        )

    # ------------------------------------------------------------------ examples to rewards

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """That of every pair, summed."""
        rewards_B2 = outputs(model, batch).view(-1, 2)
        batch.told |= sides.told((rewards_B2[:, 0] - rewards_B2[:, 1]).detach())
        return self._losses(rewards_B2, batch.target).sum()

    def _losses(self, rewards_B2: Tensor, margins_B: Tensor) -> Tensor:
        from torch.nn import functional as F

        chosen_B, rejected_B = rewards_B2.unbind(1)
        losses_B = -F.logsigmoid(chosen_B - rejected_B - margins_B.to(chosen_B))
        if self.center_rewards_coefficient:
            losses_B = losses_B + self.center_rewards_coefficient * (chosen_B + rejected_B).square()
        return losses_B

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """The reward of an answer; of a pair which is preferred (1: the chosen, 0: the rejected, 0.5: neither), by how much,
        both rewards, and the loss."""
        rewards_K, counts = outputs(model, batch).double(), batch.extra["counts"]
        found: list[dict[str, Any]] = []
        for row, own in enumerate(rewards_K.split(counts)):
            if len(own) == 1:
                found.append({"reward": own.item()})
                continue
            chosen, rejected = own.tolist()
            margin = chosen - rejected
            found.append(
                {
                    "preferred": (math.copysign(margin != 0, margin) + 1) / 2,
                    "margin": margin,
                    "chosen_reward": chosen,
                    "rejected_reward": rejected,
                    "pair_loss": self._losses(own[None], batch.target[row : row + 1]).item(),
                }
            )
        return found

    def reference(self, record: Record) -> dict[str, Any]:
        """The prompt, and both answers."""
        return sides.compared(record)

    def explains(
        self, record: Record, prediction: Mapping[str, Any], *, asked: Sequence[str] = ()
    ) -> list[Target]:
        """The reward of a single answer.

        Raises:
            WeitiaoError: `pair_unexplained` for a pair.
        """
        if "reward" not in prediction:
            raise fault("pair_unexplained")
        return chosen_targets([Target("reward", "logit")], asked)

    def target_scores(self, model: nn.Module, batch: Batch, target: Target) -> Tensor:
        """The reward of each row's only answer (B,)."""
        return outputs(model, batch)


def _margin(record: Record) -> tuple[float, str]:
    """By how much the chosen answer of a row is to be ahead, and what is wrong with that."""
    said = record.values.get("margin", 0.0)
    try:
        found = math.nan if isinstance(said, bool) else float(said)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if math.isfinite(found):
        return found, ""
    return 0.0, reason("margin_not_finite", margin=repr(str(said)[:40]))


def _cut(ids: Sequence[int], labels: Sequence[int], *, limit: int, ends: Sequence[int]) -> Example:
    """A conversation of at most `limit` tokens: the answer loses its last words, and still ends."""
    lost = max(0, len(ids) - limit)
    last = max(place for place, label in enumerate(labels) if label != IGNORE)
    behind = list(ids[last:]) if ids[last] in ends else []
    kept = max(0, limit - len(behind)) if lost else len(ids)
    left = sum(label != IGNORE for label in labels[:kept])
    all_of_it = sum(label != IGNORE for label in labels)
    read = [*ids[:kept], *behind[: limit - kept]] if lost else list(ids)
    return Example(
        {"input_ids": read},
        trained=int(left > 0),
        tokens_lost=lost,
        trained_lost=(all_of_it - left) * (lost > 0),
    )


def _as_pairs(records: Iterable[Record], processor: Any, *, limit: int, plain: bool) -> Iterator[Example]:
    """Prompt and answer as two texts with the tokenizer's special tokens; of the longer one the end is cut."""
    read = as_characters(processor) if plain else processor
    least, records = processor.num_special_tokens_to_add(pair=True), iter(records)
    while part := list(islice(records, SAMPLE)):
        rows = [[_texts(side.values["messages"]) for side in sides.conversations(record)] for record in part]
        flat = [list(texts) for row in rows for texts in row]
        found = read(flat, truncation=False, verbose=False, return_attention_mask=False)
        place = 0
        for row in rows:
            read_sides, refused = [], ""
            for texts in row:
                inputs = {name: found[name][place] for name in found}
                place += 1
                if lost := max(0, (length := len(inputs["input_ids"])) - limit):
                    if limit <= least:
                        refused = reason("no_word_left", length=length, limit=limit)
                        continue
                    cut = read(*texts, truncation=True, max_length=limit)
                    inputs = {name: cut[name] for name in inputs}
                read_sides.append(Example(inputs, tokens_lost=lost))
            yield Example({}, refused=refused) if refused else sides.together(read_sides)


def _texts(turns: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What is asked, and the answer; several turns as lines that say whose each is."""
    *before, last = turns
    said = [turn.get("content") or "" for turn in before]
    if len(before) > 1:
        said = [f"{turn['role']}: {text}" for turn, text in zip(before, said, strict=True)]
    return "\n".join(said), last.get("content") or ""
