"""The whole comparison of a written form with the judged model: what `parity.json` says of it.

prove(run, folder, asked)  ->  {"rows": 1000, "apart": 2e-7, ...}; raises Differs where they part
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from weitiao.export import parity, speech, spoken
from weitiao.export.asked import BATCH, Asked
from weitiao.export.differs import Differs
from weitiao.export.fresh_process import Answered, ask

if TYPE_CHECKING:
    from weitiao.stages.run import Run

FAR = 1e-3
"""How far a probability, or a number, of a runner's answer may be from what the task makes of the same outputs."""
ROUNDED, SELDOM = 0.1, 0.02
"""The same where weights are rounded: there an answer hangs on the rows beside it, and one in fifty may lie farther; another
order of labels would make nearly all of them others."""


class Proven(Protocol):
    """What a form says of how it is to be compared (`export.form.Form`)."""

    without: ClassVar[tuple[str, ...]]

    def bounds(self, run: Run) -> parity.Bounds:
        """How far it may be from the judged model."""

    def misreads(self, run: Run) -> Callable[[str], bool]:
        """Which texts are known to be read otherwise."""


def prove(run: Run, folder: Path, asked: Asked, *, form: Proven) -> dict[str, Any]:
    """Ask a form's runner what the judged model was asked.

    Args:
        run: with the judged model.
        folder: of the form.
        asked: the rows, and what the judged model says of them.
        form: what it is.

    Raises:
        Differs: the first thing that is not the same.
    """
    bounds, without = form.bounds(run), form.without
    if asked.learnt:
        return _spoken(run, folder, asked, bounds=bounds, without=without)
    rows = parity.readable(run, asked)
    misread = without_misread(asked, rows, form.misreads(run))
    flat = _flat(rows)
    texts = [[list(rows[row][nth]) for row, nth in batch] for batch in flat]
    answered = ask(folder, asked.passes, texts=texts, whole=asked.whole, without=without)
    alike = parity.same_ids if run.task.reads_words else parity.same_pixels
    read = alike(asked, answered, flat)
    near = _near(asked, answered, bounds)
    theirs = parity.replayed(run, asked, answered.passes)
    told_alike, unlike = parity.same_words(asked.predictions, theirs)
    bound = {"far": FAR, "farther": 0.0} if bounds.exact else {"far": ROUNDED, "farther": SELDOM}
    said = parity.same_answers(asked, theirs, answered, flat, **bound, apart=run.task.apart)
    # An answer of hundreds of boxes or thousands of pixels may hang on a tie; one of a few rows does, where scores are not exact.
    ties = 0 if run.task.reads_words or rows_of_scores(asked) == 1 else SELDOM * len(theirs)
    if bounds.exact and len(unlike) > max(ties, 1 + SELDOM * len(theirs) if bounds.tied else 0):
        raise Differs("answers", why=", ".join(asked.records[row].place for row in unlike[:5]))
    told = {"read_alike": read, "answers_alike": said, "told_alike": told_alike / max(1, len(theirs))}
    told |= {"misread": misread} if misread else {}
    return {**_what(asked), **near, **told, **_metric(run, asked, theirs, bounds), **answered.told}


def without_misread(asked: Asked, rows: dict[int, Any], misreads: Callable[[str], bool]) -> int:
    """Take out the rows that are known to be read otherwise; how many real ones these are, which must be few."""
    known = [row for row, texts in rows.items() if any(misreads(text) for own in texts for text in own)]
    real = [row for row in known if row < asked.real]
    if len(real) > SELDOM * asked.real:
        raise Differs("ids", why=f"{asked.records[real[0]].place} ({len(real)} / {asked.real})")
    for row in known:
        rows.pop(row)
    return len(real)


def _spoken(
    run: Run, folder: Path, asked: Asked, *, bounds: parity.Bounds, without: Sequence[str]
) -> dict[str, Any]:
    """The same of a model that writes: its losses are compared on all rows, its outputs on as many as can be kept."""
    turns = spoken.prompts(run, [asked.records[row] for row in range(asked.real)])
    learnt = {at: speech.of(run).learnt(batch) for at, batch in asked.learnt.items()}
    words: dict[str, Any] = {"turns": turns, "speaks": {"max_new_tokens": speech.LONGEST}}
    answered = ask(folder, asked.passes, texts=[], learnt=learnt, whole=asked.whole, without=without, **words)
    told = dict(answered.told)
    said = spoken.refuse_other_words(run, turns, told, exact=bounds.exact)
    near = _near(asked, answered, bounds)
    theirs: dict[int, dict[str, Any]] = {}
    for (at, batch), rows in zip(asked.learnt.items(), asked.batches, strict=True):
        losses = speech.row_losses(batch.extra["owner"], answered.losses[at], len(rows))
        for row, one in zip(rows, losses, strict=True):
            own = asked.predictions[row]
            apart = abs(own["loss"] - one["loss"]) / max(1, own["tokens"])
            if bounds.exact and apart > bounds.close:
                raise Differs(
                    "logits", why=f"{asked.records[row].place}: {own['loss']:.6g} != {one['loss']:.6g}"
                )
            near["apart"] = max(near["apart"], apart)
            theirs[row] = one
    for name in ("spoken", "ends"):
        told.pop(name, None)
    return {**_what(asked), **near, **said, **_metric(run, asked, theirs, bounds), **told}


def _near(asked: Asked, answered: Answered, bounds: parity.Bounds) -> dict[str, float]:
    """How near the outputs are."""
    apart, same = parity.furthest(asked.passes[: asked.whole], answered.passes, tied=bounds.tied)
    if bounds.exact and (apart > bounds.close or same < 1):
        raise Differs("logits", why=f"{apart:.3g} (> {bounds.close:g}), argmax {100 * same:.2f} %")
    return {"apart": apart, "argmax": same}


def _metric(
    run: Run, asked: Asked, theirs: Mapping[int, Mapping[str, Any]], bounds: parity.Bounds
) -> dict[str, Any]:
    metric = parity.scored(run, asked, theirs)
    return {"metric": metric, "moved": parity.refuse_moved(metric, bounds)}


def _what(asked: Asked) -> Mapping[str, Any]:
    real = sum(row < asked.real for row in asked.predictions)
    return {
        "side": asked.side,
        "rows": real,
        "made": len(asked.predictions) - real,
        "lengths": asked.lengths(),
        "batches": sorted({len(batch) for batch in asked.batches}),
    }


def rows_of_scores(asked: Asked) -> int:
    """How many labels are told of a row at once: of a picture one, as many as boxes, or as pixels."""
    said = next(iter(asked.passes[0].said.values()))
    return int(said[0].size // said.shape[1 if said.ndim == 4 else -1])


def _flat(rows: Mapping[int, Sequence[Any]]) -> list[list[tuple[int, int]]]:
    """Texts by sevens, those of one kind (one text, or two) together: the row of each, and which of its texts it is."""
    kinds: dict[int, list[tuple[int, int]]] = {}
    for row, texts in rows.items():
        for nth, text in enumerate(texts):
            kinds.setdefault(len(text), []).append((row, nth))
    return [each[at : at + BATCH] for each in kinds.values() for at in range(0, len(each), BATCH)]
