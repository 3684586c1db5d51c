"""The tuned models of several runs on one base, held in memory once.

held = wt.adapters("runs/reviews", "runs/topics")
held.use("topics");  held.predict(["A text."])        switch
held.use("reviews", "topics")                         stack; the head is the last one's
held.use()                                            all off: the base as it was
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.errors import fault
from weitiao.core.why import because
from weitiao.stages.for_use import for_use
from weitiao.stages.run import Run
from weitiao.stages.runs import load

if TYPE_CHECKING:
    from weitiao.models import adapters as shelf


class Adapters:
    """Adapters of one base by the names of their run folders."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._held: shelf.Adapters | None = None

    @property
    def names(self) -> list[str]:
        """All that are held, in the order in which they were added."""
        return list(self._runs)

    @property
    def active(self) -> tuple[str, ...]:
        """Those in use, from the base outwards."""
        return self._held.active if self._held else ()

    def run(self, name: str) -> Run:
        """One of them as a run, whose model is its own while it is in use.

        Raises:
            WeitiaoError: `unknown_name`.
        """
        self._some.refuse_unknown(name)
        return self._runs[name]

    def add(self, run: str | Path | Run, *, name: str = "") -> str:
        """Put a run's adapter onto the base, turned off; the first one brings the base.  Returns its name.

        Raises:
            WeitiaoError: `wrong_base` when it was tuned on another base; `wrong_usage` when it holds a whole model,
                its name is taken, or it needs the base in another form; `broken_model`; `no_run`.
        """
        from weitiao.models.adapters import Adapters as Shelf
        from weitiao.models.cards import read_card
        from weitiao.models.load import pick_device
        from weitiao.models.store import open_base

        # A run of our own: the caller's goes on answering as it does.
        run = Run(run.folder, base=run.base) if isinstance(run, Run) else load(run)
        name = name or run.path.name
        first = next(iter(self._runs.values()), run)
        for kind, theirs, ours in (
            ("other_kind_of_model", run.task.auto_class, first.task.auto_class),
            ("other_bits", run.method.base_bits, first.method.base_bits),
        ):
            if theirs != ours:
                other = because(kind, path=run.path, theirs=theirs, first=first.path, ours=ours)
                raise fault("wrong_usage", **other)
        if self._held is None:
            device = pick_device()
            half, bits = run.recipe.train.half, run.method.base_bits
            base = open_base(run.where_base_lies(), run.task, half=half, device=device, bits=bits)
            known = read_card(run.folder.model)["base"]["fingerprint"]
            self._held = Shelf(for_use(base, half=half), known=known)
            self._device = device
        try:
            self._held.add(name, run.folder.model, run.method)
        except BaseException:  # Ctrl-C too: a base without an adapter would be held for nothing
            if not self._runs:
                self._held = None
            raise
        run.device = self._device
        run.__dict__["tuned"] = self._held.loaded
        self._runs[name] = run
        return name

    def use(self, *names: str) -> Adapters:
        """Turn these on and all others off.  Returns itself, so that `held.use("a").predict(...)` reads well.

        Raises:
            WeitiaoError: `unknown_name`; `wrong_usage` when a method works only alone.
        """
        held = self._some
        held.use(*names)
        for run in self._runs.values():
            run.positions = sum(self._runs[name].method.positions for name in names)
        return self

    def remove(self, name: str) -> None:
        """Take an adapter off the base.

        Raises:
            WeitiaoError: `unknown_name`.
        """
        self._some.remove(name)
        del self._runs[name]

    def predict(self, texts: Any, **options: Any) -> list[dict[str, Any]]:
        """What the adapter in use says of texts or rows (`Run.predict`); of several, the last one's labels.

        Raises:
            WeitiaoError: `wrong_usage` when none is in use: the base has no labels.
        """
        return self._last.predict(texts, **options)

    def answer(self, messages: Sequence[Mapping[str, str]], **options: Any) -> str:
        """The next turn (`Run.answer`); with none in use, the base's."""
        held = self._some
        run = self._last if held.active else next(iter(self._runs.values()))
        return run.answer(messages, **options)

    @property
    def _some(self) -> shelf.Adapters:
        if self._held is None:
            raise fault("wrong_usage", **because("no_adapter_held"))
        return self._held

    @property
    def _last(self) -> Run:
        if not self._some.active:
            raise fault("wrong_usage", **because("no_adapter_used", known=", ".join(self.names)))
        return self._runs[self.active[-1]]


def adapters(*runs: str | Path | Run) -> Adapters:
    """The adapters of some runs on their common base; the first one is in use.

    Raises:
        WeitiaoError: as `Adapters.add`.
    """
    held = Adapters()
    names = [held.add(run) for run in runs]
    return held.use(*names[:1]) if names else held
