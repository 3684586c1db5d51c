"""The models beside the one that is tuned, of shapes: a reference, a teacher, those that rate answers.

    Others(recipe, task, method, fake)  ->  helper, start, raters: each an Other, or none; copy, in bytes

A task says whom it asks (`Task.helper`, `hears`, `taught`, `needs_base`, `Sampling.asks`, `Sampling.raters`); none is known
by name here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from weitiao.core.contracts import AskedModel, Method, Sampling, Task
from weitiao.core.recipe import Recipe
from weitiao.forecast import opening
from weitiao.forecast.fake_model import FakeModel
from weitiao.models.precision import Half


@dataclass
class Other:
    """A model that is asked and never trained."""

    fake: FakeModel
    task: Task
    half: Half | None
    opened: int
    """Bytes that it takes at most while it is opened."""
    known: AskedModel | None = None
    """How it reads answers, where it rates them."""

    @property
    def weights(self) -> int:
        """Bytes of it as it is asked."""
        return opening.size(self.fake.loaded.model)


@dataclass
class Others:
    """Who is asked in a run."""

    recipe: Recipe
    task: Task
    method: Method
    fake: FakeModel
    """The model that is tuned."""

    @property
    def once(self) -> Sequence[Other]:
        """Whoever is asked once, before the first step, and is then gone."""
        return [self.helper] if self.helper and self.task.hears else []

    @property
    def kept(self) -> Sequence[Other]:
        """Whoever is there as long as the training lasts."""
        reference = [one for one in (self.helper, self.start) if one] if not self.task.hears else []
        return [*reference, *self.raters]

    @property
    def judging(self) -> Sequence[Other]:
        """Whoever is asked about rows that judge."""
        asked = self.helper if self.task.hears or self.task.taught else None
        return [*([asked] if asked else []), *self.raters]

    @property
    def copies(self) -> bool:
        """Is a copy of the base weights that train kept?"""
        return self.task.needs_base and not self.recipe.start_from

    @property
    def teacher(self) -> Other | None:
        """Who is asked in the loss itself."""
        return self.helper if self.task.taught else None

    @cached_property
    def helper(self) -> Other | None:
        """Another model that is reference or teacher."""
        return self._other(self.task.helper, self.task, None, self.half) if self.task.helper else None

    @cached_property
    def start(self) -> Other | None:
        """The model that the run begins with, opened anew to be the reference of what is drawn."""
        task = self.task
        asks = isinstance(task, Sampling) and "reference" in task.asks and not task.helper
        if not (asks and self.recipe.start_from):
            return None
        # All of a model trains in float32, and so it is asked.
        half = None if self.method.layout == "pretrained" else self.half
        return self._other(self.recipe.model, task, self.method, half)

    @cached_property
    def raters(self) -> list[Other]:
        """Those that say what answers are worth."""
        asked = self.task.raters() if isinstance(self.task, Sampling) else []
        return [self._other(one.ref, one.task, one.method, one.half, known=one) for one in asked]

    @property
    def half(self) -> Half | None:
        """What the run computes in."""
        return self.recipe.train.half

    def _other(
        self,
        ref: str,
        task: Task,
        method: Method | None,
        half: Half | None,
        *,
        known: AskedModel | None = None,
    ) -> Other:
        from weitiao.forecast import fake_model
        from weitiao.models import load, store

        bare = load.skeleton(ref, task)
        whole = opening.size(bare.model)
        if method:
            store.prepare(bare, method, seed=0)
        bare.model.requires_grad_(False)
        device = next(self.fake.loaded.model.parameters()).device.type
        fake = fake_model.fill(bare, task, method, half=half, device=device, mode=self.fake.mode)
        return Other(fake, task, half, sum(opening.held(bare, method, half, whole=whole)), known)
