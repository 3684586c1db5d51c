"""The rows of a search: each trial is given those that it may see, and no other lies in its folder.

SearchRows.dealt(folder, recipe, task)   ->  read and split once, kept in rows/
rows.hand_on(run, recipe)                    a trial begins with the training rows and those that choose
rows.confirming, rows.test               ->  rows that nothing has been chosen by
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from weitiao.core import registry
from weitiao.core.contracts import Record, Shape, Task
from weitiao.core.errors import fault
from weitiao.core.files import write_text
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.data.equal_text import digest, normalised
from weitiao.data.rows import Rows
from weitiao.stages.dealt import Dealt, begin_with, from_files, from_folder
from weitiao.stages.events import Tell

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress

ROWS = "rows"
FEWEST = 8
"""Validation rows, of which a half chooses."""


@dataclass
class SearchRows:
    """All of them, and who may see which."""

    asked: Recipe
    whole: Dealt
    progress: Progress | None = None
    others: dict[str, Dealt] = field(default_factory=dict)
    """Base and task -> the same rows, as that one learns from them."""
    alike: Collection[str] = ()
    """Bases that read rows as the recipe's own does."""

    @classmethod
    def dealt(
        cls, folder: RunFolder, asked: Recipe, task: Task, *, tell: Tell, progress: Progress | None
    ) -> SearchRows:
        """Those that lie in the search's folder; at first read from their files.

        Raises:
            WeitiaoError: what reading and splitting raise; `needs_validation` where too few would choose.
        """
        kept = RunFolder(folder.path / ROWS)
        whole = from_folder(kept, asked, tell=tell)
        if whole is None:
            whole = from_files(asked, task, progress=progress)
            if len(whole.splits["validation"]) < FEWEST:
                raise fault(
                    "needs_validation", why=f"data.split.validation ({len(whole.splits['validation'])})"
                )
            write_text(kept.path / "recipe.yaml", asked.to_yaml())
            begin_with(kept, whole, asked)
        return cls(asked, whole, progress)

    @property
    def counts(self) -> dict[str, int]:
        """Rows that train, choose, confirm and test."""
        choosing, confirming = self._halves(self.whole)
        rows = {"train": len(self.whole.splits["train"]), "choosing": len(choosing)}
        return {**rows, "confirming": len(confirming), "test": len(self.whole.splits["test"])}

    @property
    def confirming(self) -> tuple[Rows, list[int]]:
        """Validation rows that nothing was chosen by, and which of them belong together."""
        _, places = self._halves(self.whole)
        groups = self.whole.groups["validation"][places].tolist()
        return self.whole.splits["validation"].take(places), groups

    def hand_on(self, run: RunFolder, recipe: Recipe) -> None:
        """Let a trial begin with what it may see."""
        begin_with(run, self.seen(recipe), recipe)

    def seen(self, recipe: Recipe, test: np.ndarray | None = None) -> Dealt:
        """The rows of a run of that recipe: training rows, those that choose, and so many of the test rows (none)."""
        whole = self._of(recipe)
        choosing, _ = self._halves(whole)
        test = np.zeros(0, dtype=np.int64) if test is None else test
        places = {"train": np.arange(len(whole.splits["train"])), "validation": choosing, "test": test}
        ledger = whole.ledger.copy()
        ledger.made = {}
        return replace(
            whole,
            splits={side: whole.splits[side].take(at) for side, at in places.items()},
            groups={side: whole.groups[side][at] for side, at in places.items()},
            ledger=ledger,
        )

    def _of(self, recipe: Recipe) -> Dealt:
        if recipe.model in (self.asked.model, *self.alike) and recipe.task == self.asked.task:
            return self.whole
        key = json.dumps([recipe.model, recipe.task], sort_keys=True)
        if key not in self.others:
            task = registry.build("task", recipe.task)
            self.others[key] = from_files(recipe, task, progress=self.progress)
        return self.others[key]

    def _halves(self, dealt: Dealt) -> tuple[np.ndarray, np.ndarray]:
        seed = self.asked.seed if self.asked.data.split.seed is None else self.asked.data.split.seed
        return halves(dealt.splits["validation"], dealt.groups["validation"], dealt.task.shape, seed=seed)


def halves(
    rows: Sequence[Record], group: np.ndarray, shape: Shape, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places of every other group of rows, in the order of their hashes, of each label alike; and those of the rest.

    Args:
        rows: which are dealt.
        group: of each row (N,).
        shape: of the rows.
        seed: of the order.
    """
    first: dict[int, int] = {}
    for place, own in enumerate(group.tolist()):
        first.setdefault(own, place)

    def order(own: int) -> tuple[str, int]:
        values = rows[first[own]].values
        return shape.stratum(values), digest(f"{seed}/{normalised(shape.key(values))}")

    chosen = set(sorted(first, key=order)[::2])
    choose = np.array([own in chosen for own in group.tolist()], dtype=bool)
    return np.flatnonzero(choose), np.flatnonzero(~choose)
