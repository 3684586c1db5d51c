"""What language models are compared by besides their outputs: prompts as they are written, where answers end, and the words
that follow.

as_learnt(run, record, example)  ->  ids of which some are predicted
prompts(run, records)            ->  the turns of some rows that are answered
refuse_other_words(...)          raises Differs: `bos`, `template`, `ids`, `ends`, `spoken`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import Example, Record
from weitiao.data import chat
from weitiao.export.differs import Differs

if TYPE_CHECKING:
    from weitiao.stages.run import Run

ANSWERS = 20
"""Prompts that are answered."""
LONGEST = 20
"""Tokens of an answer."""


def as_learnt(run: Run, record: Record, example: Example) -> Example:
    """A row as ids of which some are predicted: as its task learns them, or, where that learns otherwise, those of its prompt."""
    if "labels" in example.inputs and "texts" not in example.inputs:
        return example
    ids = run.task.opening(turns(run, record), run.tuned.processor)[: run.limit]
    return Example({"input_ids": ids, "labels": [chat.IGNORE, *ids[1:]]}, trained=len(ids) - 1)


def turns(run: Run, record: Record) -> list[Mapping[str, Any]]:
    """What is asked in a row."""
    return list(run.task.reference(record)["prompt"])


def prompts(run: Run, records: Sequence[Record]) -> list[list[Mapping[str, Any]]]:
    """The turns of some rows, none of which spells a special token."""
    marks = list(run.tuned.processor.all_special_tokens)
    found = []
    for record in records:
        said = turns(run, record)
        written = " ".join(turn.get("content") or "" for turn in said)
        if written.strip() and not any(mark in written for mark in marks):
            found.append(said)
    return found[:ANSWERS]


def text(run: Run, said: Sequence[Mapping[str, Any]]) -> str:
    """A prompt as it is written; without turns it is the words alone."""
    if run.task.chats:
        return chat.prompt_text(said, run.tuned.processor)
    return "\n".join(turn["content"] for turn in said)


def refuse_other_words(
    run: Run, asked: Sequence[Sequence[Mapping[str, Any]]], told: Mapping[str, Any], *, exact: bool
) -> dict[str, Any]:
    """Compare what a runner wrote and said with what the judged model writes and says.

    Args:
        run: with its model.
        asked: the turns of every prompt.
        told: `spoken` and `ends` of the runner.
        exact: must every token be the same?

    Raises:
        Differs: the first thing that is not the same.
    """
    import torch

    from weitiao.models import decoding, marks

    model, processor = run.tuned.model, run.tuned.processor
    ours = [list(run.task.opening(said, processor)) for said in asked]
    begin = processor.bos_token_id
    for said, ids, theirs in zip(asked, ours, told.get("spoken", ()), strict=True):
        if (count := _begins(theirs["ids"], begin)) != _begins(ids, begin) or count > 1:
            raise Differs("bos", why=f"{_begins(ids, begin)} != {count}")
        if (wanted := text(run, said)) != theirs["text"]:
            raise Differs("template", why=f"{wanted!r:.120} != {theirs['text']!r:.120}")
        if ids != theirs["ids"]:
            raise Differs("ids", why=f"{ids[:8]} != {theirs['ids'][:8]}")
    ends = marks.ends(model, processor)
    if sorted(ends) != told["ends"]:
        raise Differs("ends", why=f"{sorted(ends)} != {told['ends']}")
    settings = decoding.Decoding(LONGEST, ends, run.most, padding=processor.pad_token_id or 0)
    same = 0
    with torch.inference_mode():
        for at, answer in decoding.decode(model, ours, settings, way=decoding.Way.ALONE):
            theirs = [token for token in told["spoken"][at]["said"] if token not in ends]
            same += theirs == answer.ids
            if exact and theirs != answer.ids:
                raise Differs(
                    "spoken", why=f"{processor.decode(answer.ids)!r} != {processor.decode(theirs)!r}"
                )
    return {"prompts": len(asked), "spoken_alike": same}


def _begins(ids: Sequence[int], begin: int | None) -> int:
    """How many begin tokens a prompt begins with."""
    count = 0
    while begin is not None and count < len(ids) and ids[count] == begin:
        count += 1
    return count


def row_losses(owner: Any, losses: np.ndarray, rows: int) -> list[dict[str, Any]]:
    """Summed loss and number of learnt tokens of each row, of the losses of tokens."""
    sums = np.bincount(owner, weights=losses, minlength=rows)
    counts = np.bincount(owner, minlength=rows)
    return [{"loss": float(loss), "tokens": int(count)} for loss, count in zip(sums, counts, strict=True)]
