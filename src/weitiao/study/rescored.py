"""What the winner of a search is worth, by rows that nothing was chosen by.

rescored(best, own, rows, ...)     ->  its value on the other half of the validation rows, and its gain over the recipe's own
judged_once(best, folder, ...)     ->  best/, an ordinary run folder, judged on the locked test rows
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weitiao.core.files import write_json, write_text
from weitiao.core.recipe import Recipe, Search
from weitiao.core.run import RunFolder
from weitiao.data.ledger import Ledger
from weitiao.data.rows import Rows
from weitiao.evaluate.chosen import watched
from weitiao.evaluate.judge import judge
from weitiao.stages.dealt import begin_with
from weitiao.stages.evaluate import evaluate
from weitiao.stages.events import Tell
from weitiao.stages.run import Run
from weitiao.stages.runs import load
from weitiao.stages.to_judge import encoder
from weitiao.study.difference import difference
from weitiao.study.search_rows import SearchRows

ITSELF = "default"


def rescored(
    best: RunFolder, own: RunFolder | None, rows: SearchRows, *, metric: str, recipe: Recipe
) -> dict[str, Any]:
    """The winner and the recipe's own setting on the rows that confirm.

    Args:
        best: the winner's run.
        own: trial 0's; None where it has no score.
        rows: of the search.
        metric: what counts.
        recipe: says how sure intervals are.

    Returns:
        `rows`, `value` with its interval, that of the `default`, and the `gain` over it.
    """
    records, groups = rows.confirming
    systems = {"tuned": _said(load(best.path), records)}
    if own is not None:
        systems[ITSELF] = systems["tuned"] if own.path == best.path else _said(load(own.path), records)
    run = load(best.path)
    metrics = {metric: watched(run.task, recipe.evaluate.metrics)[metric]}
    references = [run.task.reference(record) for record in records]
    settings = recipe.evaluate
    words: dict[str, Any] = {
        "labels": run.task.classes(),
        "groups": groups,
        "confidence": settings.confidence,
        "resamples": settings.resamples,
        "seed": recipe.seed,
    }
    found = judge(references, systems, metrics, **words)["metrics"]
    same = own is None or own.path == best.path
    gain = None if same else difference(references, systems, metrics, before=ITSELF, after="tuned", **words)
    return {
        "rows": len(records),
        "value": found["tuned"][metric],
        "default": found[ITSELF][metric] if ITSELF in found else None,
        "gain": gain,
    }


def judged_once(
    best: RunFolder,
    folder: Path,
    before: Mapping[str, Any],
    rows: SearchRows,
    *,
    recipe: Recipe,
    tell: Tell,
) -> dict[str, Any]:
    """The winner as a run of its own, judged on the locked test rows; what was judged stays.

    Args:
        best: the winner's run.
        folder: where it is put.
        before: what was said of the winner so far; `judged` are those that have seen the test rows, in order.
        rows: of the search.
        recipe: says how is judged.
        tell: hears it.

    Returns:
        `judged` and the `test` score.
    """
    run, seen = RunFolder(folder), list(before["judged"])
    if not (run.state == "judged" and seen[-1:] == [before["number"]]):
        shutil.rmtree(folder, ignore_errors=True)
        _put(best, run, rows, recipe)
        evaluate(Run(run), tell=tell)
        seen.append(before["number"])
    results = run.json("results.json")
    test = results["metrics"]["tuned"][results["primary"]] if results else None
    return {"judged": seen if results else [], "test": test, "test_metric": results.get("primary")}


def _put(best: RunFolder, run: RunFolder, rows: SearchRows, asked: Recipe) -> None:
    """The winner's folder with the test rows in it."""
    aside = run.path.with_name(f".{run.path.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(best.path, aside, ignore=shutil.ignore_patterns(".*", "checkpoint-*", "data"))
    recipe = best.recipe.model_copy(
        update={"output_dir": str(run.path), "evaluate": asked.evaluate, "search": Search()}
    )
    made = RunFolder(aside)
    write_text(aside / "recipe.yaml", recipe.to_yaml())
    # As of every run, those that cannot be encoded are left out.
    test, stay = rows.whole.splits["test"], np.arange(0)
    if len(test):
        examples = encoder(Run(best))(test, Ledger(), side="test")
        stay = np.unique(examples.rows)
    dealt = rows.seen(recipe, stay)
    begin_with(made, dealt, recipe)
    split = best.json("data/split.json")
    write_json(aside / "data" / "split.json", {**split, "test": [row.id for row in dealt.splits["test"]]})
    shutil.copy(best.path / "data" / "ledger.json", aside / "data" / "ledger.json")
    aside.rename(run.path)


def _said(run: Run, records: Rows) -> list[dict[str, Any]]:
    """What a model says of rows."""
    told = run._predict([example for _, example in run.read(records)], None)
    return [run.task.shown(*each) for each in zip(records, told, strict=True)]
