"""What a form says beside what the judged model says: the same, or where they part.

    compared(run, asked, answered, exact=True)  ->  what parity.json holds; raises Differs

In this order, so that the first thing that is wrong is named: ids, outputs, labels, answers, metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import Example
from weitiao.export import pictures, speech
from weitiao.export.asked import Asked
from weitiao.export.differs import Differs
from weitiao.export.fresh_process import Answered
from weitiao.export.heard import Pass, replaying

if TYPE_CHECKING:
    from weitiao.stages.run import Run


@dataclass(frozen=True)
class Bounds:
    """How far a form may be from the judged model."""

    exact: bool
    """Are its numbers those of the judged model, but for the order in which they are added?"""
    close: float
    """How far outputs may then be apart, beside numbers around 1."""
    points: float
    """How far the score may move; of one without bounds, that share of it."""
    tied: float = 0.0
    """Scores nearer to each other than this, beside numbers around 1, are a tie."""


TIED = 1e-5
"""Scores of a pixel so near to each other are a tie."""
SIZES = ("texts", "windows")
"""Inputs that say how long each text, or each pass, of a row is."""


def pieces(example: Example) -> list[list[int]]:
    """The ids of each pass of a row."""
    ids = np.asarray(example.inputs["input_ids"])
    sizes = next((example.inputs[name] for name in SIZES if name in example.inputs), [len(ids)])
    return [each.tolist() for each in np.split(ids, np.cumsum(sizes)[:-1])]


def readable(run: Run, asked: Asked) -> dict[int, list[tuple[str, ...]]]:
    """The rows whose ids a tokenizer's call alone makes, and what it is asked for each pass; every picture, and where it lies.

    Where special tokens are words of the vocabulary, a text that spells one becomes it in any library but this
    (`data.plain`): such rows are left out.
    """
    if not run.task.reads_words:
        return {row: run.task.texts_read(asked.records[row]) for row in sorted(asked.predictions)}
    found = {}
    for row in sorted(asked.predictions):
        texts, own = run.task.texts_read(asked.records[row]), pieces(asked.examples[row])
        if len(texts) == len(own) and not _misread(run, texts, own):
            found[row] = texts
    return found


def _misread(run: Run, texts: Sequence[tuple[str, ...]], own: Sequence[Sequence[int]]) -> bool:
    """Do they spell special tokens, and would the tokenizer itself take these for such?"""
    processor = run.tuned.processor
    marks = list(getattr(processor, "all_special_tokens", ()))
    words: dict[str, Any] = {"split_special_tokens": True, "truncation": True, "max_length": run.limit}
    return any(
        any(mark in text for mark in marks for text in row)
        and processor(*row, **words)["input_ids"] != list(ids)
        for row, ids in zip(texts, own, strict=True)
    )


def same_ids(asked: Asked, answered: Answered, flat: Sequence[Any]) -> int:
    """How many texts are read alike, and filled up alike."""
    count = 0
    for batch, read in zip(flat, answered.read, strict=True):
        for at, (row, nth) in enumerate(batch):
            ids, mask = read["input_ids"][at], read["attention_mask"][at]
            ours = pieces(asked.examples[row])[nth]
            theirs = ids[mask == 1].tolist()
            if theirs != ours:
                raise Differs("ids", why=f"{asked.records[row].place}: {_first(ours, theirs)}")
            if not mask[: len(ours)].all():
                raise Differs("ids", why=f"{asked.records[row].place}: {mask.tolist()[:8]}")
            count += 1
    return count


def same_pixels(asked: Asked, answered: Answered, flat: Sequence[Any]) -> int:
    """How many pictures are read alike."""
    own: dict[int, Any] = {}
    begin = 0
    for rows, count in zip(asked.batches, asked.counts, strict=True):
        passes = asked.passes[begin : begin + count]
        own |= dict(zip(rows, (row for one in passes for row in one.inputs[pictures.PIXELS]), strict=True))
        begin += count
    for batch, read in zip(flat, answered.read, strict=True):
        for (row, _), theirs in zip(batch, read[pictures.PIXELS], strict=True):
            ours, place = own[row], asked.records[row].place
            if ours.shape != theirs.shape:
                raise Differs("pixels", why=f"{place}: {ours.shape} != {theirs.shape}")
            if (far := float(np.abs(ours - theirs).max())) > pictures.CLOSE:
                raise Differs("pixels", why=f"{place}: {far:.3g} > {pictures.CLOSE:g}")
    return sum(map(len, flat))


def _first(ours: Sequence[int], theirs: Sequence[int]) -> str:
    at = next(
        (at for at, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]),
        min(len(ours), len(theirs)),
    )
    return f"{list(ours[at : at + 5])} != {list(theirs[at : at + 5])} (+{at})"


def furthest(ours: Sequence[Pass], theirs: Sequence[Pass], *, tied: float = 0.0) -> tuple[float, float]:
    """The largest difference of an output, and the share of positions at which the largest number is the same, or within `tied`
    of it."""
    apart, same, count = 0.0, 0, 0
    for one, other in zip(ours, theirs, strict=True):
        # Of a decoder beside an encoder, what fills rows up is read as any other token.
        mask = None if speech.WRITTEN in one.inputs else one.inputs.get("attention_mask")
        for name, own in one.said.items():
            said = other.said.get(name)
            if said is None or said.shape != own.shape:
                raise Differs("logits", why=f"{name}: {own.shape} != {None if said is None else said.shape}")
            if mask is not None and _of_tokens(name, own, mask):
                own, said = own[mask == 1], said[mask == 1]
            if not np.isfinite(said[np.isfinite(own)]).all():
                raise Differs("logits", why=f"{name}: nan")
            # What is minus infinity in both says nothing.
            far = np.abs(own - said)[np.isfinite(own)] / np.maximum(1.0, np.abs(own[np.isfinite(own)]))
            apart = max(apart, float(far.max(initial=0.0)))
            if name == "logits":
                axis = 1 if own.ndim == 4 else -1  # of pixels (B, C, h, w)
                most, place = own.max(axis), said.argmax(axis)
                there = np.take_along_axis(own, np.expand_dims(place, axis), axis).squeeze(axis)
                # Of many pixels the largest ones of some lie nearer to each other than outputs may be.
                near = max(tied, TIED if own.ndim == 4 else 0.0) * np.maximum(1.0, np.abs(most))
                same += int((most - there <= near).sum())
                count += int(most.size)
    return apart, same / count if count else 1.0


def _of_tokens(name: str, own: np.ndarray, mask: np.ndarray) -> bool:
    """Are these numbers of every token (B, T, ...)?  What stands where rows are filled up is nobody's."""
    return own.shape[:2] == mask.shape and (own.ndim == 3 or name in ("start_logits", "end_logits"))


def replayed(run: Run, asked: Asked, passes: Sequence[Pass]) -> dict[int, dict[str, Any]]:
    """What the task makes of what the form said."""
    import torch

    found: dict[int, dict[str, Any]] = {}
    begin = 0
    with torch.inference_mode():
        for number, (rows, count) in enumerate(zip(asked.batches, asked.counts, strict=True)):
            own = list(passes[begin : begin + count])
            begin += count
            told = run.task.predict(replaying(run.tuned.model, own), asked.batch(number, run))
            if len(rows) > 1 or rows[0] not in found:
                found |= dict(zip(rows, told, strict=True))
    return found


def plain(told: Any) -> Any:
    """A prediction without its numbers: labels, words, places."""
    if isinstance(told, Mapping):
        return {name: plain(each) for name, each in told.items()}
    if isinstance(told, list | tuple):
        return [plain(each) for each in told]
    return told if isinstance(told, str | int | bool) else None


def same_words(ours: Mapping[int, Any], theirs: Mapping[int, Any]) -> tuple[int, list[int]]:
    """How many rows are told alike but for their numbers, and which are not."""
    unlike = [row for row, told in ours.items() if plain(told) != plain(theirs[row])]
    return len(ours) - len(unlike), unlike


def same_answers(
    asked: Asked,
    theirs: Mapping[int, Mapping[str, Any]],
    answered: Answered,
    flat: Sequence[Any],
    *,
    far: float,
    farther: float,
    apart: bool,
) -> int:
    """What the runner makes of its own outputs, beside what the task makes of them.

    Args:
        asked: the rows.
        theirs: of each row what the task says of the form's outputs.
        answered: with the runner's answers.
        flat: of each batch of texts the row and place of each.
        far: how far numbers may be apart.
        farther: of so large a share they may be farther apart.
        apart: are texts of a row told apart?

    Returns:
        How many were compared.
    """
    count, unlike = 0, list[str]()
    for batch, answers in zip(flat, answered.answers, strict=True):
        for (row, nth), said in zip(batch, answers, strict=True):
            known = theirs[row]
            for name in {*said} & {*known}:
                own = known[name][nth] if apart and hasattr(known[name], "__len__") else known[name]
                if (why := _unlike(own, said[name], far)) and not _tied(name, known, said, far):
                    unlike.append(f"{asked.records[row].place}: {name}: {why}")
                count += 1
    if len(unlike) > farther * count:
        raise Differs("labels", why=unlike[0])
    return count


def _tied(name: str, known: Mapping[str, Any], said: Mapping[str, Any], far: float) -> bool:
    """Are the labels others because their scores lie nearer to each other than the form may be off?"""
    scores = known.get("scores")
    if name not in ("label", "score") or not isinstance(scores, Mapping):
        return False
    return abs(scores.get(said.get("label"), -1.0) - known["score"]) <= far


def _unlike(own: Any, said: Any, far: float) -> str:
    for one, other in _pairs(own, said):
        if isinstance(one, str | bool) or isinstance(other, str | bool):
            if one != other:
                return f"{one!r} != {other!r}"
        elif abs(one - other) > far * max(1.0, abs(one)):
            return f"{one:.6g} != {other:.6g}"
    return ""


def _pairs(own: Any, said: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(own, Mapping):
        if {*own} != {*said} or [*own] != [*said]:
            yield str([*own]), str([*said])
            return
        for name, each in own.items():
            yield from _pairs(each, said[name])
    elif isinstance(own, list | tuple | np.ndarray):
        if len(own) != len(said):
            yield str(list(own)), str(list(said))
            return
        for pair in zip(own, said, strict=True):
            yield from _pairs(*pair)
    else:
        yield own, said


def scored(run: Run, asked: Asked, theirs: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The task's first metric that needs no words, of both, on the real rows; empty where there is none."""
    from weitiao.evaluate.answered import judge_some
    from weitiao.evaluate.chosen import ANSWER, judged

    task, settings = run.task, run.recipe.evaluate
    rows = [row for row in sorted(theirs) if row < asked.real]
    if not rows:
        return {}
    examples = [asked.examples[row] for row in rows]
    systems = {
        "tuned": task.together([asked.predictions[row] for row in rows], examples),
        "exported": task.together([dict(theirs[row]) for row in rows], examples),
    }
    # Predictions of rows that the task does not know the answer of hold no loss.
    holds = systems["tuned"][0]
    known = {
        name: metric for name, metric in judged(task, settings.metrics).items() if ANSWER not in metric.needs
    }
    metrics = {name: metric for name, metric in known.items() if not metric.lacks(holds)}
    if not metrics:
        return {}
    name = next(iter(metrics))
    words: dict[str, Any] = {"labels": task.classes(), "confidence": settings.confidence}
    words |= {"resamples": settings.resamples, "seed": run.recipe.seed}
    references = [dict(task.reference(asked.records[row])) for row in rows]
    found = judge_some(references, systems, {name: metrics[name]}, rows=[], **words)["metrics"]
    return {"name": name, "rows": len(rows), "bounded": np.isfinite(metrics[name].bounds).all().item()} | {
        system: found[system][name] for system in systems
    }


def refuse_moved(metric: Mapping[str, Any], bounds: Bounds) -> float | None:
    """How far the metric has moved; raises where that is too far."""
    if not metric or metric["tuned"]["value"] is None or metric["exported"]["value"] is None:
        return None
    was, now = metric["tuned"]["value"], metric["exported"]["value"]
    # Where rows are few, half a point is less than one of them.
    precise = bounds.exact and not bounds.tied
    points = bounds.points if precise else max(bounds.points, 1 / metric["rows"])
    most = points if metric["bounded"] else bounds.points * abs(was)
    if abs(now - was) > most + 1e-12:
        raise Differs("metric", why=f"{metric['name']} {was:.4f} -> {now:.4f} (> {most:.4g})")
    return float(now - was)
