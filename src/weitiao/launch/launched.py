"""The files of a destination, in a folder that is there whole or not at all.

launch_serve("runs/reviews", on="docker")           ->  Launched(path=launch/reviews-docker, ...)
launch_train("recipe.yaml", on="slurm", nodes=2)    ->  Launched(path=launch/reviews-slurm, ...)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from weitiao.core import registry
from weitiao.core.display import Sheet, Shown, either
from weitiao.core.errors import fault, need
from weitiao.core.files import refuse_unwritable, write_text
from weitiao.core.page import render
from weitiao.core.recipe import Recipe
from weitiao.core.why import because
from weitiao.launch import wheel
from weitiao.launch.contract import Cluster, Destination, Service, Serving, Subject, Training
from weitiao.launch.names import plain
from weitiao.launch.pinned import pinned, python
from weitiao.launch.quoted import FILTERS
from weitiao.stages.runs import load

if TYPE_CHECKING:
    from weitiao.launch.portable import Held

TEMPLATES = Path(__file__).parent / "files"
SERVING = ("serve", "vision", "diffusion", "quant", "zh")
TRAINING = ("data", "vision", "diffusion", "quant", "zh", "explain", "rewards", "tensorboard")
"""Extras that an image has, as far as they are installed here."""


@dataclass(repr=False)
class Launched(Shown):
    """Files to launch something by."""

    path: Path
    then: str
    """What is to be done with them."""

    @property
    def files(self) -> list[str]:
        """What lies in the folder; the contents of its folders are not told one by one."""
        return sorted(one.name + "/" * one.is_dir() for one in self.path.iterdir())

    def sheet(self) -> Sheet:
        """The files, and what is to be done with them."""
        rows = [[name] for name in self.files] if self.path.is_dir() else []
        return Sheet(str(self.path), [either("file", "文件")], rows, self.then)


def launch_serve(
    *runs: str | Path,
    on: str,
    out: str | Path = "",
    image: str = "",
    mount: bool = False,
    base: str | Path = "",
) -> Launched:
    """Write the files by which runs are served elsewhere; nothing is built or started.

    Args:
        runs: run folders, or `name=folder`.
        on: `docker`, `k8s` or `systemd`.
        out: the folder to write; default: `launch/NAME-ON`.
        image: what the image is to be called, with its registry.
        mount: are the models to lie beside the image, instead of in it?
        base: where their base model lies now, if it is found no more.

    Raises:
        WeitiaoError: `unknown_name` for a destination that there is not; `no_run`, `unfinished_run`, `broken_model`, `base_gone`;
            `name_taken`; `wrong_usage` where the folder is there.
    """
    from weitiao.launch.portable import carry
    from weitiao.serve.models import NAME

    service: Service = registry.build("service", {"name": on})
    if not service.in_image and (image or mount):
        raise fault("wrong_usage", **because("launch_no_image", on=on))
    held: list[Held] = []
    for asked in runs:
        one = _held(str(asked), base=base)
        if not NAME.fullmatch(one.name) or one.name in [other.name for other in held]:
            raise fault("name_taken", name=one.name, path=one.run.path)
        held.append(one)
    name = held[0].folder
    folder = _free(out or Path("launch") / f"{name}-{on}")
    for module in ("fastapi", "uvicorn", "prometheus_client"):
        need(module, extra="serve")  # what is not here has no version to be pinned
    weights_mb = sum(one.weights_mb for one in held)
    tag = image or f"weitiao-{name}:{version('weitiao')}"
    subject = Serving(name, held, tag, mount, weights_mb)

    def models(into: Path) -> None:
        carry(held, into / "models")

    return _written(service, subject, folder, extras=SERVING, with_image=models)


def _held(asked: str, *, base: str | Path) -> Held:
    from weitiao.launch.portable import Held

    name, equals, folder = asked.partition("=")
    if not equals or Path(asked).exists():
        name, folder = "", asked
    run = load(folder, base=base)
    # Said before anything is written: unfinished, broken, base gone.
    run.method  # noqa: B018
    name = name or (f"{run.path.name}/{run.variant}" if run.variant else run.path.resolve().name)
    one = Held(name, plain(name), run)
    one.base  # noqa: B018
    return one


def launch_train(
    recipe: str | Path,
    *,
    on: str,
    nodes: int,
    overrides: Sequence[str] = (),
    gpus_per_node: int = 0,
    queue: str = "",
    out: str | Path = "",
    image: str = "",
) -> Launched:
    """Write the files by which several machines train a recipe; nothing is started.

    Args:
        recipe: a YAML file.
        on: `torchrun`, `slurm`, `k8s` or `ray`.
        nodes: machines.
        overrides: `key=value` words on top.
        gpus_per_node: processes of each machine, one a GPU; 0: one process that computes on all of its cores.
        queue: the partition (Slurm), or the queue of Kueue (k8s, ray).
        out: the folder to write; default: `launch/NAME-ON`.
        image: what the image is to be called, with its registry.

    Raises:
        WeitiaoError: `unknown_name` for a destination that there is not; what is wrong with the recipe; `wrong_usage` where the
            folder is there.
    """
    cluster: Cluster = registry.build("cluster", {"name": on})
    if nodes < 1 or gpus_per_node < 0:
        raise fault("wrong_usage", **because("launch_no_nodes", nodes=nodes, gpus=gpus_per_node))
    if image and not cluster.in_image:
        raise fault("wrong_usage", **because("launch_no_image", on=on))
    if queue and not re.fullmatch(r"[A-Za-z0-9][\w.,-]*", queue):
        raise fault("wrong_usage", **because("launch_no_queue", queue=queue))
    asked = Recipe.read(recipe, overrides)
    name = plain(f"{Path(asked.output_dir).name}-train")
    folder = _free(out or Path("launch") / f"{name}-{on}")
    tag = image or f"weitiao-{name}:{version('weitiao')}"
    further = tuple(cluster.needs)
    subject = Training(
        name, Path(recipe).absolute(), overrides, asked.output_dir, nodes, gpus_per_node, tag, queue, further
    )
    return _written(cluster, subject, folder, extras=TRAINING)


def _free(folder: str | Path) -> Path:
    """The folder, if nothing lies there.

    Raises:
        WeitiaoError: `wrong_usage`; `no_permission`, `not_a_folder`, `impossible_path`.
    """
    place = Path(folder)
    refuse_unwritable(place)
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise fault("wrong_usage", **because("output_there", path=place))
    return place


def _written(
    destination: Destination[Subject],
    subject: Subject,
    folder: Path,
    *,
    extras: Sequence[str],
    with_image: Callable[[Path], None] = lambda into: None,
) -> Launched:
    from weitiao.models.store import replacing

    packages = pinned(extras)
    values = {
        **destination.values(subject, folder.absolute()),
        "s": subject,
        "serving": isinstance(subject, Serving),
        "version": version("weitiao"),
        "wheel": wheel.name(),
        "program": sys.executable,
        "python": python(),
        "torch": packages.pop("torch"),
    }
    with replacing(folder) as into:
        for name, template in destination.files.items():
            text = render(TEMPLATES, template, values, filters=FILTERS)
            write_text(into / name.replace("NAME", subject.name), text)
        if destination.in_image:
            write_text(into / "Dockerfile", render(TEMPLATES, "Dockerfile.j2", values, filters=FILTERS))
            lines = [f"{name}=={number}\n" for name, number in packages.items()]
            write_text(into / "requirements.txt", "".join(lines))
            wheel.wheel(into)
            with_image(into)
    for name in destination.programs:
        (folder / name).chmod(0o755)
    return Launched(folder, destination.then(subject))
