"""Runs by the names under which they are asked.

held = Models();  held.add("runs/reviews");  held["reviews"].run

Adapters of one base share it: it is in memory once, and the one that is asked is switched on.
"""

from __future__ import annotations

import gc
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Example, Record
from weitiao.core.errors import WeitiaoError, did_you_mean, fault
from weitiao.serve.graph import Graph, Read, opened, plainly
from weitiao.stages.adapters import Adapters
from weitiao.stages.run import Run
from weitiao.stages.runs import load

if TYPE_CHECKING:
    from weitiao.models.decoding import Way
    from weitiao.stages.speaker import Speaker

NAME = re.compile(r"[\w.:/-]{1,200}")
"""What a model may be called: it stands in addresses and in the names of counters."""


@dataclass(eq=False)
class Model:
    """A run that is asked."""

    name: str
    run: Run
    since: int
    """When it was loaded, in seconds of Unix time."""
    content: str
    """A print of its weights: two that say the same under other names have the same."""
    shared: Adapters | None = None
    """Whose base it shares; None: it has one of its own."""
    graph: Graph | None = None
    """What answers in place of its model, where that has left in another form."""
    came_later: bool = False
    """Was it loaded while others were asked already?"""
    held: int = 0
    """So many are about to ask it, and must find it."""
    _tokens: Any = None

    @property
    def key(self) -> str:
        """Under which its adapter lies on the base: another one may come under its name."""
        return f"{self.name} {self.content}"

    @property
    def half(self) -> Any:
        """What products are computed in."""
        return self.run.recipe.train.half

    def read(self, records: Sequence[Record]) -> Sequence[Example | Read]:
        """Rows as it reads them; to be asked for while it is in use."""
        if self.graph is not None:
            return self.graph.read(records)
        return [example for _, example in self.run.read(records)]

    def told(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """What it says of rows that it has read; to be asked for while it is in use."""
        return self.graph.told(rows) if self.graph is not None else self.run.alone(rows, None)

    @cached_property
    def talks(self) -> bool:
        """Does it go on from what it reads, token by token?  One that writes on another side (T5) does not."""
        if not self.run.task.generates:
            return False
        from weitiao.models import two_sides

        return not two_sides.writes(self.run.tuned.model)

    @cached_property
    def speaker(self) -> Speaker:
        """Whoever answers in words; to be asked for first while it is in use."""
        return self.run.speaker

    def tokens(self, stops: frozenset[int]) -> Any:
        """Its words, for answers that have a form; to be asked for first while it is in use."""
        if self._tokens is None:
            from weitiao.models.decoding.grammar import tokens_of

            self._tokens = tokens_of(self.speaker.loaded.processor, stops)
        return self._tokens

    @cached_property
    def way(self) -> Way:
        """Which answers it can make together, as it is measured; to be asked for first while it is in use."""
        from weitiao.models.decoding import measure

        speaker = self.speaker
        return measure(speaker.loaded.model, speaker.loaded.processor, longest=speaker.limit)

    def switch(self) -> Run:
        """The run with its own adapter on."""
        if self.shared is not None and self.shared.active != (self.key,):
            self.shared.use(self.key)
        self.run.tuned.model.eval()
        return self.run

    @contextmanager
    def in_use(self) -> Iterator[Run]:
        """The run with its own adapter switched on, ready to be asked."""
        if self.graph is not None:
            yield self.run
            return
        import torch

        from weitiao.models.precision import autocast

        self.switch()
        with torch.inference_mode(), autocast(self.run.device, self.half):
            yield self.run


class Models:
    """All that can be asked, by name, in the order in which they came."""

    def __init__(self, backend: str = "torch") -> None:
        self.backend = backend
        self._held: dict[str, Model] = {}
        self._homes: dict[str, Path] = {}
        self._bases: dict[tuple[Any, ...], Adapters] = {}

    def __iter__(self) -> Iterator[Model]:
        return iter(list(self._held.values()))

    def __len__(self) -> int:
        return len(self._held)

    def home(self, content: str) -> Path | None:
        """The run folder of a model, also of one that was dropped; None where there was no such model."""
        return self._homes.get(content)

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

    def add(
        self,
        ref: str | Path,
        *,
        now: int,
        name: str = "",
        base: str | Path = "",
        came_later: bool = False,
        instead: bool = False,
        lone: bool = False,
    ) -> Model:
        """Load a run, onto a base that is there if it was tuned on it.

        Args:
            ref: a run folder, or a form of its model in there.
            now: seconds of Unix time.
            name: default: that of the folder.
            base: where its base lies now.
            came_later: is it loaded while others are asked?
            instead: may there be one of this name?  It is found no more, and to be dropped.
            lone: will no other ever share its base?  What can be is folded into that, then.

        Raises:
            WeitiaoError: `name_taken`; what loading raises.
        """
        run = load(ref, base=base)
        run = replace(run, folder=plainly(run.folder) if self.backend != "torch" else run.folder.as_it_is())
        name = name or (f"{run.path.name}/{run.variant}" if run.variant else run.path.name)
        if (name in self._held and not instead) or not NAME.fullmatch(name):
            raise fault("name_taken", name=name, path=ref)
        graph = None if self.backend == "torch" else opened(run, self.backend)
        content = graph.content if graph else _content(run)
        model = Model(name, run, now, content, graph=graph, came_later=came_later)
        if (there := self._held.get(name)) is not None and there.content == model.content:
            return there
        base_of = None if graph else _base_of(run)
        if base_of is not None and lone and _folds(run):
            run.tuned.model = run.method.fold(run.tuned.model)
        elif base_of is not None:
            shared = self._bases.get(base_of) or Adapters()
            try:
                shared.add(run, name=model.key)
                model.run, model.shared = shared.run(model.key), shared
                self._bases[base_of] = shared
            except WeitiaoError as error:
                # It cannot share a base, as a method that rewrites it: it gets its own.
                if error.code not in ("wrong_base", "wrong_usage"):
                    raise
        # Loaded and measured now: a fault of its files is said before anybody asks, and nobody waits for it.
        with model.in_use():
            if model.talks:
                model.way  # noqa: B018
                gc.collect()  # a million small objects that measuring leaves, and that would stay with all that is loaded
        self._homes[model.content] = run.path
        self._held[name] = model
        return model

    def hide(self, name: str) -> Model:
        """A model that is found no more; who has found it already still asks it.

        Raises:
            WeitiaoError: `unknown_name`.
        """
        model = self.get(name)
        del self._held[name]
        return model

    def drop(self, model: Model) -> None:
        """Take one that nobody asks any more off its base."""
        if model.shared is not None:
            model.shared.remove(model.key)
            self._bases = {key: held for key, held in self._bases.items() if held.names}


def _content(run: Run) -> str:
    from weitiao.models.cards import print_of

    told = f"{print_of(run.folder.model)} {run.variant}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _folds(run: Run) -> bool:
    """Does it say the same when it is folded?  In half precision sums are rounded otherwise; 4 bits would be unpacked."""
    return run.method.foldable and not run.recipe.train.half and run.method.base_bits >= 16


def _base_of(run: Run) -> tuple[Any, ...] | None:
    """What runs that can share a base have in common; None for a run that holds a whole model."""
    from weitiao.models.cards import read_card

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
