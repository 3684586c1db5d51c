"""weitiao (微调): from a table of examples and a pretrained model to a tuned, tested and explained one.

import weitiao as wt

wt.init("reviews.csv")                  # a recipe for a file of rows, as text
wt.check("reviews.csv")                 # what is wrong with rows
wt.choose("reviews.csv")                # which base model and method, before anything is tuned
wt.show("recipe.yaml")                  # rows as the model sees them
wt.plan("recipe.yaml")                  # memory, disk and time that a run will take
wt.numerics("recipe.yaml")              # ways that must give the same, computed
run = wt.train("recipe.yaml")           # the whole way; also wt.train(model=..., task=..., data=TABLE, output_dir=...)
run.results["verdict"]["sentence"]
run.predict(["A wonderful film."])
run.explain("A wonderful film.")       # which of its words the prediction hangs on
wt.retrieve(run, "I forgot my password")  # the nearest passages, where the model gives vectors
wt.explain_rows(run, errors=5)          # the same of its worst test rows, onto its page
wt.load("runs/reviews")                 # a run that is there; wt.runs() lists them, wt.evaluate(run) judges again
wt.report("runs/a", "runs/b")           # runs side by side on one page; of one run, its page anew
wt.compare("recipe.yaml", methods=["lora", "head"])
wt.search("recipe.yaml", trials=20)    # better settings, the best judged once; wt.join_search(FOLDER) helps from elsewhere
wt.cross_validate("recipe.yaml", folds=5)  # every row tested once
wt.learning_curve("runs/reviews")       # is more data worth it?
wt.stress("runs/reviews")               # the test rows again, with typos, or about others
wt.export(run, "onnx")                  # in the form that its destination wants, verified; wt.verify(run) compares again
wt.adapters("runs/a", "runs/b")         # several runs on one base in memory
wt.serve("runs/a", port=8000)           # asked over HTTP
wt.launch_serve("runs/a", on="docker")  # the files to serve it elsewhere; wt.launch_train(...): to train on several machines

`wt.metric` marks a function of yours as a metric.  What comes back: `Run`, `Plan`, `Choice`, `Comparison`,
`CrossValidation`, `LearningCurve`, `SearchStudy`, `Stress`; what is asked:
`Recipe`; what a watcher of training is: `Watcher`, which sees the `Training`; what goes wrong: `WeitiaoError`, with its
`code`.  help(wt.train), help(wt.Run) say all of one of them.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weitiao.api import Choice as Choice
    from weitiao.api import Comparison as Comparison
    from weitiao.api import CrossValidation as CrossValidation
    from weitiao.api import LearningCurve as LearningCurve
    from weitiao.api import Plan as Plan
    from weitiao.api import Run as Run
    from weitiao.api import SearchStudy as SearchStudy
    from weitiao.api import Stress as Stress
    from weitiao.api import (
        adapters,
        check,
        choose,
        compare,
        cross_validate,
        evaluate,
        explain_rows,
        export,
        init,
        join_search,
        launch_serve,
        launch_train,
        learning_curve,
        load,
        numerics,
        plan,
        report,
        retrieve,
        runs,
        search,
        serve,
        show,
        stress,
        train,
        verify,
    )
    from weitiao.core.errors import WeitiaoError as WeitiaoError
    from weitiao.core.recipe import Recipe as Recipe
    from weitiao.evaluate.own import metric
    from weitiao.train.loop import Training as Training
    from weitiao.train.loop import Watcher as Watcher
else:
    # Three words are also rooms.  Python sets a room as our attribute when it is first imported, which would put the
    # module in the word's place after the first use; so that happens here (each is a docstring), and is undone.
    from weitiao import evaluate, export, train

    del evaluate, export, train

__version__ = "0.1.0"
_HOMES = {
    **dict.fromkeys(
        ("Comparison", "Plan", "Run", "adapters", "check", "compare", "evaluate", "init", "load"),
        "weitiao.api",
    ),
    **dict.fromkeys(
        ("numerics", "plan", "report", "runs", "retrieve", "serve", "show", "train"), "weitiao.api"
    ),
    **dict.fromkeys(("CrossValidation", "LearningCurve", "cross_validate", "learning_curve"), "weitiao.api"),
    **dict.fromkeys(("Choice", "choose"), "weitiao.api"),
    **dict.fromkeys(
        ("SearchStudy", "Stress", "join_search", "search", "explain_rows", "export", "stress", "verify"),
        "weitiao.api",
    ),
    **dict.fromkeys(("launch_serve", "launch_train"), "weitiao.api"),
    "WeitiaoError": "weitiao.core.errors",
    "Recipe": "weitiao.core.recipe",
    "metric": "weitiao.evaluate.own",
    "Training": "weitiao.train.loop",
    "Watcher": "weitiao.train.loop",
}
# `help(wt)` prints all of what stands here: the verbs.  With the classes it would be 60,000 characters.
__all__ = [
    "adapters",
    "check",
    "choose",
    "compare",
    "cross_validate",
    "evaluate",
    "explain_rows",
    "export",
    "init",
    "launch_serve",
    "launch_train",
    "join_search",
    "learning_curve",
    "load",
    "metric",
    "numerics",
    "plan",
    "report",
    "runs",
    "search",
    "retrieve",
    "serve",
    "show",
    "stress",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    # Words are looked up when they are used, so that `import weitiao` costs nothing.
    if name not in _HOMES:
        raise AttributeError(f"module 'weitiao' has no attribute '{name}'")
    from weitiao.core import kernels, threads
    from weitiao.core.gc_pause import paused

    if "torch" not in sys.modules:
        threads.settle(os.environ)
        kernels.settle(os.environ)
    with paused():
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    # What `dir(wt)` and the tab key offer: the words, not the rooms behind them.
    return [*_HOMES, "__version__"]
