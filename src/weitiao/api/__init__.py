"""The Python words, one function a stage; the only room that sees all others.

import weitiao as wt
run = wt.train("recipe.yaml", overrides=["method.r=8"])       # or the same words as keyword arguments
run.results["metrics"]["tuned"]["accuracy"]
run.predict(["A wonderful film."])
run = wt.load("runs/reviews-lora")
"""

from weitiao.api.adapters import Adapters, adapters
from weitiao.api.check import check
from weitiao.api.compare import Comparison, compare
from weitiao.api.data import fetch, guess, init, lines_of
from weitiao.api.dry_run import DryRun, dry_run
from weitiao.api.equalities import Equality, numerics
from weitiao.api.evaluate import evaluate
from weitiao.api.labelled import write_labelled
from weitiao.api.plan import Plan, fitting, plan
from weitiao.api.recipes import example_table, free_folder, ready_recipe, schema
from weitiao.api.rehearse import tried
from weitiao.api.run import Run, load, runs, speaker
from weitiao.api.show import show
from weitiao.api.textbook import textbook
from weitiao.api.train import train

__all__ = [
    "Adapters",
    "Comparison",
    "DryRun",
    "Equality",
    "Plan",
    "Run",
    "adapters",
    "check",
    "compare",
    "dry_run",
    "evaluate",
    "example_table",
    "fetch",
    "fitting",
    "free_folder",
    "guess",
    "init",
    "lines_of",
    "load",
    "numerics",
    "plan",
    "ready_recipe",
    "runs",
    "schema",
    "show",
    "speaker",
    "textbook",
    "train",
    "tried",
    "write_labelled",
]
