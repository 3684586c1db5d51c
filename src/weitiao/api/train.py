"""The word `train`: what is asked for, in whatever form it comes, goes the whole way.

train("recipe.yaml", overrides=["train.learning_rate=1e-4"])  ->  Run
train(model="minilm-l6", data=DataFrame, ...)                 ->  Run
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.errors import fault
from weitiao.core.recipe import Recipe
from weitiao.core.run import refuse_elsewhere
from weitiao.forecast.refuse import MemoryCheck
from weitiao.stages import train as stage
from weitiao.stages.events import Tell, listening
from weitiao.stages.in_memory import named_as_given, named_files, rows_to_file
from weitiao.stages.resume import Resume
from weitiao.stages.run import Run

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress
    from weitiao.train.loop import Watcher


def train(
    recipe: str | Path | Mapping[str, Any] | Recipe | None = None,
    *,
    overrides: Iterable[str] = (),
    resume: bool | str | Path = False,
    strict_resume: bool = False,
    changes: Collection[str] = (),
    pause_after: float | None = None,
    shared: str | Path | None = None,
    watchers: Iterable[Watcher] = (),
    tell: Tell | None = None,
    progress: Progress | None = None,
    **words: Any,
) -> Run:
    """Check, split, encode, tune, save, judge and report: the whole way into `output_dir`.

    Args:
        recipe: a YAML file, a mapping or a `Recipe`; or leave it out and give its keys as keywords.
        overrides: `key=value` words on top, such as `"train.learning_rate=1e-4"`.
        resume: go on from the newest sound checkpoint of `output_dir` (True or "last"), or from this one of its
            checkpoints; later ones are then set aside.
        strict_resume: refuse when the newest checkpoint is not sound, instead of taking an older one.
        changes: keys of the recipe, or sections, that may differ from those that the run was begun with, such as
            "train.learning_rate"; any other difference is refused.
        pause_after: end with a checkpoint at the first look at the validation rows after so many epochs; the schedule is
            that of the whole run, and `resume` goes on to the same weights as without a pause.
        shared: a folder where runs of one study keep what others need too: what comes out of a frozen trunk.
        watchers: more `weitiao.train.loop.Watcher`s, asked after ours.
        tell: hears what the stages do (`silent` of `weitiao.stages.events` listens to nothing).
        progress: hears (bytes, all bytes) while an embedded model is fetched.  Without `tell` and `progress` a bar or
            lines on standard error say how it goes.
        **words: keys of the recipe; `data`, or its `train`, `validation` and `test`, here and in a mapping, may be rows: a
            pandas table, a `datasets.Dataset`, a list of dicts.

    Returns:
        The run, with `results`, `predict` and `report`.

    Raises:
        WeitiaoError: everything that `weitiao.core.messages` lists, with place and way out.
    """
    tree = recipe.model_dump() if isinstance(recipe, Recipe) else recipe
    overrides = list(overrides)
    data = words.get("data")
    if named_files(data) and data:
        words["data"] = {"train": data}
    if words:
        base = {} if tree is None else tree if isinstance(tree, Mapping) else Recipe.read(tree).model_dump()
        tree = {**base, **words}
    if tree is None:
        raise fault("missing_key", key="model")
    tree, given = rows_to_file(tree, overrides) if isinstance(tree, Mapping) else (tree, {})
    asked = Recipe.read(tree, overrides)
    if resume and isinstance(recipe, str | Path):
        refuse_elsewhere(Path(recipe), asked)
    with listening(tell, progress) as (tell, progress, ours), named_as_given(given):
        return stage.train(
            asked,
            refusal=MemoryCheck(),
            resume=Resume.asked(resume, strict=strict_resume, changes=changes, pause_after=pause_after),
            watchers=[*ours, *watchers],
            tell=tell,
            progress=progress,
            shared=Path(shared) if shared else None,
        )
