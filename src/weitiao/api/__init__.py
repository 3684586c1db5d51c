"""The Python words, one function a stage, and nothing else: they stand in the rooms below, and are gathered here.

import weitiao as wt
run = wt.train("recipe.yaml", overrides=["method.r=8"])       # or the same words as keyword arguments
run.results["metrics"]["tuned"]["accuracy"]
run.predict(["A wonderful film."])
run = wt.load("runs/reviews-lora")
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from weitiao.study.joining import join_search
    from weitiao.study.learning_curve import LearningCurve, learning_curve
    from weitiao.study.search import SearchStudy, search

_WORDS = {
    "weitiao.api.check": ("check",),
    "weitiao.api.choose": ("choose",),
    "weitiao.api.export": ("export", "verify"),
    "weitiao.api.export_rows": ("export_rows",),
    "weitiao.api.fetch": ("export_data", "fetch", "fetchable"),
    "weitiao.api.init": ("init",),
    "weitiao.api.launch": ("Launched", "launch_serve", "launch_train"),
    "weitiao.api.recipes": ("example_table", "example_text", "free_folder", "ready_recipe", "schema", "step"),
    "weitiao.api.report": ("report", "road"),
    "weitiao.api.serve": ("serve",),
    "weitiao.api.show": ("show",),
    "weitiao.api.stress": ("stress",),
    "weitiao.api.train": ("train",),
    "weitiao.export.writing": ("Exported",),
    "weitiao.forecast.dry_run": ("DryRun", "dry_run"),
    "weitiao.forecast.equalities": ("Equality", "numerics"),
    "weitiao.forecast.looked": ("fitting",),
    "weitiao.forecast.plan": ("Plan", "plan"),
    "weitiao.forecast.rule_of_thumb": ("rule_of_thumb",),
    "weitiao.stages.adapters": ("Adapters", "adapters"),
    "weitiao.stages.data": ("guess",),
    "weitiao.stages.drawn": ("refuse_drawn", "write_drawn"),
    "weitiao.stages.drawn_on": ("drawn_on",),
    "weitiao.stages.evaluate": ("evaluate",),
    "weitiao.stages.explain_rows": ("explain_rows",),
    "weitiao.stages.labelled": ("write_labelled",),
    "weitiao.stages.preflight": ("tried",),
    "weitiao.stages.retrieve": ("retrieve",),
    "weitiao.stages.run": ("Run",),
    "weitiao.stages.runs": ("load", "runs", "speaker"),
    "weitiao.stages.stress": ("Stress",),
    "weitiao.study.choice.choose": ("Choice", "refuse_taken"),
    "weitiao.study.compare": ("Comparison", "compare"),
    "weitiao.study.cross_validation": ("CrossValidation", "cross_validate"),
    "weitiao.study.learning_curve": ("LearningCurve", "learning_curve"),
    "weitiao.study.joining": ("join_search",),
    "weitiao.study.search": ("SearchStudy", "search"),
}
"""What stands above, for those who ask when they need it: a word costs what it needs, and no other word's rooms."""
_HOMES = {word: room for room, words in _WORDS.items() for word in words}

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
    "join_search",
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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'weitiao.api' has no attribute '{name}'")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    setattr(sys.modules[__name__], name, found)
    return found


def __dir__() -> list[str]:
    return [*__all__]


class _Words(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Some words are also files here, which Python sets in the word's place whenever one is imported.
        if isinstance(value, ModuleType) and name in _HOMES:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Words
