"""How far a score moves with the seed alone: measured on the same rows, and heeded by the verdict."""

from __future__ import annotations

import json
import os
import signal
import statistics
from typing import Any

import pytest

import weitiao as wt
from tests.conftest import small_run
from weitiao.core.files import sha256
from weitiao.core.results import Results
from weitiao.evaluate.findings import findings
from weitiao.evaluate.findings.evidence import Evidence
from weitiao.evaluate.noise import floor
from weitiao.evaluate.verdict import verdict
from weitiao.train.loop import Watcher

QUICK = {
    "method": "full",
    "learning_rate": 5e-3,
    "max_steps": 4,
    "eval_strategy": "no",
    "save_strategy": "no",
    "load_best_model_at_end": False,
}


@pytest.fixture
def small(llama, dialogue_file, tmp_path):
    """Train in such a folder."""

    def trained(name: str, *, options: Any = None, **words: Any):
        judge = {"answers": 0, "samples": 0}
        rows = dialogue_file.with_name("dialogues.jsonl#60")  # which sixty is dealt, too
        recipe = small_run(llama, "sft", rows, tmp_path / name, batch=8, judge=judge)
        return wt.train(recipe(**{**QUICK, **words}), **(options or {}))

    return trained


def score(run) -> float:
    return run.results["metrics"]["tuned"]["perplexity"]["value"]


@pytest.mark.whole
def test_repetitions_are_the_run_with_other_seeds_on_the_same_rows(small, tmp_path):
    run = small("run", seed=42, evaluate={"noise_runs": 2})
    noise = run.results["noise"]
    assert noise["seeds"] == [42, 43, 44]
    # Each by itself, in a folder where nothing lies beside it.
    alone = [small(f"{seed}/run", seed=seed, data={"split": {"seed": 42}}) for seed in noise["seeds"][:2]]
    assert noise["scores"][:2] == [score(one) for one in alone]
    assert len(set(noise["scores"])) > 1
    assert len({one.folder.json("facts.json")["fingerprints"]["test"] for one in [run, *alone]}) == 1
    assert noise["sd"] == pytest.approx(statistics.stdev(noise["scores"]))
    assert (noise["low"], noise["high"]) == (min(noise["scores"]), max(noise["scores"]))
    for one in alone:
        assert one.results["noise"] is None
    weights = {sha256(one.folder.model / "model.safetensors") for one in (run, alone[0])}
    assert len(weights) == 1, "the repetitions changed what was tuned"
    Results.model_validate(json.loads((run.path / "results.json").read_text()), strict=True)
    told = f"3 runs of this recipe score {noise['low']:.3f} to {noise['high']:.3f}"
    assert told in run.results["verdict"]["sentence"]
    assert told in run.report.read_text()
    assert not [*(run.path / "noise").rglob("*.safetensors")]

    before = {path: path.stat().st_mtime_ns for path in (run.path / "noise").rglob("results.json")}
    more = {"resume": True, "changes": ["evaluate.noise_runs"]}
    again = small("run", seed=42, evaluate={"noise_runs": 3}, options=more)
    assert again.results["noise"]["seeds"] == [42, 43, 44, 45]
    assert again.results["noise"]["scores"][:3] == noise["scores"]
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what was there was trained anew"


def test_a_repetition_that_fails_is_said_and_the_run_is_judged(small, tmp_path):
    (tmp_path / "run" / "data").mkdir(parents=True)
    heard: list[str] = []

    def plant(event: str, **facts: Any) -> None:
        if event == "saved" and not (tmp_path / "run" / "noise").exists():
            (tmp_path / "run" / "noise" / "seed-1").mkdir(parents=True)
            (tmp_path / "run" / "noise" / "seed-1" / "mine.txt").write_text("not yours")
        if event == "notice":
            heard.append(facts["text"])

    run = small("run", evaluate={"noise_runs": 1}, options={"tell": plant})
    assert any("seed 1 failed" in text and "mine.txt" in text for text in heard)
    assert run.results["noise"] is None
    assert [one["what"] for one in run.results["missing"]] == ["noise"]
    assert any("0 of 1 are there" in remark and "--resume" in remark for remark in run.remarks)


class Stop(Watcher):
    """Ctrl-C in the second step of the repetition."""

    def on_step(self, training):
        if training.seed == 1 and training.state.step == 1:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.whole
def test_an_interrupted_repetition_goes_on(small):
    asked = {"evaluate": {"noise_runs": 1}}
    with pytest.raises(wt.WeitiaoError, match="SIGINT") as told:
        small("run", **asked, options={"watchers": [Stop()]})
    assert told.value.exit_code == 130
    heard: list[dict] = []
    words = {"resume": True, "tell": lambda event, **facts: heard.append({"event": event, **facts})}
    run = small("run", **asked, options=words)
    assert [one["step"] for one in heard if one["event"] == "resumed"] == [2]
    assert run.results["noise"]["seeds"] == [0, 1]
    alone = small("alone/run", seed=1, data={"split": {"seed": 0}})
    assert run.results["noise"]["scores"] == [score(run), score(alone)]


@pytest.mark.whole
def test_runs_of_the_same_recipe_that_lie_beside_it_count_unasked(small):
    dealt = {"data": {"split": {"seed": 5}}}
    one = small("runs/one", seed=1, **dealt)
    small("runs/rate", seed=2, learning_rate=1e-3, **dealt)
    small("runs/rows", seed=3, data={"split": {"seed": 6}})
    other = small("runs/other", seed=4, evaluate={"resamples": 200}, **dealt)
    assert one.results["noise"] is None
    assert other.results["noise"]["seeds"] == [4, 1]
    assert other.results["noise"]["scores"] == [score(other), score(one)]
    assert wt.evaluate(one.path).results["noise"]["seeds"] == [1, 4]


def judged(scores: list[float], *, untuned: float, tfidf: float) -> dict:
    values = {"tuned": scores[0], "untuned": untuned, "tfidf": tfidf}
    return {
        "primary": "f1",
        "higher_is_better": True,
        "rows": 1000,
        "metrics": {name: {"f1": {"value": value}} for name, value in values.items()},
        "comparisons": {name: {"p_value": 0.001, "difference": 0.1} for name in ("untuned", "tfidf")},
        "noise": floor(dict(enumerate(scores)), metric="f1", confidence=0.95),
    }


STEADY, SHAKY = [0.80, 0.81, 0.79, 0.80], [0.80, 0.55, 0.95, 0.70]


@pytest.mark.parametrize(
    ("scores", "untuned", "tfidf", "learned", "words"),
    [
        (STEADY, 0.5, 0.6, True, "clearly better"),
        (SHAKY, 0.5, 0.6, False, "another seed may take it back"),
        (STEADY, 0.5, 0.79, True, "within chance"),
        (STEADY, 0.5, 0.9, False, "does better"),
        (STEADY, 0.5, 0.81, True, "within chance"),
    ],
)
def test_what_another_seed_might_score_is_no_gain(scores, untuned, tfidf, learned, words):
    given = judged(scores, untuned=untuned, tfidf=tfidf)
    found = verdict(given, confidence=0.95)
    assert found["learned"] is learned
    assert words in found["sentence"]
    names = {
        one["name"] for one in findings(Evidence(given, [], [], {"tuned": [], "untuned": [], "tfidf": []}))
    }
    assert ("untuned_level" in names) == (scores is SHAKY)
    assert ("baseline_better" in names) == (tfidf == 0.9)


def test_the_reach_is_that_of_one_more_draw():
    """Of normal scores one more lies within reach as often as was asked."""
    import numpy as np

    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        *known, more = rng.normal(0.8, 0.02, 5).tolist()
        reach = floor(dict(enumerate(known)), metric="f1", confidence=0.9)["reach"]
        inside += reach["low"] <= more <= reach["high"]
    assert 0.88 < inside / 2000 < 0.92
