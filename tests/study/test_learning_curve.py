"""Is more data worth it?  What the points say, and what is said of them; the trainings are toys, in this process."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv
from weitiao.cli import run as weitiao
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import sha256
from weitiao.core.run import RunFolder
from weitiao.stages.kept_rows import kept
from weitiao.study.child_process import Outcome
from weitiao.study.curve_page import curve_page, drawing
from weitiao.study.curve_points import sentence
from weitiao.study.difference import difference


def quiet(event: str, **facts: Any) -> None:
    pass


@pytest.fixture
def recipe(bert, tmp_path) -> dict[str, Any]:
    table = write_csv(tmp_path / "reviews.csv", reviews(120))
    made = small_run(bert, "text_classification", table, tmp_path / "run", batch=8, judge={})
    return made(num_train_epochs=1, learning_rate=5e-3, method="full", evaluate={"resamples": 2000})


@pytest.fixture
def here(monkeypatch) -> list[str]:
    """Runs of the study are trained in this process; their labels, as they come."""
    tried: list[str] = []

    def attempt(path: Path, *, label: str, relay: Any, heard: Any) -> Outcome:
        tried.append(label)
        wt.train(path, resume=True, tell=quiet)
        return Outcome(1.0, None)

    monkeypatch.setattr(importlib.import_module("weitiao.study.schedule"), "train_apart", attempt)
    return tried


@pytest.mark.whole
def test_the_curve_of_a_run(recipe, here, capsys, monkeypatch):
    run = wt.train(recipe, tell=quiet)
    before = {name: sha256(run.path / name) for name in ("results.json", "predictions.jsonl")}
    assert 'id="learning-curve"' not in (run.path / "report.html").read_text(encoding="utf-8")
    assert weitiao(["learning-curve", str(run.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert here == ["12.5 %", "25 %", "50 %"], "the run itself is not trained again"
    assert before == {name: sha256(run.path / name) for name in before}
    assert [point["rows"] for point in found["points"]] == [10, 20, 42, 84]
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert 'id="learning-curve"' in page, "the page is written anew"

    # The same to the last bit as a run that one would train oneself, nested, on the same validation rows.
    trained: list[set[str]] = []
    for share in (0.125, 0.25, 0.5):
        theirs = RunFolder(run.path / "learning-curve" / f"share-{share:g}")
        words = [f"data.split.train_share={share}", f"output_dir={run.path}-{share}"]
        mine = wt.train(recipe, overrides=words, tell=quiet)
        assert sha256(mine.folder.model / "model.safetensors") == sha256(theirs.model / "model.safetensors")
        sides = theirs.json("data/split.json")
        trained.append(set(sides["train"]))
        own = run.folder.json("data/split.json")
        assert (sides["validation"], sides["test"]) == (own["validation"], own["test"])
    assert trained[0] < trained[1] < trained[2] < set(run.folder.json("data/split.json")["train"])

    # Scores by counting right answers; the interval of the last doubling by drawing here.
    records = [record for record, _ in kept(run.folder, "validation")]
    truth = [record.values["label"] for record in records]
    half = wt.load(run.path / "learning-curve" / "share-0.5")
    right = [
        np.array([told["label"] for told in one.predict([r.values["text"] for r in records])]) == truth
        for one in (half, run)
    ]
    scores = [point["validation"]["value"] for point in found["points"]]
    assert scores[-2:] == pytest.approx([each.mean() for each in right])
    gain = right[1].astype(float) - right[0]
    assert found["last_doubling"]["difference"] == pytest.approx(gain.mean())
    if gain.std() > 0:
        rng = np.random.default_rng(1)
        drawn = [rng.choice(gain, len(gain)).mean() for _ in range(4000)]
        # Of so few rows percentiles further out are taken, those of Student's t (Hesterberg 2015).
        tail = stats.norm.sf(np.sqrt(18 / 17) * stats.t.isf(0.025, 17))
        low, high = np.percentile(drawn, [100 * tail, 100 - 100 * tail])
        assert found["last_doubling"]["low"] == pytest.approx(low, abs=0.08)
        assert found["last_doubling"]["high"] == pytest.approx(high, abs=0.08)
    assert found["points"][-1]["test"] == run.results["metrics"]["tuned"]["accuracy"]
    assert "NaN" not in (run.path / "learning-curve/learning-curve.json").read_text()

    page = (run.path / "learning-curve/learning-curve.html").read_text(encoding="utf-8")
    assert page == curve_page(found)
    assert "../report.html" in page
    assert "<svg" in page
    monkeypatch.setenv("WEITIAO_LANG", "zh")
    assert "学习曲线" in curve_page(found)
    monkeypatch.setenv("WEITIAO_LANG", "en")

    # Gone on with, it trains nothing; begun anew, it says that it is there.
    here.clear()
    assert wt.learning_curve(run.path, resume=True, tell=quiet).results == found
    assert here == []
    with pytest.raises(WeitiaoError, match=r"curve_exists.*4 of 4"):
        wt.learning_curve(run)
    capsys.readouterr()
    assert weitiao(["learning-curve", str(run.path), "--resume"]) == 0
    said = capsys.readouterr()
    assert "12.5 %" in said.out
    assert found["sentence"].split(":")[0] in said.out.replace("\n", " ")


@pytest.mark.whole
def test_what_has_no_curve_is_said_before_anything_is_trained(recipe, here, tmp_path):
    alone = {"train": {**recipe["train"], "eval_strategy": "no", "load_best_model_at_end": False}}
    without = {**recipe, **alone, "output_dir": str(tmp_path / "a")}
    run = wt.train(without, overrides=["data.split.validation=0"], tell=quiet)
    with pytest.raises(WeitiaoError, match="curve_without_validation"):
        wt.learning_curve(run)
    few = write_csv(tmp_path / "few.csv", reviews(12))
    run = wt.train({**recipe, "output_dir": str(tmp_path / "b")}, overrides=[f"data.train={few}"], tell=quiet)
    with pytest.raises(WeitiaoError, match=r"too_few_for_curve.*8 training rows"):
        wt.learning_curve(run)
    run = wt.train({**recipe, "output_dir": str(tmp_path / "c")}, overrides=["data.split.test=0"], tell=quiet)
    with pytest.raises(WeitiaoError, match="curve_unjudged"):
        wt.learning_curve(run)
    with pytest.raises(WeitiaoError, match="no_run"):
        wt.learning_curve(tmp_path / "nowhere")
    assert here == []
    assert not list(tmp_path.glob("*/learning-curve"))


def test_models_that_say_the_same_prove_nothing():
    """Rows all told alike have no interval, and no gain is called unlikely by it; one that differs has a direction."""
    metrics = {"accuracy": registry.build("metric", {"name": "accuracy"})}
    truth = [{"label": "ab"[i % 2]} for i in range(40)]
    wrong = [{"label": "a"} for _ in truth]
    words = {
        "before": "f",
        "after": "m",
        "labels": ["a", "b"],
        "confidence": 0.95,
        "resamples": 500,
        "seed": 0,
    }
    alike = difference(truth, {"f": wrong, "m": wrong}, metrics, **words)
    assert alike == {"difference": 0.0, "low": None, "high": None, "verdict": None}
    gained = difference(truth, {"f": wrong, "m": truth}, metrics, **words)
    assert (gained["difference"], gained["verdict"]) == (0.5, "better")
    lost = difference(truth, {"f": truth, "m": wrong}, metrics, **words)
    assert (lost["difference"], lost["verdict"], lost["low"]) == (
        -0.5,
        "worse",
        pytest.approx(-gained["high"]),
    )


def points(*values: float) -> list[dict[str, Any]]:
    return [
        {"rows": 100 * 2**place, "validation": {"value": value, "low": value - 0.1, "high": value + 0.1}}
        for place, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("higher", "doubling", "words"),
    [
        (True, (0.04, 0.01, 0.07, "better"), "likely worth it"),
        (True, (0.01, -0.02, 0.04, "level"), "a gain of more than 0.040 is unlikely"),
        (False, (-0.01, -0.05, 0.03, "level"), "a gain of more than 0.050 is unlikely"),
        (True, (-0.04, -0.07, -0.01, "worse"), "made it worse"),
        (True, (0.01, None, None, None), "how sure that is cannot be said"),
    ],
)
def test_the_sentence_says_no_more_than_the_numbers_bear(higher, doubling, words):
    found = {
        "points": points(0.7, 0.75, 0.8, 0.81),
        "last_doubling": dict(zip(("difference", "low", "high", "verdict"), doubling, strict=True)),
        "metric": "accuracy",
        "higher_is_better": higher,
        "confidence": 0.95,
        "validation_rows": 90,
    }
    said = sentence(found)
    assert words in said
    assert "accuracy 0.810 with 800 training rows and 0.800 with 400, on 90 validation rows" in said
    assert sentence({**found, "last_doubling": None}) == "Too few points are judged yet to say anything."


def test_the_drawing_has_a_place_for_every_point():
    assert drawing(points(0.7, 0.75)).count("<svg") == 1
    assert drawing(points(0.7)) == ""
