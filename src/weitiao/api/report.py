"""Pages of runs that are judged: of one its report, of several one page side by side; and their figures as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from weitiao.core.errors import fault
from weitiao.core.run import RunFolder, open_run
from weitiao.core.why import because
from weitiao.stages.analyse import analyse
from weitiao.stages.model_card import write_model_card
from weitiao.stages.run import Run
from weitiao.stages.runs import load

SIDE_BY_SIDE = "side-by-side.html"


def report(
    *runs: Run | str | Path,
    output: str | Path | None = None,
    figures: str | Path | None = None,
    by: Sequence[str] = (),
    wished: Sequence[tuple[str, float]] = (),
) -> Path:
    """Write the page of a judged run again, in the language of the moment, or of several runs side by side.

    Nothing is judged: the page says what `results.json` and `analysis.json` have.  Of several runs the others are tested against the first, where
    their test rows are the same.

    Args:
        runs: runs, or their folders; one alone may be the folder of a variant in a run.
        output: the page of several runs; default: `side-by-side.html` here.  One run's page lies in its folder.
        figures: a folder for every figure of the page, as SVG and PNG.
        by: of one run: columns of its rows' files by which they are cut in slices, too.
        wished: of one run: `("precision", 0.95)` or `("recall", 0.9)`, for which thresholds are looked for.

    Returns:
        The page.

    Raises:
        WeitiaoError: `no_run`; `not_judged_yet`, `old_results` with the way out; `page_taken` where `output` is something
            else; `no_permission`; `wrong_usage` for `by` of several runs, and for a variant or other rows among them; `other_predictions`, `no_such_by`.
    """
    from weitiao.evaluate.report import pictured, write_figures, write_report, write_side_by_side

    if not runs:
        raise fault("no_run", path="")
    for option, asked in (("--by", by), ("--wished", wished)):
        if asked and len(runs) > 1:
            raise fault("wrong_usage", **because("options_of_one", option=option))
    if len(runs) == 1:
        judged = runs[0] if isinstance(runs[0], Run) else load(runs[0])
        folder, place = judged.path, judged.place
        if not (place / "results.json").is_file():
            raise fault("not_judged_yet", run=place)
        if by or wished:
            analyse(judged, by=by, wished=_refuse_unwishable(wished))
            if not judged.judged_in:
                write_model_card(judged)
        page, sections = write_report(folder, place), pictured(folder, place)
    else:
        page = Path(output or SIDE_BY_SIDE)
        sections = write_side_by_side([_whole(run) for run in runs], page)
    if figures is not None:
        write_figures(sections, Path(figures))
    return page


def road(steps: Mapping[str, Run | str | Path], output: str | Path) -> Path:
    """Write the page of several judged runs of which each begins where others ended: what every step gave, and links to
    their reports.

    Args:
        steps: by name, in order: runs, or their folders.
        output: the page.

    Raises:
        WeitiaoError: `no_run`, `not_judged_yet`, `old_results`; `page_taken` where `output` is something else.
    """
    from weitiao.evaluate.report import write_road

    write_road({name: _whole(run) for name, run in steps.items()}, Path(output))
    return Path(output)


def _whole(run: Run | str | Path) -> RunFolder:
    """A run's folder, whose results are those that stand beside others'."""
    if not isinstance(run, Run):
        return open_run(run)
    if run.place != run.path:
        raise fault("wrong_usage", **because("no_run_of_its_own", place=run.place))
    return run.folder


def _refuse_unwishable(wished: Sequence[tuple[str, float]]) -> Sequence[tuple[str, float]]:
    for kind, wish in wished:
        if kind not in ("precision", "recall") or not 0 < wish <= 1:
            raise fault("wrong_usage", **because("no_such_wish", asked=f"{kind}={wish}"))
    return wished
