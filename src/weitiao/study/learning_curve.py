"""Is more data worth it?  A finished run trained again on shares of its training rows.

    learning_curve("runs/reviews")  ->  LearningCurve

    runs/reviews/learning-curve/  learning-curve.json  learning-curve.html  share-0.125/  share-0.25/  share-0.5/

Each is the run's recipe with `data.split.train_share`, an ordinary run folder; the run itself is the last point and is not
trained again.  Shares are nested, validation and test rows are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from weitiao.core import registry
from weitiao.core.display import Sheet, either
from weitiao.core.errors import fault
from weitiao.core.figures import figure
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.stages.beside import Beside
from weitiao.stages.dealt import from_files, from_folder, shared
from weitiao.stages.events import Tell, listening
from weitiao.stages.noise import LIGHT
from weitiao.stages.run import Run
from weitiao.stages.runs import load
from weitiao.study.schedule import Book, Kind, Part, Study, claimed

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress

SHARES = (0.125, 0.25, 0.5)
"""Shares of the training rows that are trained on besides all of them."""
FOLDER = "learning-curve"
KIND = Kind(
    file="learning-curve.json",
    page="learning-curve.html",
    parts="points",
    exists="curve_exists",
    stopped="curve_stopped",
)


@dataclass(frozen=True, repr=False)
class LearningCurve(Study):
    """A learning curve's folder and what can be done with it."""

    kind = KIND

    def sheet(self) -> Sheet:
        """The points."""
        found = self.results
        rows = [
            [row["label"], str(row["rows"] or ""), figure(row["validation"]) if row["validation"] else "-"]
            for row in found.get("points", ())
        ]
        head = [either("share", "占比"), either("training rows", "训练行"), str(found.get("metric", ""))]
        return Sheet(f"Learning curve {self.path}", head, rows, found.get("sentence", ""))


def learning_curve(
    run: Run | str | Path,
    *,
    resume: bool = False,
    tell: Tell | None = None,
    progress: Progress | None = None,
) -> LearningCurve:
    """Train a finished run's recipe again on 1/8, 1/4 and 1/2 of its training rows, and say whether more rows would help.

    The advice goes by the validation rows alone, since whoever follows it chooses; scores on the test rows stand beside.

    Args:
        run: a judged run, or its folder.  Its rows lie there; those of a run of before they were kept must lie where they lay.
        resume: go on with a curve that was begun: what is judged stays, the rest is trained.
        tell: hears what happens.
        progress: hears (bytes, all bytes) of what is fetched.  Without `tell` and `progress` bars and lines on standard
            error say how it goes.

    Raises:
        WeitiaoError: `curve_unjudged`, `curve_without_validation`, `too_few_for_curve`;
            what reading and dealing raise; `curve_exists`, `other_recipe`, `curve_stopped` after SIGINT or SIGTERM.
    """
    # Pages are drawn with what takes a moment to import.
    from weitiao.evaluate.report import write_report
    from weitiao.study.curve_page import curve_page
    from weitiao.study.curve_points import gather

    run = run if isinstance(run, Run) else load(run)
    if run.folder.state != "judged" or not run.folder.finished:
        raise fault("curve_unjudged", path=run.path)
    if not run.folder.json("data/split.json").get("validation"):
        raise fault("curve_without_validation", path=run.path)
    folder, recipe = RunFolder(run.path / FOLDER), run.recipe
    common = recipe.model_dump(mode="json")
    with ExitStack() as held_open:
        tell, progress, _ = held_open.enter_context(listening(tell, progress))
        tell("asked", recipe=recipe)
        counts = _look(run, recipe, tell=tell, progress=progress)
        rows = held_open.enter_context(claimed(KIND, folder, common, resume=resume))
        parts = [_part(run, folder, share, count) for share, count in counts.items()]
        made = partial(gather, folder.path, recipe=common)
        book = Book(KIND, folder, parts, rows, made, curve_page)
        book.write()
        tell("curving", rows=list(counts.values()))
        book.go(tell)
        with Beside(tell).may_fail("page"):
            write_report(run.path)  # which has the curve now, too
    return LearningCurve(folder.path)


def _part(run: Run, folder: RunFolder, share: float, count: int) -> Part:
    recipe = run.recipe
    label = f"{100 * share:g} %"
    facts = {"share": share, "rows": count}
    if share == 1:
        return Part(label, "..", recipe, facts)  # the run itself, which is judged
    name = f"share-{share:g}"
    split = recipe.data.split.model_copy(update={"train_share": recipe.data.split.train_share * share})
    update = {
        "data": recipe.data.model_copy(update={"split": split}),
        "evaluate": recipe.evaluate.model_copy(update=LIGHT),
        "output_dir": str(folder.path / name),
    }
    return Part(label, name, recipe.model_copy(update=update), facts, rows_of=run.folder, share=share)


def _look(run: Run, recipe: Recipe, *, tell: Tell, progress: Progress | None) -> dict[float, int]:
    """Share -> training rows, smallest first.

    Raises:
        WeitiaoError: what reading, checking and dealing raise; `too_few_for_curve` where two shares hold the same rows.
    """
    task = registry.build("task", recipe.task)
    dealt = from_folder(run.folder, recipe, tell=tell) or from_files(recipe, task, progress=progress)
    counts = {share: len(shared(dealt, recipe, share)) for share in (*SHARES, 1.0)}
    if not _grows([*counts.values()]):
        raise fault("too_few_for_curve", rows=counts[1.0], shares=", ".join(map(str, counts.values())))
    return counts


def _grows(counts: Sequence[int]) -> bool:
    return all(few < many for few, many in zip(counts, counts[1:], strict=False))
