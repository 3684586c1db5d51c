"""Drawn pictures are judged by what an encoder sees in them, and stand in the page beside those of before."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

import weitiao as wt
from tests.drawn import saved
from tests.pictures import class_folders
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.data.pictures import uri
from weitiao.evaluate import judge, resample

pytestmark = pytest.mark.whole

METRIC = registry.build("metric", {"name": "frechet_distance"})


def told(drawn, true):
    pairs = zip(drawn, true, strict=True)
    return [{"seen_drawn": one.tolist(), "seen_true": two.tolist()} for one, two in pairs]


def test_the_distance_is_that_of_two_clouds():
    rng = np.random.default_rng(0)
    drawn, true = (
        rng.standard_normal((60, 5)),
        rng.standard_normal((60, 5)) @ rng.standard_normal((5, 5)) + 0.4,
    )
    one, two = (np.cov(each.T, bias=True) for each in (drawn, true))
    apart = ((drawn.mean(0) - true.mean(0)) ** 2).sum()
    expected = apart + np.trace(one + two - 2 * linalg.sqrtm(one @ two).real)
    assert judge.value(METRIC, METRIC.rows([], told(drawn, true), ())) == pytest.approx(expected, rel=1e-9)
    # Each row's own cloud is nothing, and one picture is no cloud.
    assert judge.value(METRIC, METRIC.rows([], told(true, true[::-1]), ())) == pytest.approx(0, abs=1e-9)
    assert np.isnan(judge.value(METRIC, METRIC.rows([], told(drawn[:1], true[:1]), ())))


def test_its_interval_holds_what_other_pictures_of_the_same_number_give():
    def cloud(seed: int):
        rng = np.random.default_rng(seed)
        return METRIC.rows([], told(rng.standard_normal((60, 4)) + 0.5, rng.standard_normal((60, 4))), ())

    expected = np.mean([judge.value(METRIC, cloud(seed)) for seed in range(1000, 1300)])
    held = 0
    for seed in range(40):
        rows = cloud(seed)
        drawn = resample.bootstrap({"it": (METRIC, rows)}, np.arange(60), 60, resamples=200, seed=0)["it"]
        low, high = resample.interval(drawn, 0.95, count=60)
        assert low < judge.value(METRIC, rows) < high
        held += low < expected < high
    assert held >= 34


def test_the_page_shows_pictures_from_the_same_noise_before_and_after(tmp_path, vit):
    run = wt.train(
        {
            "model": saved("class", tmp_path),
            "task": {"name": "image_generation", "steps": 2, "judged_times": 1, "encoder": vit},
            "method": "lora",
            "data": {"train": [str(class_folders(tmp_path / "data", 40))], "split": {"test": 0.4}},
            "train": {"max_steps": 2, "learning_rate": 0.05, "warmup_steps": 0, "bf16": False},
            "evaluate": {"answers": 12, "samples": 2},
            "output_dir": str(tmp_path / "run"),
        }
    )
    assert not run.results["missing"]
    tuned, untuned = (run.results["metrics"][name]["frechet_distance"] for name in ("tuned", "untuned"))
    assert tuned["rows"] == untuned["rows"] == 12
    assert tuned["value"] > 0
    assert tuned["value"] != untuned["value"]
    section = run.results["sections"]["painted"]
    assert [row["facts"][0]["value"]["en"] for row in section["rows"]] == ["untuned", "tuned"] * 2
    pictures = [row["picture"] for row in section["rows"]]
    assert len({*pictures}) == 4
    page = run.report.read_text(encoding="utf-8")
    assert all(picture in page for picture in pictures)
    # Nothing of them is explained, so it is not offered.
    assert "weitiao explain" not in page


@pytest.fixture(scope="module")
def clothes(vit, tmp_path_factory):
    """A classifier of bright and dark pictures, and a run that is to draw them."""
    home = tmp_path_factory.mktemp("clothes")
    rows = {
        "train": [str(class_folders(home / "data", 40))],
        "split": {"test": 0.4},
        "near_duplicates": "keep",
    }
    words = {"warmup_steps": 0, "bf16": False, "learning_rate": 0.02, "num_train_epochs": 3}
    recipe = {"model": vit, "task": "image_classification", "data": rows, "method": "full", "train": words}
    return rows, wt.train({**recipe, "output_dir": str(home / "classifier")})


def test_a_classifier_says_how_many_pictures_show_what_they_were_to(clothes, tmp_path):
    rows, classifier = clothes
    run = wt.train(
        {
            "model": saved("class", tmp_path),
            "task": {"name": "image_generation", "steps": 2, "judged_times": 1, "encoder": ""},
            "method": "full",
            "data": rows,
            "train": {"max_steps": 1, "bf16": False},
            "evaluate": {
                "answers": 10,
                "metrics": [{"name": "class_accuracy", "classifier": str(classifier.path)}],
            },
            "output_dir": str(tmp_path / "run"),
        }
    )
    found = run.results["metrics"]["tuned"]["class_accuracy"]
    lines = [line for line in read_lines(run.path / "predictions.jsonl") if "drawn" in line["tuned"]]
    assert found["rows"] == len(lines) == 10
    # The classifier's own answers to the same pictures, asked as users ask them.
    pictures = [uri.read(line["tuned"]["drawn"]) for line in lines]
    told = classifier.predict(pictures)
    right = np.mean([one["label"] == line["text"] for one, line in zip(told, lines, strict=True)])
    assert found["value"] == pytest.approx(right)
    assert found["low"] <= right <= found["high"]


def test_a_classifier_of_other_things_is_refused_before_anything_is_learnt(clothes, tmp_path):
    rows, classifier = clothes

    def refused(metric, match):
        recipe = {
            "model": saved("class", tmp_path),
            "task": {"name": "image_generation", "labels": ["bright", "dark"]},
            "data": rows,
            "evaluate": {"metrics": [metric]},
            "output_dir": str(tmp_path / "run"),
        }
        with pytest.raises(WeitiaoError, match=match):
            wt.train(recipe)

    refused("class_accuracy", "unfit_metric.*names no run")
    refused({"name": "class_accuracy", "classifier": str(tmp_path)}, "no_run")
    named = classifier.folder.model / "weitiao.json"
    kept = named.read_text()
    named.write_text(kept.replace('"bright"', '"cat"').replace('"dark"', '"dog"'))
    refused({"name": "class_accuracy", "classifier": str(classifier.path)}, "unfit_metric.*cat, dog")
    named.write_text(kept.replace("image_classification", "text_classification"))
    refused(
        {"name": "class_accuracy", "classifier": str(classifier.path)}, "wrong_value.*text_classification"
    )
    named.write_text(kept)
