"""Runs by the names under which they are asked.

held = Models();  held.add("runs/reviews");  held["reviews"].run

Adapters of one base share it: it is in memory once, and the one that is asked is switched on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.errors import WeitiaoError, did_you_mean, fault
from weitiao.stages.adapters import Adapters
from weitiao.stages.run import Run
from weitiao.stages.runs import load

if TYPE_CHECKING:
    from weitiao.models.decoding import Way
    from weitiao.stages.speaker import Speaker

NAME = re.compile(r"[\w.:/-]{1,100}")
"""What a model may be called: it stands in addresses and in the names of counters."""


@dataclass(eq=False)
class Model:
    """A run that is asked."""

    name: str
    run: Run
    since: int
    """When it was loaded, in seconds of Unix time."""
    shared: Adapters | None = None
    """Whose base it shares; None: it has one of its own."""

    @property
    def half(self) -> Any:
        """What products are computed in."""
        return self.run.recipe.train.half

    @cached_property
    def talks(self) -> bool:
        """Does it go on from what it reads, token by token?  One that writes on another side (T5) does not."""
        from weitiao.models import two_sides

        return self.run.task.generates and not two_sides.writes(self.run.tuned.model)

    @cached_property
    def speaker(self) -> Speaker:
        """Whoever answers in words; to be asked for first while it is in use."""
        return self.run.speaker

    @cached_property
    def way(self) -> Way:
        """Which answers it can make together, as it is measured; to be asked for first while it is in use."""
        from weitiao.models.decoding import measure

        speaker = self.speaker
        return measure(speaker.loaded.model, speaker.loaded.processor, longest=speaker.limit)

    @contextmanager
    def in_use(self) -> Iterator[Run]:
        """The run with its own adapter switched on, ready to be asked."""
        import torch

        from weitiao.models.precision import autocast

        if self.shared is not None and self.shared.active != (self.name,):
            self.shared.use(self.name)
        self.run.tuned.model.eval()
        with torch.inference_mode(), autocast(self.run.device, self.half):
            yield self.run


class Models:
    """All that can be asked, by name, in the order in which they came."""

    def __init__(self) -> None:
        self._held: dict[str, Model] = {}
        self._bases: dict[tuple[Any, ...], Adapters] = {}

    def __iter__(self) -> Iterator[Model]:
        return iter(list(self._held.values()))

    def __len__(self) -> int:
        return len(self._held)

    def home(self, name: str) -> Path | None:
        """The run folder of a model; None where there is no such model."""
        return self._held[name].run.path if name in self._held else None

    def get(self, name: str) -> Model:
        """The model of that name.

        Raises:
            WeitiaoError: `unknown_name`, with the nearest one.
        """
        if name not in self._held:
            known = ", ".join(self._held) or "-"
            raise fault(
                "unknown_name", shelf="model", name=name, hint=did_you_mean(name, self._held), known=known
            )
        return self._held[name]

    def add(self, ref: str | Path, *, now: int, name: str = "", base: str | Path = "") -> Model:
        """Load a run, onto a base that is there if it was tuned on it.

        Args:
            ref: a run folder, or a form of its model in there.
            now: seconds of Unix time.
            name: default: that of the folder.
            base: where its base lies now.

        Raises:
            WeitiaoError: `name_taken`; what loading raises.
        """
        run = load(ref, base=base)
        run = replace(run, folder=run.folder.as_it_is())
        name = name or (f"{run.path.name}/{run.variant}" if run.variant else run.path.name)
        if name in self._held or not NAME.fullmatch(name):
            raise fault("name_taken", name=name, path=ref)
        shared, base_of = None, _base_of(run)
        if base_of is not None:
            shared = self._bases.get(base_of) or Adapters()
            try:
                shared.add(run, name=name)
                run = shared.run(name)
                self._bases[base_of] = shared
            except WeitiaoError as error:
                # It cannot share a base, as a method that rewrites it: it gets its own.
                if error.code not in ("wrong_base", "wrong_usage"):
                    raise
                shared = None
        model = Model(name, run, now, shared)
        # Loaded and measured now: a fault of its files is said before anybody asks, and nobody waits for it.
        with model.in_use():
            if model.talks:
                model.way  # noqa: B018
        self._held[name] = model
        return model

    def remove(self, name: str) -> None:
        """Let a model go.

        Raises:
            WeitiaoError: `unknown_name`.
        """
        model = self.get(name)
        if model.shared is not None:
            model.shared.remove(name)
            self._bases = {key: held for key, held in self._bases.items() if held.names}
        del self._held[name]


def _base_of(run: Run) -> tuple[Any, ...] | None:
    """What runs that can share a base have in common; None for a run that holds a whole model."""
    from weitiao.models.store import read_card

    if run.variant or run.method.layout == "pretrained":
        return None
    card = read_card(run.folder.model)
    recipe = run.recipe
    return (
        card["base"]["fingerprint"],
        run.task.auto_class,
        run.method.base_bits,
        recipe.train.half,
        recipe.data.max_length,
    )
