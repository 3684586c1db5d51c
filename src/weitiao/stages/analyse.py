"""Where a judged run fails, and how surely: from its folder alone, nothing is asked of a model.

results.json, predictions.jsonl, predictions-validation.jsonl  ->  analyse(run)  ->  analysis.json, and sections of its page
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weitiao.core.analysis import VERSION
from weitiao.core.contracts import Section
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import read_lines, write_json
from weitiao.core.results import VERSION as results_version
from weitiao.core.why import reason
from weitiao.evaluate.analysed import in_order
from weitiao.evaluate.worst import place
from weitiao.stages.kept_rows import kept
from weitiao.stages.row_columns import columns
from weitiao.stages.run import Run
from weitiao.stages.unseen_words import unseen
from weitiao.stages.validation_rows import kept_beside

FILE = "analysis.json"


def analyse(run: Run, *, by: Sequence[str] = (), wished: Sequence[tuple[str, float]] = ()) -> dict[str, Any]:
    """Look at what a judged run said, and keep what is found in `analysis.json` beside its results.

    Args:
        run: judged.
        by: columns of the rows' files by which they are cut in slices, besides length, tokens, new words, file, language and label.
        wished: `precision` or `recall`, and how much of it at least, for which thresholds are looked for; default: 90 and 95 %
            of each.

    Returns:
        What lies in `analysis.json`: by part what was found, or `why` it is not defined; `sections`, as a page has them.

    Raises:
        WeitiaoError: `not_judged_yet`, `old_results`; `other_predictions` where the predictions are not of the rows that were judged;
            `no_such_by`, and what reading the files of the rows raises.
    """
    results = run.results
    if not results:
        raise fault("not_judged_yet", run=run.path)
    if results.get("version") != results_version:
        raise fault("old_results", run=run.path, version=results.get("version", "-"))
    lines = _lines(run, results)
    values = columns(run, lines, by)
    parts: dict[str, tuple[Mapping[str, Any], Section | None]] = {
        "slices": _slices(run, results, lines, values),
        **_chosen(run, lines, kept_beside(run), wished),
        **_errors(run, lines),
    }
    found = {
        "version": VERSION,
        "by": [*by],
        "columns": _beside(lines, values, results["sections"]),
        "rows": len(lines),
        **{name: part for name, (part, _) in parts.items()},
        "sections": in_order({name: section for name, (_, section) in parts.items() if section}),
    }
    write_json(run.place / FILE, found)
    return found


def _lines(run: Run, results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was said of the rows, after a look whether it is of these."""
    path = run.place / "predictions.jsonl"
    lines = read_lines(path)
    ours = len(lines) == results["rows"] and all("tuned" in line for line in lines)
    if ours and not results.get("given"):
        own = ((record.file, record.line) for record, _ in kept(run.folder, "test"))
        ours = [(line.get("file"), line.get("line")) for line in lines] == [*own]
    if not ours:
        raise fault("other_predictions", path=path, run=run.path)
    return lines


def _beside(
    lines: Sequence[Mapping[str, Any]], values: Mapping[str, Sequence[Any]], sections: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Of the rows that the page shows one by one, what stands in those columns: by place and column."""
    if not values:
        return {}
    shown = {row["place"] for one in sections.values() if one["kind"] == "rows" for row in one["rows"]}
    return {
        where: {name: _said(column[row]) for name, column in values.items()}
        for row, line in enumerate(lines)
        if (where := place(line)) and where in shown
    }


def _said(value: Any) -> str | int | float | None:
    """A value as a page can say it."""
    if value is None or isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else str(value)


def _slices(
    run: Run,
    results: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
    values: Mapping[str, Sequence[Any]],
) -> tuple[dict[str, Any], Section | None]:
    from weitiao.core.contracts import Summed
    from weitiao.evaluate.analysis import slices
    from weitiao.evaluate.analysis.parts import parts_of
    from weitiao.evaluate.chosen import judged

    settings, told = run.recipe.evaluate, [line["tuned"] for line in lines]
    metrics = judged(run.task, settings.metrics)
    name = slices.suited(metrics, told)
    metric = metrics.get(name)
    if not isinstance(metric, Summed):
        return {"why": reason("no_metric_of_sums")}, None
    rows_NK = np.asarray(metric.rows(lines, told, results["labels"]))
    words: Sequence[float | None] = ()
    without: dict[str, str] = {}
    try:
        words = unseen(run, lines)
    except WeitiaoError as error:  # the training rows are gone: all else stands without them
        without = {"unseen_words": str(error)}
    found = slices.slices(
        parts_of(lines, values, unseen=words),
        rows_NK,
        name,
        metric,
        _groups(lines),
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=run.recipe.seed,
    )
    found["undefined"] |= without
    return found, slices.section(found)


def _chosen(
    run: Run,
    lines: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    wished: Sequence[tuple[str, float]],
) -> dict[str, tuple[Mapping[str, Any], Section | None]]:
    """What the validation rows choose: a temperature, and thresholds."""
    from weitiao.evaluate.analysis import temperature, thresholds
    from weitiao.evaluate.analysis.chances import Chances, lacking

    settings, labels, told = run.recipe.evaluate, run.task.classes(), [line["tuned"] for line in lines]
    if why := lacking(validation, told, labels):
        return dict.fromkeys(("temperature", "thresholds"), ({"why": why}, None))
    chooses = Chances.of(validation, [line["tuned"] for line in validation], labels)
    seen, groups = Chances.of(lines, told, labels), _groups(lines)
    words: dict[str, Any] = {
        "confidence": settings.confidence,
        "resamples": settings.resamples,
        "seed": run.recipe.seed,
    }
    heat = temperature.temperature(chooses, seen, groups, **words)
    wishes = thresholds.thresholds(labels, chooses, seen, groups, wished or thresholds.WISHES, **words)
    return {
        "temperature": (heat, temperature.section(heat)),
        "thresholds": (wishes, thresholds.section(wishes)),
    }


def _errors(
    run: Run, lines: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[Mapping[str, Any], Section | None]]:
    """Errors by confidence, confused labels, and labels that are likely wrong."""
    from weitiao.evaluate.analysis import pairs, surest, suspects
    from weitiao.evaluate.analysis.chances import Chances, unscored

    settings, labels, told = run.recipe.evaluate, run.task.classes(), [line["tuned"] for line in lines]
    if why := unscored(told, labels):
        return dict.fromkeys(("surest", "confused", "wrong_labels"), ({"why": why}, None))
    chances = Chances.of(lines, told, labels)
    one = "labels" if chances.several else "label"
    same = set if chances.several else str
    wrong_N = np.array([same(line[one]) != same(said[one]) for line, said in zip(lines, told, strict=True)])
    words: dict[str, Any] = {
        "confidence": settings.confidence,
        "resamples": settings.resamples,
        "seed": run.recipe.seed,
    }
    by_confidence = surest.surest(chances, wrong_N, _groups(lines), **words)
    found: dict[str, tuple[Mapping[str, Any], Section | None]] = {
        "surest": (by_confidence, surest.section(by_confidence))
    }
    confused = pairs.pairs(lines, told)
    names = [name for name, said in lines[0].items() if isinstance(said, Mapping)]
    systems = {name: [line[name] for line in lines] for name in names if all(name in line for line in lines)}
    doubted = suspects.suspects(lines, systems, chances, labels)
    return {
        **found,
        "confused": ({"pairs": confused}, pairs.section(confused)),
        "wrong_labels": (doubted, suspects.section(doubted)),
    }


def _groups(lines: Sequence[Mapping[str, Any]]) -> list[int]:
    return [line.get("group", row) for row, line in enumerate(lines)]
