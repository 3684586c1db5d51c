"""Rows with gender, names and origin swapped are answered anew, and the same rows otherwise.

run, rows as they stand, rows swapped  ->  swapped_answers(...)  ->  what `stress.json` says of them, and its sections
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.core.contracts import Record, Section
from weitiao.core.why import reason
from weitiao.evaluate.answered import chosen
from weitiao.evaluate.stress import spoken
from weitiao.evaluate.stress.counterfactual import Pair
from weitiao.evaluate.stress.paired_change import Drawing
from weitiao.evaluate.stress.spoken import Spoken
from weitiao.evaluate.stress.written_otherwise import FEWEST, Standing
from weitiao.stages.events import Tell
from weitiao.stages.stressed import Stressed


def swapped_answers(
    run: Stressed, standing: Standing, pairs: Mapping[str, Pair], drawing: Drawing, *, tell: Tell
) -> tuple[dict[str, Any], dict[str, Section]]:
    """How far a swap moves what the model answers, beyond a neutral swap.

    Args:
        run: that answers.
        standing: the rows as they stand.
        pairs: by kind the rows swapped; of each kind at most `evaluate.answers`, drawn by the seed, are answered.
        drawing: of intervals and tests.
        tell: hears how it goes.
    """
    wanted = run.recipe.evaluate.answers
    if wanted == 0:
        return {"why": reason("no_answers_wanted")}, {}
    drawn = {kind: chosen(len(pair.swapped.rows), wanted, seed=drawing.seed) for kind, pair in pairs.items()}
    asked: dict[Any, tuple[Record, Mapping[str, Any]]] = {}
    for kind, places in drawn.items():
        for place in places if len(places) >= FEWEST else ():
            row = pairs[kind].swapped.rows[place]
            asked[row] = standing.records[row], standing.references[row]
            for side in ("swapped", "neutral"):
                own = getattr(pairs[kind], side)
                asked[kind, side, place] = own.records[place], own.references[place]
    said = dict(zip(asked, _answers(run, [*asked.values()], tell), strict=True))
    each: dict[str, Spoken] = {}
    for kind, places in drawn.items():
        rows = [pairs[kind].swapped.rows[place] for place in places]
        swapped, neutral = (
            [said[kind, side, place] for place in places if (kind, side, place) in said]
            for side in ("swapped", "neutral")
        )
        each[kind] = Spoken(rows, [said[row] for row in rows if row in said], swapped, neutral)
    found = spoken.found(each, standing.groups, drawing)
    expected = {
        kind: [pairs[kind].swapped.references[place] for place in places] for kind, places in drawn.items()
    }
    return found, spoken.sections(found, standing, each, expected)


def _answers(run: Stressed, asked: Sequence[tuple[Record, Mapping[str, Any]]], tell: Tell) -> list[str]:
    """What the model answers to each, the likeliest words; a model is not opened for none."""
    if not asked:
        return []
    found = run.speaker.answers(
        [reference["prompt"] for _, reference in asked],
        tools=[record.values.get("tools") for record, _ in asked],
        max_new_tokens=run.recipe.evaluate.max_new_tokens,
        progress=lambda done, all: tell("judged", what="tuned: answers", done=done, all=all),
    )
    return [str(one["answer"]) for one in found]
