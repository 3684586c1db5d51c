"""Ready recipes, folders for new runs, and the schema of a recipe."""

from __future__ import annotations

import io
import json
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Record
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.files import write_lines, write_text
from weitiao.core.read_yaml import read_yaml
from weitiao.core.recipe import Recipe

if TYPE_CHECKING:
    from weitiao.stages.run import Run

SHORT = 40
"""Characters that a text to be typed has, more or less."""


def ready_recipe(name: str) -> dict[str, Any]:
    """A recipe that comes with weitiao, such as `demo-reviews`; one of several runs has them under `steps` (`step`).

    Raises:
        WeitiaoError: `unknown_name`.
    """
    folder = resources.files("weitiao").joinpath("recipes")
    known = sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )
    if name not in known:
        raise fault(
            "unknown_name", shelf="recipe", name=name, hint=did_you_mean(name, known), known=", ".join(known)
        )
    with resources.as_file(folder.joinpath(f"{name}.yaml")) as path:
        return read_yaml(path)


def step(recipe: Any, folder: str) -> Any:
    """A step of a ready recipe that has several: what it names as `@NAME` is the folder of the step of that name.

    Args:
        recipe: as it was read, or a part of it.
        folder: in which those of all steps lie.
    """
    if isinstance(recipe, dict):
        return {key: step(value, folder) for key, value in recipe.items()}
    if isinstance(recipe, list):
        return [step(each, folder) for each in recipe]
    named = isinstance(recipe, str) and recipe.startswith("@")
    return f"{folder}/{recipe[1:]}" if named else recipe


def free_folder(path: str) -> str:
    """`path`, or `path-2`, `path-3` ... : the first that no run has taken."""
    number, free = 1, path
    while Path(free).exists():
        number += 1
        free = f"{path}-{number}"
    return free


def example_table(run: Run) -> Path:
    """A small table of the run's own kind of rows beside it, `<run>-mine.csv` or `.jsonl`, to put one's own into.

    One that is there already is left alone.
    """
    import csv

    from weitiao.data.read import read
    from weitiao.stages.data import located

    data = located(run.recipe.data)
    # Enough for a gain that can be proven, few enough for a minute or two on two cores.
    rows = 200 if run.task.generates else 1000
    source = read([data.train[0].partition("#")[0] + f"#{rows}"], encoding=data.encoding)[0]
    # A table's cell holds one text: turns and words go into lines of JSON.
    flat = run.task.shape.formats[0] == "table"
    path = run.path.with_name(f"{run.path.name}-mine{'.csv' if flat else '.jsonl'}")
    if path.exists():
        return path
    if not flat:
        write_lines(path, (row.values for row in source.rows() if isinstance(row, Record)))
    else:
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(source.columns)
        table.writerows(row.values.values() for row in source.rows() if isinstance(row, Record))
        write_text(path, text.getvalue())
    return path


def example_text(run: Run) -> str:
    """A short text of the run's own kind, to be asked: one of its test rows, or of the training rows where none were kept;
    as JSON where a text alone is not enough; of a task of pictures the place of one."""
    from weitiao.evaluate.worst import text
    from weitiao.stages.asking import read_of
    from weitiao.stages.kept_rows import kept

    some = [[row for row, _ in islice(kept(run.folder, side), 100)] for side in ("test", "train")]
    if run.task.shape.pictures:
        return str((some[0] or some[1])[0].values[run.task.shape.pictures[0]])
    if len(columns := read_of(run)) > 1:
        rows = ({name: row.values[name] for name in columns} for row in some[0] or some[1])
        return min((json.dumps(row, ensure_ascii=False) for row in rows), key=len)
    asked = (run.task.reference(row) for row in some[0] or some[1])
    told = (one["prompt"][-1]["content"] if run.task.generates else text(one) for one in asked)
    texts = (" ".join(each.split()).lstrip("-") for each in told)
    return min(texts, key=lambda one: abs(len(one) - SHORT))[: 2 * SHORT]


def schema() -> dict[str, Any]:
    """The JSON schema of a recipe, with the settings of every method and task on the shelves."""
    tree = Recipe.model_json_schema()
    for shelf in ("method", "task"):
        description = tree["properties"][shelf].get("description", "")
        tree["properties"][shelf] = {"description": description, "anyOf": _choices(shelf)}
    tree["$defs"]["Data"]["properties"]["augment"]["items"] = {"anyOf": _choices("augmentation")}
    return tree


def _choices(shelf: str) -> list[dict[str, Any]]:
    """What stands for a thing on a shelf: its name, or a mapping of its name and settings."""
    choices: list[dict[str, Any]] = [{"type": "string", "enum": registry.names(shelf)}]
    for name in registry.names(shelf):
        settings = registry.typed(registry.entry(shelf, name).kind).json_schema()
        properties = {"name": {"const": name}, **settings.get("properties", {})}
        choices.append(
            {"type": "object", "properties": properties, "additionalProperties": False, "title": name}
        )
    return choices
