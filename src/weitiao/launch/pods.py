"""What pods of a training are told: the recipe as it is written, and the memory that one of them will take.

in_pods(training)  ->  {"recipe": "model: ...", "memory_mb": 1900, "torchrun": words for a meeting place}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import because
from weitiao.forecast.plan import plan
from weitiao.launch.contract import Training

RECIPE = "/recipe/recipe.yaml"
MORE = 1.2
"""Of the planned memory: what lies beside the processes."""


def in_pods(training: Training) -> dict[str, Any]:
    """What the templates of pods ask for.

    Raises:
        WeitiaoError: `wrong_usage` where the run would not come to lie on the volume that outlives the pods.
    """
    output = PurePosixPath(training.output)
    if ".." in output.parts or (output.is_absolute() and not output.is_relative_to(training.work)):
        raise fault("wrong_usage", **because("launch_run_elsewhere", path=output, name=output.name))
    torchrun: Callable[[str], list[str]] = lambda meeting: training.torchrun(  # noqa: E731
        RECIPE, meeting=meeting, known_as=training.name
    )
    text = training.recipe.read_text(encoding="utf-8")
    words = set(_words(yaml.safe_load(text))) - {training.output}
    named = sorted(path for path in words if "/" in path and Path(path).exists())
    return {"recipe": text, "named": named, "memory_mb": _memory_mb(training), "torchrun": torchrun}


def _words(tree: Any) -> Iterator[str]:
    """All that stands in a recipe as a word."""
    if isinstance(tree, str):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _words(part)


def _memory_mb(training: Training) -> int:
    """As it is planned here; 0 where it cannot be: for GPUs, or with rows that lie elsewhere."""
    if training.cuda:
        return 0
    try:
        planned = plan(training.recipe, overrides=training.overrides, nproc=training.processes)
    except WeitiaoError:  # the rows lie where it will be trained; the files say that nothing was planned
        return 0
    return round(MORE * planned.memory / 2**20)
