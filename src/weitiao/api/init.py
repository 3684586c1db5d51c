"""A recipe to start from, written for a file.

init("reviews.csv")  ->  the text of a commented recipe
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from weitiao.core import registry
from weitiao.core.recipe import DEFAULT_METHOD, Data, Recipe
from weitiao.core.sections import Train
from weitiao.core.why import reason
from weitiao.data import check as checking
from weitiao.data.formats.languages import is_language
from weitiao.models.assets.entries import MODELS
from weitiao.stages.data import beside_texts, guess, located, suiting, task_of, untaught
from weitiao.stages.events import Tell, silent
from weitiao.stages.preflight import preflight


def init(
    file: str | Path,
    *,
    model: str = "",
    task: str = "",
    columns: Mapping[str, str] | None = None,
    tell: Tell = silent,
) -> str:
    """A commented recipe for a file, with its columns, task and base guessed where they are not given; what may be meant
    otherwise is a comment in it, which `tell` hears as a `notice`.

    Raises:
        WeitiaoError: when the file cannot be read or its columns say nothing; when `model` does not suit the task.
    """
    section = Data(train=[str(file)], columns=dict(columns or {}))
    wanted = registry.build("task", {"name": task}).shape if task else None
    shape, keys = guess(located(section), wanted)
    section = section.model_copy(update=keys)
    source, target = (section.columns.get(side, "") for side in ("source", "target"))
    notices = []
    if not columns and is_language(source) and is_language(target):
        notices.append(reason("direction_guessed", source=source, target=target))
    if not task and (alone := beside_texts(located(section), shape)):
        notices.append(alone)
    name = task or task_of(shape)
    asked = bool(model)
    train, begin = Train(), DEFAULT_METHOD
    if not model or (model in MODELS and MODELS[model].untaught):
        checked = checking.inspect(located(section), shape)
        model = model or suiting(registry.build("task", {"name": name}), checked)
        if MODELS[model].untaught:
            train, begin = Train(**untaught(len(checked.rows))), "full"
            notices.append(reason("untaught", model=model))
    tasks, methods = (
        registry.settings_of(thing, registry.build(shelf, {"name": thing}))
        for shelf, thing in (("task", name), ("method", begin))
    )
    recipe = Recipe(
        model=model,
        task=tasks,
        method=methods,
        data=section,
        train=train,
        output_dir=f"runs/{Path(str(file).partition('#')[0]).stem}",
    )
    if asked:  # a recipe that `train` refuses is no help
        method = registry.build("method", recipe.method)
        preflight(recipe, registry.build("task", recipe.task), method)
    for text in notices:
        tell("notice", text=text)
    first, *others = recipe.to_commented_yaml().split("\n")
    return "\n".join([first, *(f"# {text}" for text in notices), *others])
