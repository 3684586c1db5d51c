"""The verbs of `weitiao launch`: files by which others serve a run or train a recipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from weitiao.cli.options import Base, Json, Overrides, Verbose, Whole, emit

if TYPE_CHECKING:
    from weitiao.launch.launched import Launched

launch_app = typer.Typer(
    cls=Whole,
    help="Write the files by which a run is served, or a recipe trained, elsewhere.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Output = Annotated[
    str,
    typer.Option("--output", "--out", "-o", help="The folder to write; default: launch/NAME-DESTINATION."),
]
Image = Annotated[str, typer.Option(help="What the image is to be called, with its registry.")]


@launch_app.command(
    "serve", epilog="Example: weitiao launch serve runs/reviews --on k8s --image ghcr.io/me/reviews:1"
)
def launch_serve(
    runs: Annotated[
        list[str], typer.Argument(help="Run folders, or NAME=FOLDER; adapters of one base share it.")
    ],
    on: Annotated[str, typer.Option(help="docker, k8s (Kubernetes) or systemd (this machine).")],
    output: Output = "",
    image: Image = "",
    mount: Annotated[
        bool, typer.Option("--mount", help="The image has no models: they are put beside it, on a volume.")
    ] = False,
    base: Base = "",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Write the files by which tuned models are served in a container, a cluster, or as a service of this machine.

    Nothing is built or started, and no secret stands in a file.  Models and their bases are copied beside the files.
    """
    from weitiao import api

    _told(api.launch_serve(*runs, on=on, out=output, image=image, mount=mount, base=base), json=json)


@launch_app.command(
    "train", epilog="Example: weitiao launch train recipe.yaml --on slurm --nodes 2 --gpus-per-node 8"
)
def launch_train(
    recipe: Annotated[str, typer.Argument(help="A YAML recipe (weitiao init writes one).")],
    on: Annotated[str, typer.Option(help="torchrun, slurm, k8s (Kubernetes) or ray.")],
    overrides: Overrides = None,
    nodes: Annotated[int, typer.Option(min=1, help="Machines that share the work.")] = 1,
    gpus_per_node: Annotated[
        int, typer.Option(min=0, help="GPUs of each machine, with a process each; 0: its cores, with one.")
    ] = 0,
    queue: Annotated[str, typer.Option(help="The partition (slurm), or the queue of Kueue (k8s, ray).")] = "",
    output: Output = "",
    image: Image = "",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Write the files by which several machines train a recipe: they begin the run, and go on with it after whatever ends it.

    Nothing is started, and no secret stands in a file.
    """
    from weitiao import api

    words = {"on": on, "out": output, "image": image}
    done = api.launch_train(
        recipe, nodes=nodes, overrides=overrides or (), gpus_per_node=gpus_per_node, queue=queue, **words
    )
    _told(done, json=json)


def _told(done: Launched, *, json: bool) -> None:
    """Where the files lie, and what is to be done with them."""
    if json:
        emit({"path": str(done.path), "files": done.files, "then": done.then})
        return
    print(done.path)
    print(*(f"  {name}" for name in done.files), done.then, sep="\n", file=sys.stderr)
