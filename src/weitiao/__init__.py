"""weitiao (微调): from a table of examples and a pretrained model to a tuned, tested and explained one.

import weitiao as wt

run = wt.train("recipe.yaml")
run.results["verdict"]["sentence"]
run.predict(["A wonderful film."])
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weitiao.api import (
        Comparison,
        Plan,
        Run,
        check,
        compare,
        evaluate,
        init,
        load,
        numerics,
        plan,
        runs,
        show,
        train,
    )
    from weitiao.core.errors import WeitiaoError
    from weitiao.core.recipe import Recipe
    from weitiao.evaluate.own import metric
    from weitiao.train.loop import Training, Watcher
else:
    # Two words are also rooms.  Python sets a room as our attribute when it is first imported, which would put the
    # module in the word's place after the first use; so that happens here (both are a docstring), and is undone.
    from weitiao import evaluate, train

    del evaluate, train

__version__ = "0.1.0"
_HOMES = {
    **dict.fromkeys(
        ("Comparison", "Plan", "Run", "adapters", "check", "compare", "evaluate", "init", "load"),
        "weitiao.api",
    ),
    **dict.fromkeys(("numerics", "plan", "runs", "show", "train"), "weitiao.api"),
    "WeitiaoError": "weitiao.core.errors",
    "Recipe": "weitiao.core.recipe",
    "metric": "weitiao.evaluate.own",
    "Training": "weitiao.train.loop",
    "Watcher": "weitiao.train.loop",
}
__all__ = [
    "Comparison",
    "Plan",
    "Recipe",
    "Run",
    "Training",
    "Watcher",
    "WeitiaoError",
    "adapters",
    "check",
    "compare",
    "evaluate",
    "init",
    "load",
    "metric",
    "numerics",
    "plan",
    "runs",
    "show",
    "train",
]


def __getattr__(name: str) -> Any:
    # Words are looked up when they are used, so that `import weitiao` costs nothing.
    if name not in _HOMES:
        raise AttributeError(f"module 'weitiao' has no attribute '{name}'")
    from weitiao.core import threads
    from weitiao.core.gc_pause import paused

    if "torch" not in sys.modules:
        threads.settle(os.environ)
    with paused():
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    # What `dir(wt)` and the tab key offer: the words, not the rooms behind them.
    return [*__all__, "__version__"]
