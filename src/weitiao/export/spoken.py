"""What models that write are compared by besides their outputs: prompts as they are written, where answers end, and the words
that follow.

prompts(run, records)            ->  the turns of some rows that are answered
refuse_other_words(...)          raises Differs: `bos`, `template`, `ids`, `ends`, `spoken`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Record
from weitiao.export import speech
from weitiao.export.differs import Differs

if TYPE_CHECKING:
    from weitiao.stages.run import Run

ANSWERS = 20
"""Prompts that are answered."""


def prompts(run: Run, records: Sequence[Record]) -> list[list[Mapping[str, Any]]]:
    """The turns of some rows, none of which spells a special token."""
    marks = list(run.tuned.processor.all_special_tokens)
    found = []
    for record in records:
        said = speech.asked(run, record)
        written = " ".join(turn.get("content") or "" for turn in said)
        if written.strip() and not any(mark in written for mark in marks):
            found.append(said)
    return found[:ANSWERS]


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

    from weitiao.models import marks

    model, processor, own = run.tuned.model, run.tuned.processor, speech.of(run)
    ours = [own.ids(run, said) for said in asked]
    begin = processor.bos_token_id
    for said, ids, theirs in zip(asked, ours, told.get("spoken", ()), strict=True):
        if (count := _begins(theirs["ids"], begin)) != _begins(ids, begin) or count > 1:
            raise Differs("bos", why=f"{_begins(ids, begin)} != {count}")
        if (wanted := own.text(run, said)) != theirs["text"]:
            raise Differs("template", why=f"{wanted!r:.120} != {theirs['text']!r:.120}")
        if ids != theirs["ids"]:
            raise Differs("ids", why=f"{ids[:8]} != {theirs['ids'][:8]}")
    ends = marks.ends(model, processor)
    if sorted(ends) != told["ends"]:
        raise Differs("ends", why=f"{sorted(ends)} != {told['ends']}")
    same = 0
    with torch.inference_mode():
        for at, answer in own.said(run, ours):
            theirs = [token for token in told["spoken"][at]["said"] if token not in ends]
            same += theirs == answer
            if exact and theirs != answer:
                raise Differs("spoken", why=f"{processor.decode(answer)!r} != {processor.decode(theirs)!r}")
    return {"prompts": len(asked), "spoken_alike": same}


def _begins(ids: Sequence[int], begin: int | None) -> int:
    """How many begin tokens a prompt begins with."""
    count = 0
    while begin is not None and count < len(ids) and ids[count] == begin:
        count += 1
    return count
