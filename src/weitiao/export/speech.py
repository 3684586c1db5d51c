"""How a task that writes is asked by passes: as one row that goes on, or as a row that is read and another one that is written.

of(run)  ->  OneSided() or TwoSided(), each with

    as_learnt(run, record, example)   what is asked of a row
    stacked(run, examples, rows)      the inputs of a pass
    predicted(model, batch)           summed loss and number of the tokens that are learnt
    learnt(batch)                     where these stand, and which they are
    text(run, turns), ids(run, text)  what is asked in words, as it is written and as it is read
    said(run, prompts)                the words that follow
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from weitiao.core.contracts import Batch, Example, Record
from weitiao.data import chat
from weitiao.tasks.parts import packed

if TYPE_CHECKING:
    from weitiao.stages.run import Run

Turns = Sequence[Mapping[str, Any]]
WRITTEN = "decoder_input_ids"
"""What a decoder reads of what it writes, beside a row that is read."""
LONGEST = 20
"""Tokens of an answer."""


class Speech(Protocol):
    """As the module says."""

    def as_learnt(self, run: Run, record: Record, example: Example) -> Example:
        """A row of which some tokens are predicted."""

    def stacked(self, run: Run, examples: Sequence[Example], rows: Sequence[int]) -> Batch:
        """Rows filled up; the target is of the tokens that are learnt (N,)."""

    def predicted(self, model: Any, batch: Batch) -> list[dict[str, Any]]:
        """Summed loss and number of the tokens that are learnt, of each row."""

    def learnt(self, batch: Batch) -> tuple[Any, Any]:
        """The places of what is learnt in scores laid flat (N,), and what is to be there (N,)."""

    def text(self, run: Run, turns: Turns) -> str:
        """A prompt as it is written."""

    def ids(self, run: Run, turns: Turns) -> list[int]:
        """A prompt as it is read."""

    def said(self, run: Run, prompts: Sequence[Sequence[int]]) -> Iterator[tuple[int, list[int]]]:
        """Of each prompt what follows, up to an end."""


class OneSided:
    """A language model's: the answer goes on where the prompt ends."""

    def as_learnt(self, run: Run, record: Record, example: Example) -> Example:
        """As its task learns it, or, where that learns otherwise, the ids of its prompt."""
        if "labels" in example.inputs and "texts" not in example.inputs:
            return example
        ids = self.ids(run, asked(run, record))[: run.limit]
        return Example({"input_ids": ids, "labels": [chat.IGNORE, *ids[1:]]}, trained=len(ids) - 1)

    def stacked(self, run: Run, examples: Sequence[Example], rows: Sequence[int]) -> Batch:
        """Filled up on the right."""
        return packed.collate(examples, rows, padding=run.tuned.processor.pad_token_id or 0)

    def predicted(self, model: Any, batch: Batch) -> list[dict[str, Any]]:
        """Of the tokens behind what is given."""
        return packed.row_losses(model, batch)

    def learnt(self, batch: Batch) -> tuple[Any, Any]:
        """Each is predicted at the token before it."""
        return batch.inputs["logits_to_keep"], batch.target

    def text(self, run: Run, turns: Turns) -> str:
        """By the template; without turns it is the words alone."""
        if run.task.chats:
            return chat.prompt_text(turns, run.tuned.processor)
        return "\n".join(turn["content"] for turn in turns)

    def ids(self, run: Run, turns: Turns) -> list[int]:
        """With what opens an answer."""
        return list(run.task.opening(turns, run.tuned.processor))

    def said(self, run: Run, prompts: Sequence[Sequence[int]]) -> Iterator[tuple[int, list[int]]]:
        """The likeliest word each time, one prompt after the other."""
        from weitiao.models import decoding, marks

        model, processor = run.tuned.model, run.tuned.processor
        ends = marks.ends(model, processor)
        settings = decoding.Decoding(LONGEST, ends, run.most, padding=processor.pad_token_id or 0)
        for at, answer in decoding.decode(model, prompts, settings, way=decoding.Way.ALONE):
            yield at, answer.ids


class TwoSided:
    """An encoder-decoder's: what is read stands on one side, what is written on the other."""

    def as_learnt(self, run: Run, record: Record, example: Example) -> Example:
        """As it is."""
        return example

    def stacked(self, run: Run, examples: Sequence[Example], rows: Sequence[int]) -> Batch:
        """Both sides filled up on the right; the decoder reads what is written one step behind."""
        from weitiao.models import two_sides

        batch = run.task.collate(examples, rows, run.tuned.processor)
        labels_BT = batch.target
        real_BT = labels_BT != chat.IGNORE
        batch.inputs[WRITTEN] = two_sides.decoder_inputs(run.tuned.model, labels_BT)
        batch.target = labels_BT[real_BT]
        batch.extra |= {"owner": real_BT.nonzero()[:, 0], "places": real_BT.flatten().nonzero()[:, 0]}
        return batch

    def predicted(self, model: Any, batch: Batch) -> list[dict[str, Any]]:
        """Of all tokens that are written."""
        from torch.nn import functional as F

        scores_NV = model(**batch.inputs, use_cache=False).logits.flatten(0, 1)[batch.extra["places"]].float()
        losses_N = F.cross_entropy(scores_NV, batch.target, reduction="none")
        return row_losses(batch.extra["owner"], losses_N.double().numpy(), len(batch.rows))

    def learnt(self, batch: Batch) -> tuple[Any, Any]:
        """Each is predicted where the token before it is read."""
        return batch.extra["places"], batch.target

    def text(self, run: Run, turns: Turns) -> str:
        """The words, with the task's prefix."""
        task: Any = run.task
        return f"{task.source_prefix}{turns[-1]['content']}"

    def ids(self, run: Run, turns: Turns) -> list[int]:
        """Cut as rows are that were learnt from."""
        record = Record("", 1, run.task.record(turns[-1]["content"]))
        (example,) = run.task.encode([record], run.tuned.processor, limit=run.limit)
        return list(example.inputs["input_ids"])

    def said(self, run: Run, prompts: Sequence[Sequence[int]]) -> Iterator[tuple[int, list[int]]]:
        """As the task looks for words, without chance, each alone."""
        words = {"sample": False, "together": False, "max_new_tokens": LONGEST, "limit": run.limit}
        task: Any = run.task
        for at, answer in task.written(run.tuned, prompts, **words):
            yield at, answer.ids


def of(run: Run) -> Speech:
    """How the task of a run is asked."""
    return TwoSided() if two_sided(run) else OneSided()


def two_sided(run: Run) -> bool:
    """Does its model read a row and write another one?"""
    return bool(run.task.auto_class == "AutoModelForSeq2SeqLM")


def asked(run: Run, record: Record) -> list[Mapping[str, Any]]:
    """What is asked in a row, turn by turn."""
    return list(run.task.reference(record)["prompt"])


def row_losses(owner: Any, losses: np.ndarray, rows: int) -> list[dict[str, Any]]:
    """Summed loss and number of learnt tokens of each row, of the losses of tokens."""
    sums = np.bincount(owner, weights=losses, minlength=rows)
    counts = np.bincount(owner, minlength=rows)
    return [{"loss": float(loss), "tokens": int(count)} for loss, count in zip(sums, counts, strict=True)]
