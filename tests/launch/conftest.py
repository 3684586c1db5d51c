"""Runs that are to be served elsewhere, and where their files are checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import reviews, small_run, write_csv
from weitiao import api

QUICK = {"max_steps": 2, "eval_strategy": "no", "load_best_model_at_end": False}


@pytest.fixture(scope="session")
def held(bert, tmp_path_factory) -> dict[str, Path]:
    """An adapter, and a whole model in a folder whose name nobody else takes."""
    folder = tmp_path_factory.mktemp("held")
    rows = write_csv(folder / "reviews.csv", reviews(60))
    found = {}
    for name, method in (("first", "lora"), ("影评 2", "full")):
        judge = {"untuned": False, "baseline": "none"}
        recipe = small_run(bert, "text_classification", rows, folder / "runs" / name, batch=8, judge=judge)
        found[name] = api.train(recipe(method=method, **QUICK)).path
    return found
