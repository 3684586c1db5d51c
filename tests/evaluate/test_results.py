"""`results.json` of real runs is what its schema says."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

import weitiao as wt
from weitiao.core.results import Results


def written(run) -> dict:
    return json.loads((run.path / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, bert, llama):
    from tests.conftest import dialogues, reviews, small_run, write_csv, write_jsonl

    folder = tmp_path_factory.mktemp("results")
    quick = {"max_steps": 2, "eval_strategy": "no", "load_best_model_at_end": False}
    rows = write_csv(folder / "rows.csv", reviews(80))
    added = {"metrics": ["roc_auc", "ece", "mcc"]}
    labels = small_run(bert, "text_classification", rows, folder / "labels", batch=8, judge=added)
    talk = write_jsonl(folder / "talk.jsonl", dialogues(40))
    words = small_run(
        llama, "sft", talk, folder / "words", batch=8, judge={"samples": 1, "max_new_tokens": 2}
    )
    return [written(wt.train(labels(**quick))), written(wt.train(words(method="lora", **quick)))]


@pytest.mark.whole
def test_results_of_runs_are_what_the_schema_says(runs):
    for found in runs:
        Results.model_validate(found, strict=True)
    assert runs[0]["metrics"]["tuned"]["ece"]["by_chance"]["high"] > 0


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda found: found.pop("version"), "version"),
        (lambda found: found.update(version=1), "version"),
        (lambda found: found.update(extra=1), "extra"),
        (lambda found: found["metrics"]["tuned"]["accuracy"].update(value=float("nan")), "value"),
        (lambda found: found["comparisons"]["untuned"].update(p_value=1.5), "p_value"),
        (lambda found: found["sections"]["confusion"].pop("rows"), "rows"),
        (lambda found: found["sections"]["confusion"].update(kind="pie"), "kind"),
        (lambda found: found["sections"]["per_class"]["rows"][0]["values"].append([1]), "values"),
    ],
)
def test_what_the_schema_does_not_say_is_found(runs, change, where):
    found = json.loads(json.dumps(runs[0]))
    change(found)
    with pytest.raises(ValidationError, match=where):
        Results.model_validate(found, strict=True)
