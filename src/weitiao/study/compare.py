"""Several methods on the same rows with the same budget: which is best, and what does each cost?

    compare("recipe.yaml", methods=["full", "lora", "lora:r=4"])  ->  Comparison

    output_dir/  comparison.json  comparison.html  full/  lora/  lora-r=4/      (each an ordinary run folder)

Every method is trained in a process of its own: its peak memory is its own, and however it ends, the others go on.
Table and page are made from the run folders, after every method anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Task
from weitiao.core.display import Sheet, either
from weitiao.core.errors import fault
from weitiao.core.figures import figure
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.data import check as checking
from weitiao.data import split as splitting
from weitiao.stages.data import located
from weitiao.stages.dealt import from_folder
from weitiao.stages.events import Tell, listening
from weitiao.stages.run import Run
from weitiao.stages.runs import load
from weitiao.study.methods_asked import asked_for, check, entrants
from weitiao.study.schedule import Book, Kind, Part, Study, claimed

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress

KIND = Kind(
    file="comparison.json",
    page="comparison.html",
    parts="methods",
    exists="comparison_exists",
    stopped="comparison_stopped",
)


@dataclass(frozen=True, repr=False)
class Comparison(Study):
    """A comparison's folder and what can be done with it."""

    kind = KIND

    def sheet(self) -> Sheet:
        """The methods and their scores."""
        found = self.results
        rows = [
            [row["label"], figure(row["score"]) if row["state"] == "judged" else row["state"]]
            for row in found.get("methods", ())
        ]
        title = f"Comparison {self.path}: " + ", ".join(" ".join(row) for row in rows)
        return Sheet(title, [either("method", "方法"), str(found.get("metric", ""))], rows)

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
        progress: hears (bytes, all bytes) of what is fetched.  Without both, standard error says how it goes.

    Returns:
        The comparison; methods that failed are named in `failed`, with the reason in `results`.

    Raises:
        WeitiaoError: whatever is wrong for all, before the first training; `comparison_exists`, `other_study`,
            `comparison_stopped` after SIGINT or SIGTERM.
    """
    words, rest = asked_for(overrides)
    # Pages are drawn with what takes a moment to import.
    from weitiao.study.methods_page import comparison_page
    from weitiao.study.table import gather

    asked = Recipe.read(recipe.model_dump() if isinstance(recipe, Recipe) else recipe, rest)
    folder = RunFolder(Path(asked.output_dir))
    before = folder.json(KIND.file).get(KIND.parts, []) if resume else []
    found = entrants([*methods, *words], before=[row["asked"] for row in before])
    with ExitStack() as held_open:
        tell, progress, _ = held_open.enter_context(listening(tell, progress))
        tell("asked", recipe=asked)
        check(asked, found, progress=progress)
        common = _common(asked)
        rows = held_open.enter_context(claimed(KIND, folder, common, resume=resume))
        task = registry.build("task", asked.task)
        runs = [RunFolder(folder.path / one.folder) for one in found]
        known = next(((run, dealt) for run in runs if (dealt := _kept(run, tell))), None)
        splits = known[1] if known else _look(asked, task, progress=progress)
        # Whoever has not begun gets the rows of those that have, whatever became of the files.
        same = known[0] if known else None
        parts = [
            Part(one.label, one.folder, one.recipe(asked), facts, rows_of=same)
            for one in found
            for facts in [{"asked": one.settings, "method": one.resolved}]
        ]
        made = partial(gather, folder.path, recipe=common, task=task)
        book = Book(KIND, folder, parts, rows, made, comparison_page)
        book.write()
        tell("comparing", methods=[one.label for one in found], splits=splits)
        book.go(tell)
    return Comparison(folder.path)


def _common(asked: Recipe) -> dict[str, Any]:
    """What all methods share: the recipe less its method."""
    return {key: value for key, value in asked.model_dump(mode="json").items() if key != "method"}


def _kept(run: RunFolder, tell: Tell) -> dict[str, int] | None:
    """Rows of each side that a run keeps; None where it has not begun."""
    dealt = from_folder(run, run.recipe, tell=tell) if run.begun else None
    return {side: len(rows) for side, rows in dealt.splits.items()} if dealt else None


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
