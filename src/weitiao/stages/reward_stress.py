"""Before the first step: do the rewards of a run like answers that nobody wants better than the model's own?

stress(draw, rate, prepared, seed=0, tell=tell)   ->  a notice, where they do
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weitiao.core.contracts import Drawn, Example, Record
from weitiao.core.why import reason
from weitiao.evaluate.stress.planted_answers import Planted, stressed
from weitiao.stages.events import Tell
from weitiao.stages.prepare import Prepared

PROMPTS = 32
"""Prompts of the training rows that the model answers for it, one time each."""
SHOWN = 80
"""Characters of an answer that the notice shows."""


def stress(
    draw: Callable[[Sequence[tuple[int, int, Example]], int], list[Drawn]],
    rate: Callable[[Sequence[Record], Sequence[Mapping[str, Any]]], list[dict[str, Any]]],
    prepared: Prepared,
    *,
    seed: int,
    tell: Tell,
) -> None:
    """Say which kinds of answers the rewards can be had for.

    Args:
        draw: (number, place of the prompt, prompt), seed -> the model's answer to each.
        rate: rows, and of each `answer` and its `tokens` -> the `reward` of each.
        prepared: rows; prompts are taken evenly from all of the training rows.
        seed: of the answers.
        tell: hears the notice.

    Raises:
        WeitiaoError: `bad_reward`, also where only such an answer makes a reward fail.
    """
    examples, rows, read = prepared.examples["train"], prepared.splits["train"], prepared.loaded.processor
    if not (count := min(PROMPTS, len(examples))):
        return
    places = [nth * len(examples) // count for nth in range(count)]
    drawn = draw([(nth, place, examples[place]) for nth, place in enumerate(places)], seed)
    records = [rows[int(examples.rows[one.row])] for one in drawn]

    def rated(asked: Sequence[Record], answers: Sequence[str]) -> list[float]:
        said = [
            {"answer": answer, "tokens": len(read(answer, add_special_tokens=False)["input_ids"])}
            for answer in answers
        ]
        return [one["reward"] for one in rate(asked, said)]

    found = stressed(rated, records, [one.text for one in drawn], text=_asked)
    if winners := sorted((one for one in found if one.wins), key=lambda one: one.own - one.worth):
        tell("notice", text=_said(winners, prompts=count))


def _asked(record: Record) -> str:
    """The words of a prompt's last turn."""
    return str(record.values["prompt"][-1].get("content") or "")


def _said(winners: Sequence[Planted], *, prompts: int) -> str:
    kinds = " / ".join(reason(f"planted_{one.kind}") for one in winners)
    most = winners[0]
    shown = most.shown if len(most.shown) <= SHOWN else most.shown[:SHOWN] + "…"
    numbers = {"share": f"{most.share:.0%}", "worth": f"{most.worth:.3g}", "own": f"{most.own:.3g}"}
    return reason("reward_for_nothing", kinds=kinds, prompts=prompts, shown=repr(shown), **numbers)
