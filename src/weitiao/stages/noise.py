"""Other runs of the same recipe on the same rows: by them it is seen how far the score moves with the seed alone.

repetitions(run)  ->  recipes of runs/x/noise/seed-43, seed-44 ...  (`evaluate.noise_runs`); the way of a run trains them
slim(folder)      ->  once such a run is judged, what it weighs is removed: results, log and recipe stay
scores(run)       ->  {42: 0.81, 43: 0.84}  of this run, its repetitions, and its like that lie beside it

The rows stay where they were dealt: only what training draws (head, order, dropout, augmentation) is another.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Recipe
from weitiao.core.run import UNHEEDED, RunFolder, differences

FOLDER = "noise"
SAME = ("train", "validation", "test", "base")
"""Fingerprints that runs of the same rows and base share."""
KEPT = ("recipe.yaml", "facts.json", "log.jsonl", "results.json")
APART = UNHEEDED | {
    *("seed", "output_dir", "train.report_to"),
    *("data.train", "data.validation", "data.test", "data.split.seed"),
}
"""Keys in which runs of one recipe may differ: rows are compared by their fingerprints."""

LIGHT = {
    "untuned": False,
    "baseline": "none",
    "answers": 0,
    "samples": 0,
    "noise_runs": 0,
    "general_text": "none",
}
"""Keys of `evaluate` with which nothing is asked that stands beside the tuned model: of runs whose score alone matters."""


def repetitions(run: RunFolder) -> list[Recipe]:
    """The recipes of the runs that `evaluate.noise_runs` asks for and whose results are not there yet; none where there
    are no test rows.

    Args:
        run: of the run that they repeat; its rows are dealt.
    """
    recipe = run.recipe
    if not run.json("data/split.json").get("test"):
        return []
    dealt = recipe.seed if recipe.data.split.seed is None else recipe.data.split.seed
    split = recipe.data.split.model_copy(update={"seed": dealt})
    asked = [
        recipe.model_copy(
            update={
                "seed": seed,
                "output_dir": str(run.path / FOLDER / f"seed-{seed}"),
                "data": recipe.data.model_copy(update={"split": split}),
                "evaluate": recipe.evaluate.model_copy(update=LIGHT),
                "train": recipe.train.model_copy(update={"report_to": []}),
            }
        )
        for seed in range(recipe.seed + 1, recipe.seed + 1 + recipe.evaluate.noise_runs)
    ]
    return [each for each in asked if not (Path(each.output_dir) / "results.json").exists()]


def slim(folder: RunFolder) -> None:
    """Remove what a judged repetition weighs."""
    for path in folder.path.iterdir():
        if path.name in KEPT or path.name.startswith("."):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def scores(run: RunFolder, *, own: float, metric: str) -> dict[int, float]:
    """Seed -> score of the runs that are like this one but for it, this one first.

    Args:
        run: the judged run.
        own: its score.
        metric: by its name.
    """
    recipe, prints = run.recipe, run.json("facts.json")["fingerprints"]
    found = {recipe.seed: own}
    for other in _others(run):
        try:
            facts, results = other.json("facts.json"), other.json("results.json")
            if any(facts["fingerprints"].get(one) != prints.get(one) for one in SAME):
                continue
            theirs = other.recipe
            if _apart(recipe, theirs):
                continue
            score = results["metrics"]["tuned"][metric]["value"]
        except (WeitiaoError, OSError, KeyError, TypeError, ValueError):
            continue  # a run of another version, or none at all
        if score is not None:
            found.setdefault(theirs.seed, score)
    return found


def _others(run: RunFolder) -> Iterator[RunFolder]:
    """The repetitions, and what else lies beside the run and is judged."""
    own = run.path.resolve()
    for path in [*sorted((own / FOLDER).glob("seed-*")), *sorted(own.parent.iterdir())]:
        if path != own and (path / "results.json").is_file():
            yield RunFolder(path)


def _apart(one: Recipe, other: Recipe) -> bool:
    """Do they differ in more than the seed?  How they are judged does not change what was trained."""
    ours, theirs = (json.loads(each.model_dump_json(exclude={"evaluate"})) for each in (one, other))
    return any(line.partition(": ")[0] not in APART for line in differences(ours, theirs))
