"""How a server that tunes does it: the recipe that is advised, and a process of its own for it.

advised(Wanted(model="smollm2-135m", task="sft", ...))  ->  Recipe        apart(recipe.yaml, started=...)  ->  None, or what went wrong
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import yaml

from weitiao.core import registry
from weitiao.core.recipe import Recipe

if TYPE_CHECKING:
    from weitiao.serve.tuning.tuner import Child, Wanted


def advised(wanted: Wanted) -> Recipe:
    """The recipe that `init` writes for such rows, with what was said in place of its advice.

    Raises:
        WeitiaoError: as `init`.
    """
    from weitiao.api.init import init
    from weitiao.stages.runs import load

    tree = yaml.safe_load(init(wanted.rows, model=wanted.model, task=wanted.task))
    tree |= {"seed": wanted.seed, "output_dir": str(wanted.output)}
    if wanted.start_from is not None:
        # Weights are taken over where they lie: it is tuned on as it was tuned.
        tree |= {"start_from": str(wanted.start_from), "method": load(wanted.start_from).recipe.method}
    if wanted.validation is not None:
        tree["data"]["validation"] = [str(wanted.validation)]
    said, train = wanted.hyperparameters, tree["train"]
    if "n_epochs" in said:
        train["num_train_epochs"] = said["n_epochs"]
    if "batch_size" in said:
        train["per_device_train_batch_size"] = said["batch_size"]
    if "learning_rate_multiplier" in said:
        own = registry.build("method", tree["method"]).learning_rate
        train["learning_rate"] = (train["learning_rate"] or own) * said["learning_rate_multiplier"]
    if "beta" in said:
        tree["task"]["beta"] = said["beta"]
    return Recipe.read(tree)


def apart(recipe: Path, started: Callable[[Child], None]) -> Mapping[str, Any] | None:
    """Train in a process of its own, or go on with it; None, or what went wrong."""
    from weitiao.study.child_process import Relay, train_apart
    from weitiao.study.fork_server import Child as Started
    from weitiao.study.fork_server import alone

    def start(words: Sequence[str], said: IO[bytes]) -> Started:
        child = alone(words, said)
        started(child)
        return child

    with Relay(start=start) as relay:
        return train_apart(recipe, label=recipe.parent.name, relay=relay).failure
