"""The verb `train`: the whole way into a run folder."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from weitiao.cli.options import Json, Overrides, Quiet, Verbose, emit


def train(
    recipe: Annotated[str, typer.Argument(help="A YAML recipe (weitiao init writes one).")],
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest sound checkpoint.")] = False,
    resume_from_checkpoint: Annotated[
        str, typer.Option(help="Go on from this checkpoint of the run, or from the last.")
    ] = "",
    strict_resume: Annotated[
        bool, typer.Option("--strict-resume", help="Refuse if the newest one is broken.")
    ] = False,
    allow_change: Annotated[
        list[str] | None, typer.Option(help="A key that may differ when a run goes on; may be repeated.")
    ] = None,
    pause_after: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="EPOCHS",
            help="Stop with a checkpoint at the first look at the validation rows after so many epochs; --resume goes on.",
        ),
    ] = None,
    shared: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="What comes out of a frozen trunk is kept here for other runs on the same rows, or taken from here.",
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Go the whole way on 1 % of the rows, for two steps.")
    ] = False,
    nproc: Annotated[
        int, typer.Option(min=1, help="Processes that share the work on this machine, one a GPU.")
    ] = 1,
    max_restarts: Annotated[
        int, typer.Option(min=0, help="With --nproc: how often all start anew when one dies.")
    ] = 3,
    quiet: Quiet = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Check, split, tune, judge and report: the whole way into output_dir."""
    from weitiao.terminal.show import Show

    if dry_run:
        from weitiao.cli.check import tried

        tried(recipe, overrides or [], quiet=quiet, json=json)
        return
    if nproc > 1:
        from weitiao.cli.processes import share_out

        words = ["train", recipe, *(overrides or []), *["--resume"] * resume]
        words += ["--resume-from-checkpoint", resume_from_checkpoint] * bool(resume_from_checkpoint)
        words += [word for key in allow_change or [] for word in ("--allow-change", key)]
        words += ["--pause-after", str(pause_after)] * (pause_after is not None)
        words += ["--shared", shared] * bool(shared)
        words += ["--strict-resume"] * strict_resume + ["--quiet"] * quiet + ["--json"] * json
        raise typer.Exit(
            share_out(words + ["--verbose"] * verbose, processes=nproc, max_restarts=max_restarts)
        )
    from weitiao.train import distributed

    run = trained(
        recipe,
        overrides or [],
        Show(quiet=quiet or json),
        json=json,
        resume=resume_from_checkpoint or resume,
        strict_resume=strict_resume,
        changes=allow_change or (),
        pause_after=pause_after,
        shared=shared or None,
    )
    if json and distributed.leads():
        emit(said(run))


def trained(recipe: Any, overrides: list[str], show: Any, *, json: bool, **options: Any) -> Any:
    """A run, from its recipe; what it gave is shown, but for `json`."""
    from weitiao import api
    from weitiao.cli.show import judged
    from weitiao.train import distributed

    if not distributed.leads():
        show.quiet = True
    with show:
        run = api.train(
            recipe,
            overrides=overrides,
            tell=show.tell,
            progress=show.fetching,
            watchers=show.watchers(),
            **options,
        )
    if distributed.leads() and not json and run.folder.finished:  # else it is paused, and that is said
        judged(run)
    return run


def said(run: Any) -> dict[str, Any]:
    """A run as scripts read it."""
    return {"run": str(run.path), **run.results}
