"""Methods side by side, on toys: a comparison that is interrupted, gone on with, and made again elsewhere.

`story` is all of it in one: `full` is judged, a method fails, `head` is interrupted; then --resume.  Seven trainings,
each in a process of its own, are all that this file costs.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv
from weitiao.cli import run as weitiao
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import read_lines, sha256
from weitiao.study.child_process import Outcome

pytestmark = pytest.mark.whole  # each training is a process that imports torch

BROKEN = "lora:lora_alpha=1e6:loraplus_lr_ratio=1e6"  # its loss is soon no number
METHODS = ["full", BROKEN, "head"]


@dataclass
class Story:
    """A comparison, and what was seen on the way."""

    recipe: dict[str, Any]
    stopped: WeitiaoError | None = None
    then: dict[str, Any] = field(default_factory=dict)
    """`comparison.json` after the interruption."""
    full: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Time and hash of every file of the judged method, before it was gone on with."""
    head_log: bytes = b""
    """What the interrupted method had logged."""
    page_then: str = ""
    told: list[tuple[str, dict]] = field(default_factory=list)
    found: wt.Comparison | None = None

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["label"]: row for row in self.found.results["methods"]}


def state_of(folder: Path) -> dict[str, tuple[int, str]]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path): (path.stat().st_mtime_ns, sha256(path)) for path in files}


@pytest.fixture(scope="module")
def story(bert, tmp_path_factory) -> Story:
    folder = tmp_path_factory.mktemp("compare")
    rows = write_csv(folder / "reviews.csv", reviews(200))
    made = small_run(bert, "text_classification", rows, folder / "first", batch=8, judge={})
    story = Story(made(num_train_epochs=10, learning_rate=5e-3, eval_steps=40, save_steps=40, method="head"))

    def tell(event, **facts):
        story.told.append((event, facts))
        if event == "step" and facts["label"] == "head":
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        wt.compare(story.recipe, methods=METHODS, tell=tell)
    except WeitiaoError as error:
        story.stopped = error
    first = folder / "first"
    story.then = json.loads((first / "comparison.json").read_text())
    story.page_then = (first / "comparison.html").read_text(encoding="utf-8")
    story.full, story.head_log = state_of(first / "full"), (first / "head" / "log.jsonl").read_bytes()
    story.found = wt.compare(
        story.recipe, resume=True, tell=lambda event, **facts: story.told.append((event, facts))
    )
    return story


# --- what is compared


def test_every_method_is_an_ordinary_run(story):
    found = {run.path.name: run.folder.state for run in wt.runs(story.found.path)}
    assert found == {"full": "judged", "head": "judged", BROKEN.replace(":", "-"): "unfinished"}
    for label in ("full", "head"):
        run = story.found.run(label)
        assert run.recipe.method["name"] == label
        assert run.predict(["a lovely film"])[0]["label"] in ("good", "bad")
        assert run.report.is_file()
    with pytest.raises(WeitiaoError, match="no_run"):
        story.found.run("unheard of")
    score = story.found.results["methods"][0]["score"]["value"]
    assert f"full {score:.3f}" in repr(story.found)
    assert "<th>accuracy</th>" in story.found._repr_html_()


def test_all_stand_on_the_same_rows(story):
    ground = story.found.results["ground"]
    assert ground["same"] is True
    assert ground["rows"] == {"train": 140, "validation": 30, "test": 30}
    for label in ("full", "head"):
        run = story.found.run(label)
        assert (
            run.folder.json("facts.json")["fingerprints"]["test"]
            == ground["test"]
            == sha256(run.path / "data/test.jsonl")
        )
        assert story.rows[label]["ground"] == {
            key: ground[key] for key in ("test", "train", "validation", "data", "base")
        }
    splits = [story.found.run(label).folder.json("data/split.json") for label in ("full", "head")]
    assert splits[0] == splits[1]


def test_only_the_method_differs(story):
    recipes = [story.found.run(label).recipe.model_dump() for label in ("full", "head")]
    differ = {key for key in recipes[0] if recipes[0][key] != recipes[1][key]}
    assert differ == {"method", "output_dir"}


def test_rows_say_what_the_run_folders_say(story):
    for label in ("full", "head"):
        row, run = story.rows[label], story.found.run(label)
        assert row["score"] == run.results["metrics"]["tuned"]["accuracy"]
        assert (row["trained"], row["total"]) == tuple(run.results["trainable"].values())
        assert row["learning_rate"] == run.recipe.train.learning_rate == 5e-3
        log = read_lines(run.path / "log.jsonl")
        steps = sum(fact["seconds"] for fact in log if fact["event"] == "step")
        assert row["seconds"]["train"] == pytest.approx(steps)
        assert row["seconds"]["whole"] > row["seconds"]["train"] > 0
        weights = run.folder.model / "model.safetensors"
        assert row["size_bytes"]["weights"] == weights.stat().st_size
        every = sum(path.stat().st_size for path in run.folder.model.iterdir())
        assert row["size_bytes"]["all"] == every > row["size_bytes"]["weights"]
    assert (
        story.found.results["others"]["untuned"]
        == story.found.run("full").results["metrics"]["untuned"]["accuracy"]
    )


def test_peak_memory_is_a_sane_number(story):
    for label in ("full", "head"):
        assert 100 < story.rows[label]["peak_memory_mb"] < 4000
    ends = [fact for fact in read_lines(story.found.path / "full/log.jsonl") if fact["event"] == "end"]
    assert ends[-1]["peak_memory_mb"] == story.rows["full"]["peak_memory_mb"]


def test_the_p_value_is_that_of_an_independent_computation(story):
    full, head = (read_lines(story.found.path / label / "predictions.jsonl") for label in ("full", "head"))
    right = [[line["tuned"]["label"] == line["label"] for line in lines] for lines in (full, head)]
    gained = sum(h and not f for f, h in zip(*right, strict=True))
    lost = sum(f and not h for f, h in zip(*right, strict=True))
    assert gained + lost > 5, "the toy tells the two apart"
    beside = story.rows["head"]["beside_first"]
    assert (beside["gained"], beside["lost"]) == (gained, lost)
    assert beside["p_value"] == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)
    assert beside["p_holm"] == beside["p_value"], "one comparison needs no correction"
    assert beside["difference"] == pytest.approx((gained - lost) / 30)
    assert story.rows["full"]["beside_first"] is None
    assert story.found.results["reference"] == "full"


# --- failures


def test_a_method_that_fails_loses_no_other(story):
    row = story.rows[BROKEN]
    assert row["state"] == "failed"
    assert row["failure"]["error"] == "not_finite"
    assert row["failure"]["exit"] == 5
    assert "Rows of the step: " in row["failure"]["message"]
    assert [story.rows[label]["state"] for label in ("full", "head")] == ["judged", "judged"]
    assert story.found.failed == [BROKEN]
    assert row["beside_first"] is row["score"] is row["trained"] is None


# --- interruption and resume


def test_an_interruption_is_told_and_leaves_everything(story):
    assert story.stopped.code == "comparison_stopped"
    assert story.stopped.exit_code == 128 + signal.SIGTERM
    assert "1 of 3 methods are judged" in story.stopped.text()
    states = {row["label"]: row["state"] for row in story.then["methods"]}
    assert states == {"full": "judged", BROKEN: "failed", "head": "unfinished"}
    assert next(row for row in story.then["methods"] if row["label"] == "head")["failure"] is None
    for label in METHODS:
        assert label in story.page_then


def test_what_is_judged_is_not_trained_again(story):
    assert state_of(story.found.path / "full") == story.full
    _, second = (place for place, (event, _) in enumerate(story.told) if event == "comparing")
    again = story.told[second:]
    assert [facts["label"] for event, facts in again if event == "entrant"] == [BROKEN, "head"]
    assert [facts["kept"] for event, facts in again if event == "compared"] == [True, False, False]


def test_what_was_interrupted_goes_on_from_its_checkpoint(story):
    before = story.head_log.decode().splitlines()
    now = (story.found.path / "head" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [line for line in before if '"event": "step"' in line]
    assert kept, "some steps had been taken"
    # Seconds of a step are never the same twice: the same lines are the same steps.
    assert [line for line in now if '"event": "step"' in line][: len(kept)] == kept
    assert [fact["step"] for fact in map(json.loads, now) if fact["event"] == "step"] == list(range(1, 181))


def test_what_failed_is_tried_anew(story):
    attempts = [
        facts["row"] for event, facts in story.told if event == "compared" and facts["row"]["label"] == BROKEN
    ]
    first, second = (row["seconds"]["whole"] for row in attempts)
    assert second > first > 0


def test_a_comparison_is_never_written_over(story):
    before = state_of(story.found.path)
    with pytest.raises(WeitiaoError, match=r"comparison_exists.*2 of 3 methods judged"):
        wt.compare(story.recipe, methods=METHODS)
    with pytest.raises(WeitiaoError, match=r"other_study[\s\S]*seed: 0 -> 1"):
        wt.compare(story.recipe, overrides=["seed=1"], resume=True)
    assert state_of(story.found.path) == before


def test_a_folder_with_other_things_is_left_alone(story, tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose")
    with pytest.raises(WeitiaoError, match=r"folder_not_empty.*thesis\.txt"):
        wt.compare(story.recipe, methods=METHODS, overrides=[f"output_dir={tmp_path}"])
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["thesis.txt"]


def test_a_run_that_lies_there_is_called_one_and_another_folder_proposed(story, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/log.jsonl").write_text('{"event": "step", "step": 1, "loss": 1.0}\n')
    for resume in (False, True):
        with pytest.raises(
            WeitiaoError, match=r"run_for_study.*\(unfinished\)[\s\S]*output_dir=\S+run-comparison;"
        ):
            wt.compare(
                story.recipe, methods=METHODS, overrides=[f"output_dir={tmp_path / 'run'}"], resume=resume
            )


def test_where_one_begins_again_depends_on_how_it_ended(story, tmp_path, monkeypatch):
    """Killed: from its checkpoint.  Failed by itself: from nothing, since its checkpoints may hold the reason."""
    module = importlib.import_module("weitiao.study.schedule")
    began: dict[str, list[bool]] = {}

    def attempt(recipe, *, label, relay, heard):
        left = recipe.parent / "checkpoint-5"
        began.setdefault(label, []).append(left.exists())
        left.mkdir(exist_ok=True)
        return Outcome(1.0, fault("unfinished_run", path="p").to_dict(), goes_on=label == "full")

    monkeypatch.setattr(module, "train_apart", attempt)
    recipe = {**story.recipe, "output_dir": str(tmp_path / "new")}
    wt.compare(recipe, methods=["full", "head"])
    found = wt.compare(recipe, methods=["head", "lora"], resume=True)
    assert began == {"full": [False, True], "head": [False, False], "lora": [False]}
    rows = found.results["methods"]
    assert [(row["label"], row["seconds"]["whole"]) for row in rows] == [
        ("full", 2),
        ("head", 2),
        ("lora", 1),
    ]
    assert found.failed == ["full", "head", "lora"]
    assert "No method has been judged yet." in found.page.read_text(encoding="utf-8")


# --- before the first training


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["method=full,lroa"], r"unknown_name.*lroa"),
        (["method=full,lora:rank=4"], r"unknown_key.*method\.rank"),
        (["method=full,lora:target_modules=[qurey]"], r"no_such_modules.*qurey"),
        (["method=full,lora", "method.r=4"], r"setting_of_none"),
        (["method=full,lora", "trian.seed=4"], r"unknown_key.*trian"),
        (["method=full,lora", "data.split.test=0"], r"no_test_rows"),
        (["method=full,lora", "data.train=gone.csv"], r"file_missing.*gone\.csv"),
        (["method=full,lora", "model=bret"], r"no_such_model.*bret"),
    ],
)
def test_what_is_wrong_for_all_stops_before_anything_is_trained(story, tmp_path, monkeypatch, words, error):
    monkeypatch.setattr(
        importlib.import_module("weitiao.study.schedule"), "train_apart", None
    )  # nothing may start
    with pytest.raises(WeitiaoError, match=error):
        wt.compare({**story.recipe, "output_dir": str(tmp_path / "new")}, overrides=words)
    assert not list((tmp_path / "new").glob("[!.]*"))


# --- the same again


def test_made_again_it_gives_the_same(story, capsys):
    """By the command line, into another folder; and the head is not interrupted this time."""
    folder = story.found.path.with_name("second")
    recipe = story.found.path.with_name("recipe.json")  # JSON is YAML, too
    recipe.write_text(json.dumps(story.recipe))
    code = weitiao(["compare", str(recipe), "method=full,head", f"output_dir={folder}", "--json"])
    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    found = json.loads(said.out)
    assert found == json.loads((folder / "comparison.json").read_text())
    for row in found["methods"]:
        assert row["score"] == story.rows[row["label"]]["score"]
        assert row["ground"] == story.rows[row["label"]]["ground"]
        name = f"{row['folder']}/predictions.jsonl"
        assert (folder / name).read_bytes() == (story.found.path / name).read_bytes()
    assert found["methods"][1]["beside_first"] == story.rows["head"]["beside_first"]
