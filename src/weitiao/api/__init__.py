"""The Python words, one function a stage, and nothing else: they stand in the rooms below, and are gathered here.

import weitiao as wt
run = wt.train("recipe.yaml", overrides=["method.r=8"])       # or the same words as keyword arguments
run.results["metrics"]["tuned"]["accuracy"]
run.predict(["A wonderful film."])
run = wt.load("runs/reviews-lora")
"""

from weitiao.api.check import check
from weitiao.api.choose import choose
from weitiao.api.export import export, verify
from weitiao.api.export_rows import export_rows
from weitiao.api.fetch import export_data, fetch, fetchable
from weitiao.api.init import init
from weitiao.api.launch import Launched, launch_serve, launch_train
from weitiao.api.recipes import example_table, example_text, free_folder, ready_recipe, schema, step
from weitiao.api.report import report, road
from weitiao.api.serve import serve
from weitiao.api.show import show
from weitiao.api.stress import stress
from weitiao.api.train import train
from weitiao.export.writing import Exported
from weitiao.forecast.dry_run import DryRun, dry_run
from weitiao.forecast.equalities import Equality, numerics
from weitiao.forecast.looked import fitting
from weitiao.forecast.plan import Plan, plan
from weitiao.forecast.rule_of_thumb import rule_of_thumb
from weitiao.stages.adapters import Adapters, adapters
from weitiao.stages.data import guess
from weitiao.stages.drawn import refuse_drawn, write_drawn
from weitiao.stages.drawn_on import drawn_on
from weitiao.stages.evaluate import evaluate
from weitiao.stages.explain_rows import explain_rows
from weitiao.stages.labelled import write_labelled
from weitiao.stages.preflight import tried
from weitiao.stages.retrieve import retrieve
from weitiao.stages.run import Run
from weitiao.stages.runs import load, runs, speaker
from weitiao.stages.stress import Stress
from weitiao.study.choice.choose import Choice, refuse_taken
from weitiao.study.compare import Comparison, compare
from weitiao.study.cross_validation import CrossValidation, cross_validate
from weitiao.study.learning_curve import LearningCurve, learning_curve
from weitiao.study.search import SearchStudy, search

__all__ = [
    "Adapters",
    "Choice",
    "Comparison",
    "CrossValidation",
    "DryRun",
    "Equality",
    "Exported",
    "Launched",
    "LearningCurve",
    "Plan",
    "Run",
    "SearchStudy",
    "Stress",
    "adapters",
    "check",
    "choose",
    "compare",
    "cross_validate",
    "dry_run",
    "evaluate",
    "example_table",
    "example_text",
    "explain_rows",
    "export",
    "export_data",
    "export_rows",
    "fetch",
    "fetchable",
    "fitting",
    "free_folder",
    "guess",
    "init",
    "launch_serve",
    "launch_train",
    "learning_curve",
    "load",
    "numerics",
    "plan",
    "ready_recipe",
    "refuse_drawn",
    "refuse_taken",
    "report",
    "road",
    "runs",
    "schema",
    "retrieve",
    "search",
    "serve",
    "show",
    "speaker",
    "step",
    "stress",
    "rule_of_thumb",
    "train",
    "tried",
    "drawn_on",
    "write_drawn",
    "verify",
    "write_labelled",
]
