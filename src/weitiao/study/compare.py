"""Several methods on the same rows with the same budget: which is best, and what does each cost?

    compare("recipe.yaml", methods=["full", "lora", "lora:r=4"])  ->  Comparison

    output_dir/  comparison.json  comparison.html  full/  lora/  lora-r=4/      (each an ordinary run folder)

Every method is trained in a process of its own: its peak memory is its own, and however it ends, the others go on.
Table and page are made from the run folders, after every method anew.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Task
from weitiao.core.display import Sheet, Shown, either
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.figures import figure
from weitiao.core.files import write_json, write_text
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder, differences, held
from weitiao.data import check as checking
from weitiao.data import split as splitting
from weitiao.stages.data import located
from weitiao.stages.events import Tell, listening
from weitiao.stages.run import Run, load
from weitiao.study.child_process import Outcome, Relay, train_apart
from weitiao.study.methods_asked import Entrant, asked_for, check, entrants

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress

FILE, PAGE = "comparison.json", "comparison.html"
DONE = ("judged", "failed")


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """A comparison's folder and what can be done with it."""

    path: Path

    @property
    def results(self) -> dict[str, Any]:
        """`comparison.json`: a row a method, what they have in common, and a sentence."""
        return RunFolder(self.path).json(FILE)

    def sheet(self) -> Sheet:
        """The methods and their scores."""
        found = self.results
        rows = [
            [row["label"], figure(row["score"]) if row["state"] == "judged" else row["state"]]
            for row in found.get("methods", ())
        ]
        title = f"Comparison {self.path}: " + ", ".join(" ".join(row) for row in rows)
        return Sheet(title, [either("method", "方法"), str(found.get("metric", ""))], rows)

    @property
    def page(self) -> Path:
        """The page."""
        return self.path / PAGE

    @property
    def failed(self) -> list[str]:
        """Labels of the methods that have failed."""
        return [row["label"] for row in self.results["methods"] if row["state"] == "failed"]

    def run(self, label: str) -> Run:
        """The run of that method.

        Raises:
            WeitiaoError: `no_run` when it has not begun, or there is no such method.
        """
        folders = {row["label"]: row["folder"] for row in self.results["methods"]}
        return load(self.path / folders.get(label, label))


def compare(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    methods: Iterable[str | Mapping[str, Any]] = (),
    overrides: Iterable[str] = (),
    resume: bool = False,
    tell: Tell | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Train each method on the same splits with the same budget, judge all of them on the same test rows.

    Args:
        recipe: a YAML file, a mapping or a `Recipe`; its own `method` is not looked at.
        methods: names (`"lora"`), names with settings (`"lora:r=4"`), or mappings (`{"name": "lora", "r": 4}`);
            the others are compared with the first.
        overrides: `key=value` words on top, such as `"train.num_train_epochs=1"`; `"method=full,lora"` adds methods.
        resume: go on with the comparison in `output_dir`: what is judged stays, what was interrupted goes on, what
            failed is tried anew, and methods that are new are added.
        tell: hears what happens.
        progress: hears (bytes, all bytes) while an embedded model is fetched.  Without `tell` and `progress` bars and
            lines on standard error say how it goes.

    Returns:
        The comparison; methods that failed are named in `failed`, with the reason in `results`.

    Raises:
        WeitiaoError: whatever is wrong for all, before the first training; `comparison_exists`, `other_recipe`,
            `comparison_stopped` after SIGINT or SIGTERM.
    """
    words, rest = asked_for(overrides)
    asked = Recipe.read(recipe.model_dump() if isinstance(recipe, Recipe) else recipe, rest)
    folder = RunFolder(Path(asked.output_dir))
    rows = folder.json(FILE).get("methods", []) if resume else []
    found = entrants([*methods, *words], before=[row["asked"] for row in rows])
    with ExitStack() as held_open:
        tell, progress, _ = held_open.enter_context(listening(tell, progress))
        tell("asked", recipe=asked)
        check(asked, found, progress=progress)
        held_open.enter_context(_claimed(folder, asked, resume=resume))
        task = registry.build("task", asked.task)
        splits = _look(asked, task, progress=progress)
        book = Book(folder, asked, task, [_entry(folder, one, rows) for one in found])
        book.write()
        tell("comparing", methods=[one.label for one in found], splits=splits)
        with Relay() as relay:
            for place, one in enumerate(found):
                if relay.caught:
                    break
                kept = _judged(folder, one)
                if not kept:
                    tell("entrant", label=one.label, place=place + 1, all=len(found))
                    book.note(place, _train(folder, asked, one, book.entries[place], relay=relay, tell=tell))
                tell("compared", row=book.results["methods"][place], metric=task.primary, kept=kept)
        if relay.caught and any(row["state"] not in DONE for row in book.results["methods"]):
            raise _stopped(folder, found, signal.Signals(relay.caught))
    return Comparison(folder.path)


@contextmanager
def _claimed(folder: RunFolder, asked: Recipe, *, resume: bool) -> Iterator[None]:
    """The comparison's folder, held by this process alone; an older comparison is gone on with or left alone."""
    with held(folder.path):
        before = folder.json(FILE)
        if before and not resume:
            done = sum(row["state"] == "judged" for row in before["methods"])
            raise fault("comparison_exists", path=folder.path, done=done, count=len(before["methods"]))
        changed = list(differences(before["recipe"], _common(asked))) if before else []
        if changed:
            raise fault("other_recipe", path=folder.path, changes="\n".join(f"  {line}" for line in changed))
        strangers = [] if before else [p.name for p in folder.path.iterdir() if not p.name.startswith(".")]
        if strangers:
            raise fault("folder_not_empty", path=folder.path, files=", ".join(sorted(strangers)[:5]))
        yield


def _common(asked: Recipe) -> dict[str, Any]:
    """What all methods share: the recipe less its method."""
    return {key: value for key, value in asked.model_dump(mode="json").items() if key != "method"}


def _look(asked: Recipe, task: Task, *, progress: Progress | None) -> dict[str, int]:
    """Rows that cannot be used would stop every method alike: here they stop all, once.

    Returns:
        Rows of each side.

    Raises:
        WeitiaoError: what reading, checking, splitting and fetching raise; `no_test_rows`.
    """
    data = located(asked.data, progress=progress)
    checked = checking.check(data, task.shape, seed=asked.seed)
    task.learn(checked.rows)
    splits = {name: len(rows) for name, rows in splitting.split(checked, data, seed=asked.seed).items()}
    if not splits["test"]:
        raise fault("no_test_rows", share=asked.data.split.test)
    return splits


def _judged(folder: RunFolder, one: Entrant) -> bool:
    run = RunFolder(folder.path / one.folder)
    return run.finished and run.state == "judged"


def _entry(folder: RunFolder, one: Entrant, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What no run folder knows of a method, from the comparison that is gone on with if it was in that."""
    row = next((row for row in rows if row["label"] == one.label), {})
    return {
        "label": one.label,
        "folder": one.folder,
        "asked": one.settings,
        "method": one.resolved,
        # Whoever was judged since (by `weitiao evaluate`) has not failed any more.
        "failure": None if _judged(folder, one) else row.get("failure"),
        "goes_on": row.get("goes_on", True),
        "seconds": row["seconds"]["whole"] if row else None,
    }


@dataclass
class Book:
    """The comparison as it stands; written whole after every method, so that a crash loses none."""

    folder: RunFolder
    asked: Recipe
    task: Task
    entries: list[dict[str, Any]]
    results: dict[str, Any] = field(default_factory=dict)

    def note(self, place: int, outcome: Outcome) -> None:
        """How an attempt ended."""
        entry = self.entries[place]
        seconds = (entry["seconds"] or 0.0) + outcome.seconds
        self.entries[place] = entry | {
            "failure": outcome.failure,
            "goes_on": outcome.goes_on,
            "seconds": seconds,
        }
        self.write()

    def write(self) -> None:
        """`comparison.json` and the page."""
        from weitiao.study.page import comparison_page
        from weitiao.study.table import gather

        path = self.folder.path
        self.results = gather(path, self.entries, recipe=_common(self.asked), task=self.task)
        write_json(path / FILE, self.results)
        write_text(path / PAGE, comparison_page(self.results))


def _train(
    folder: RunFolder, asked: Recipe, one: Entrant, entry: Mapping[str, Any], *, relay: Relay, tell: Tell
) -> Outcome:
    """One attempt: from where an earlier one stopped, or anew where that one failed by itself."""
    run = RunFolder(folder.path / one.folder)
    if entry["failure"] and not entry["goes_on"] and not run.finished and run.path.exists():
        shutil.rmtree(run.path)
    if not run.begun:
        write_text(run.path / "recipe.yaml", one.recipe(asked).to_yaml())

    def heard(fact: Mapping[str, Any]) -> None:
        settings = asked.train
        done = max(fact["epoch"] / settings.num_train_epochs, fact["step"] / (settings.max_steps or 1e12))
        tell("step", label=one.label, done=min(done, 1.0), loss=fact["loss"])

    outcome = train_apart(run.path / "recipe.yaml", label=one.label, relay=relay, heard=heard)
    # Whoever was asked to stop has not failed.
    return replace(outcome, failure=None, goes_on=True) if relay.caught else outcome


def _stopped(folder: RunFolder, found: Sequence[Entrant], number: signal.Signals) -> WeitiaoError:
    done = sum(_judged(folder, one) for one in found)
    error = fault("comparison_stopped", signal=number.name, done=done, count=len(found), path=folder.path)
    error.exit_code = 128 + number
    return error
