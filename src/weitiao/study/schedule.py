"""Runs of one study, one after another, each in a process of its own; what it stands on lies in their folders.

    with claimed(kind, folder, common, resume=False) as rows:
        book = Book(kind, folder, parts, rows, gather=..., page=...)
        book.go(tell)

    output_dir/  comparison.json  comparison.html  full/  lora/      (each an ordinary run folder)

However a run ends, the others go on.  The study's JSON and page are made from the run folders, after every run anew, so
that a crash loses none; gone on with, it keeps what is judged, goes on with what was interrupted, and tries anew what
failed.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from weitiao.core.display import Shown
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import write_json, write_text
from weitiao.core.recipe import Recipe, completed
from weitiao.core.run import RunFolder, differences, held
from weitiao.stages.dealt import hand_on
from weitiao.stages.events import Tell
from weitiao.study.child_process import Outcome, Relay, train_apart
from weitiao.study.fork_server import ForkServer

DONE = ("judged", "failed")

Gather = Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]
"""Entries in, the content of the study's JSON out."""


@dataclass(frozen=True)
class Kind:
    """What studies of one kind call their files, and say of them."""

    file: str
    page: str
    parts: str
    """The key of the JSON that holds a row for every run."""
    exists: str
    """Code of the error for a folder that holds one already."""
    stopped: str
    """Code of the error after a signal."""


@dataclass(frozen=True, repr=False)
class Study(Shown):
    """A study's folder and what can be done with it."""

    kind: ClassVar[Kind]
    path: Path

    @property
    def results(self) -> dict[str, Any]:
        """Its JSON: a row a run, what they have in common, and a sentence."""
        return RunFolder(self.path).json(self.kind.file)

    @property
    def page(self) -> Path:
        """The page."""
        return self.path / self.kind.page

    @property
    def failed(self) -> list[str]:
        """Labels of the runs that have failed."""
        return [row["label"] for row in self.results[self.kind.parts] if row["state"] == "failed"]


@dataclass(frozen=True)
class Part:
    """One run of a study."""

    label: str
    """What it is called in the table."""
    folder: str
    """Its run folder, below the study's."""
    recipe: Recipe
    """Into that folder."""
    facts: Mapping[str, Any]
    """What its row says besides."""
    rows_of: RunFolder | None = None
    """A run on whose rows it is made; None: its own files are read."""
    share: float = 1.0
    """Of the training rows of that run."""


@contextmanager
def claimed(
    kind: Kind, folder: RunFolder, common: Mapping[str, Any], *, resume: bool
) -> Iterator[list[dict[str, Any]]]:
    """The study's folder, held by this process alone, and the rows of an older one that is gone on with.

    Args:
        kind: of the study.
        folder: its own.
        common: what all of its runs are asked; `recipe` in its JSON.
        resume: go on with what is there, or leave it alone.

    Raises:
        WeitiaoError: that of `kind.exists`, `other_study`, `run_for_study`, `folder_not_empty`; what `held` raises.
    """
    with held(folder.path):
        before = folder.json(kind.file)
        rows: list[dict[str, Any]] = before.get(kind.parts, [])
        if before and not resume:
            done = sum(row["state"] in ("judged", "complete") for row in rows)
            raise fault(kind.exists, path=folder.path, done=done, count=len(rows))
        changed = list(differences(completed(before["recipe"]), completed(common))) if before else []
        if changed:
            raise fault("other_study", path=folder.path, changes="\n".join(f"  {line}" for line in changed))
        if not before and folder.begun:
            study = Path(kind.file).stem
            raise fault("run_for_study", path=folder.path, state=folder.state, study=study)
        strangers = [] if before else [p.name for p in folder.path.iterdir() if not p.name.startswith(".")]
        if strangers:
            raise fault("folder_not_empty", path=folder.path, files=", ".join(sorted(strangers)[:5]))
        yield rows


@dataclass
class Book:
    """A study as it stands."""

    kind: Kind
    folder: RunFolder
    parts: Sequence[Part]
    before: Sequence[Mapping[str, Any]]
    """Rows of the study that is gone on with."""
    gather: Gather
    draw: Callable[[Mapping[str, Any]], str]
    """The JSON in, the page out."""
    entries: list[dict[str, Any]] = field(init=False)
    results: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.entries = [self._entry(part) for part in self.parts]

    def go(self, tell: Tell) -> None:
        """Train what is not judged, in order.

        Raises:
            WeitiaoError: that of `kind.stopped` after SIGINT or SIGTERM, if something was left to do.
        """
        rows = self.kind.parts
        with ForkServer() as server, Relay(server.start) as relay:
            for place, part in enumerate(self.parts):
                if relay.caught:
                    break
                kept = judged(self.folder, part)
                if not kept:
                    tell("entrant", label=part.label, place=place + 1, all=len(self.parts))
                    self._note(place, self._train(part, self.entries[place], relay=relay, tell=tell))
                tell("compared", row=self.results[rows][place], metric=self.results["metric"], kept=kept)
        if relay.caught and any(row["state"] not in DONE for row in self.results[rows]):
            raise self._stopped(signal.Signals(relay.caught))

    def write(self) -> None:
        """The study's JSON and its page."""
        self.results = self.gather(self.entries)
        write_json(self.folder.path / self.kind.file, self.results)
        write_text(self.folder.path / self.kind.page, self.draw(self.results))

    def _entry(self, part: Part) -> dict[str, Any]:
        """What no run folder knows of a run, from the study that is gone on with if it was in that."""
        row = next((row for row in self.before if row["label"] == part.label), {})
        return {
            "label": part.label,
            "folder": part.folder,
            **part.facts,
            # Whoever was judged since (by `weitiao evaluate`) has not failed any more.
            "failure": None if judged(self.folder, part) else row.get("failure"),
            "goes_on": row.get("goes_on", True),
            "seconds": row["seconds"]["whole"] if row else None,
        }

    def _note(self, place: int, outcome: Outcome) -> None:
        entry = self.entries[place]
        seconds = (entry["seconds"] or 0.0) + outcome.seconds
        ended = {"failure": outcome.failure, "goes_on": outcome.goes_on, "seconds": seconds}
        self.entries[place] = entry | ended
        self.write()

    def _train(self, part: Part, entry: Mapping[str, Any], *, relay: Relay, tell: Tell) -> Outcome:
        """One attempt: from where an earlier one stopped, or anew where that one failed by itself."""
        run = RunFolder(self.folder.path / part.folder)
        if entry["failure"] and not entry["goes_on"] and not run.finished and run.path.exists():
            shutil.rmtree(run.path)
        if not run.begun:
            write_text(run.path / "recipe.yaml", part.recipe.to_yaml())
            if part.rows_of:
                hand_on(part.rows_of, run, part.recipe, share=part.share)

        def heard(fact: Mapping[str, Any]) -> None:
            settings = part.recipe.train
            done = max(fact["epoch"] / settings.num_train_epochs, fact["step"] / (settings.max_steps or 1e12))
            tell("step", label=part.label, done=min(done, 1.0), loss=fact["loss"])

        outcome = train_apart(run.path / "recipe.yaml", label=part.label, relay=relay, heard=heard)
        # Whoever was asked to stop has not failed.
        return replace(outcome, failure=None, goes_on=True) if relay.caught else outcome

    def _stopped(self, number: signal.Signals) -> WeitiaoError:
        done = sum(judged(self.folder, part) for part in self.parts)
        path, count = self.folder.path, len(self.parts)
        error = fault(self.kind.stopped, path=path, done=done, count=count, signal=number.name)
        error.exit_code = 128 + number
        return error


def judged(folder: RunFolder, part: Part) -> bool:
    """Has that run of the study been judged?"""
    run = RunFolder(folder.path / part.folder)
    return run.finished and run.state == "judged"
