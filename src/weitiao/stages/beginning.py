"""The model that a run begins with: its base with the method's modules in, and what another run has learnt (`start_from`).

beginning(recipe, task, method)   ->  the model as it is before the first step
began(run)                        ->  the same of a finished run, if what it began with is still there
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from weitiao.core import registry
from weitiao.core.contracts import Method, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder, open_run

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress
    from weitiao.models.load import Loaded


class Began(Protocol):
    """A finished run, as what it began with is asked for."""

    folder: RunFolder
    device: str

    @property
    def recipe(self) -> Recipe:
        """What was asked."""

    @property
    def task(self) -> Task:
        """What was learnt."""

    @property
    def method(self) -> Method:
        """How."""

    @property
    def began_with(self) -> str:
        """The print of another run's weights that it began with; empty where it began with the base."""

    def where_base_lies(self) -> str:
        """The model that was tuned."""


def beginning(recipe: Recipe, task: Task, method: Method, *, device: str) -> Loaded:
    """The model as it is before the first step: the base with the method's modules in, and another run's weights in these
    (`start_from`).

    Raises:
        WeitiaoError: as `prepare`, of the model.
    """
    from weitiao.models import store

    loaded = base(recipe, task, method, device=device)
    store.prepare(loaded, method, seed=recipe.seed, task=task)
    start(loaded, recipe, task, method)
    return loaded


def base(
    recipe: Recipe, task: Task, method: Method, *, device: str, progress: Progress | None = None
) -> Loaded:
    """The model as the recipe asks for it, the same in every process."""
    from weitiao.models import store

    return store.open_base(
        recipe.model,
        task,
        method,
        half=recipe.train.half,
        seed=recipe.seed,
        device=device,
        bits=method.base_bits,
        dropout=recipe.train.dropout,
        longest=recipe.data.max_length,
        progress=progress,
    )


def refuse_start(recipe: Recipe, task: Task, method: Method) -> None:
    """Can the run that the recipe begins with be begun with?  Its weights are not opened.

    Raises:
        WeitiaoError: `no_run`, `unfinished_run`, `broken_model`, `unfit_start`, `wrong_base`.
    """
    from weitiao.models import bases, begun_with

    if recipe.start_from:
        run = open_run(recipe.start_from)
        card = begun_with.startable(run, task=task, named=_named(recipe, task))
        if method.layout != "pretrained":
            bases.found(run.path, card["base"], ref=recipe.model, said=recipe.model)


def _named(recipe: Recipe, task: Task) -> dict[str, Any]:
    return {"task": registry.settings_of(recipe.task["name"], task), "method": recipe.method}


def start(loaded: Loaded, recipe: Recipe, task: Task, method: Method) -> None:
    """Begin with the tuned weights of another run, if the recipe names one."""
    from weitiao.models import begun_with

    if recipe.start_from:
        named = _named(recipe, task)
        run = open_run(recipe.start_from)
        begun_with.begin_with(
            run, loaded, task=task, method=method, named=named, ref=recipe.model, half=recipe.train.half
        )


def began(run: Began) -> Loaded:
    """The model that a finished run began with, which lies in another run.

    Raises:
        WeitiaoError: `other_beginning` where that was trained anew; `no_run`, `unfinished_run` where it is gone; what opening
            raises.
    """
    from weitiao.models import cards

    recipe, path = run.recipe, run.folder.path
    # A relative path is meant from where the run was begun.
    other = open_run(Path(run.folder.json("facts.json").get("cwd", ""), str(recipe.start_from)))
    if cards.print_of(other.model) != run.began_with:
        raise fault("other_beginning", path=path, start=other.path)
    here = recipe.model_copy(update={"model": run.where_base_lies(), "start_from": str(other.path)})
    return beginning(here, run.task, run.method, device=run.device)
