"""How a stage says what it does, without knowing who listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from weitiao.core.recipe import Recipe
    from weitiao.models.assets.fetch import Progress
    from weitiao.terminal.show import Show
    from weitiao.train.loop import Watcher

Tell: TypeAlias = Callable[..., None]
"""How a stage says what it does: tell("split", train=..., ...).  Faces show it; scripts may ignore it."""

PATIENCE_S = 1.0
"""Labelling that ends before shows no bar: a program that asks for one text a time wants none."""


def silent(event: str, **facts: Any) -> None:
    """Tell nobody."""


@contextmanager
def listening(
    tell: Tell | None, progress: Progress | None = None
) -> Iterator[tuple[Tell, Progress | None, list[Watcher]]]:
    """Whom to tell, who hears what is fetched, and who watches the loop: the caller, or, where he listens to neither,
    the listener of the terminal."""
    if tell is not None or progress is not None:
        yield tell or silent, progress, []
        return
    with _show() as show:
        yield show.tell, show.fetching, show.watchers()


@contextmanager
def labelling(recipe: Recipe) -> Iterator[Progress]:
    """Hears (rows done, rows); shows a bar when that takes long."""
    begun, shown = time.monotonic(), list[Any]()
    with ExitStack() as held:

        def heard(done: int, total: int) -> None:
            if not shown and done < total and time.monotonic() - begun > PATIENCE_S:
                shown.append(held.enter_context(_show()))
                shown[0].heed(recipe)
            for show in shown:
                show.labelling(done, total)

        yield heard


def _show() -> Show:
    # Rich is imported here, when somebody may look.
    from weitiao.terminal.show import Show
    from weitiao.train import distributed

    return Show(quiet=not distributed.leads())
