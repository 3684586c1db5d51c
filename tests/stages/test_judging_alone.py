"""Nothing that comes after training may lose what was trained: a fault is planted in every stage behind it.

What a stage calls is made to fail (the scikit-learn, the page, a file); the others' results must be there, and it must
be said what is missing and why, in the results, in the terminal and on the page.
"""

from __future__ import annotations

import errno
import gzip
import json
import shutil
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import dialogues, many_labels, rated, reviews, small_run, write_csv, write_jsonl
from weitiao import api
from weitiao.cli import run as cli
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.evaluate import judge
from weitiao.tasks.parts.texts import OfTexts

pytestmark = pytest.mark.whole  # a training each

BROKEN = "planted <b>fault</b>"


def broken(*args, **options):
    raise RuntimeError(f"{BROKEN}\nand more")


@pytest.fixture(scope="module")
def labelled(bert, tmp_path_factory) -> api.Run:
    folder = tmp_path_factory.mktemp("labelled")
    rows = write_csv(folder / "reviews.csv", reviews(80))
    recipe = small_run(bert, "text_classification", rows, folder / "run", batch=8, judge={})
    return api.train(recipe(max_steps=2, eval_strategy="no", load_best_model_at_end=False))


@pytest.fixture(scope="module")
def spoken(llama, tmp_path_factory) -> api.Run:
    folder = tmp_path_factory.mktemp("spoken")
    rows = write_jsonl(folder / "talk.jsonl", dialogues(40))
    judge = {"samples": 1, "max_new_tokens": 2}
    recipe = small_run(llama, "sft", rows, folder / "run", batch=8, judge=judge)
    return api.train(recipe(max_steps=2, eval_strategy="no", load_best_model_at_end=False, method="lora"))


@pytest.fixture
def run(request, tmp_path, labelled, spoken) -> Path:
    """A copy of a judged run, its numbers forgotten."""
    made = {"labelled": labelled, "spoken": spoken}[getattr(request, "param", "labelled")]
    folder = tmp_path / "run"
    shutil.copytree(made.path, folder)
    for name in ("results.json", "predictions.jsonl", "report.html"):
        (folder / name).unlink()
    return folder


FAULTS = [
    ("labelled", "sklearn.linear_model:LogisticRegression", "tfidf", {"tuned", "untuned", "majority"}),
    ("labelled", "weitiao.stages.run:Run.untuned", "untuned", {"tuned", "tfidf", "majority"}),
    (
        "labelled",
        "weitiao.evaluate.baselines.majority:Majority.fit",
        "majority",
        {"tuned", "untuned", "tfidf"},
    ),
    ("labelled", "weitiao.stages.evaluate:usage", "usage", {"tuned", "untuned", "tfidf", "majority"}),
    ("spoken", "weitiao.stages.speaker:Speaker.answers", "answers", {"tuned", "untuned", "nearest"}),
    ("spoken", "weitiao.evaluate.report.page:curves", "page", {"tuned", "untuned", "nearest"}),
]


@pytest.mark.parametrize(("run", "where", "what", "left"), FAULTS, indirect=["run"])
def test_what_stands_beside_may_fail_alone(run, where, what, left, monkeypatch, capsys):
    module, _, name = where.partition(":")
    *owner, name = name.split(".")
    place = import_module(module)
    monkeypatch.setattr(getattr(place, owner[0]) if owner else place, name, broken)
    assert cli(["evaluate", str(run)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    results = json.loads((run / "results.json").read_text())
    assert set(results["metrics"]) == left
    assert results["verdict"]["sentence"] in said
    assert {each["what"] for each in results["missing"]} == {what}
    assert {each["why"] for each in results["missing"]} == {BROKEN}
    assert BROKEN in said
    page = run / "report.html"
    assert page.exists() == (what != "page")
    if page.exists():
        assert "planted &lt;b&gt;fault&lt;/b&gt;" in page.read_text()
    monkeypatch.undo()
    assert not api.evaluate(run).results["missing"]
    assert page.exists()


def test_a_run_is_judged_where_the_files_it_came_from_are_gone(run, labelled, tmp_path):
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("reviews.csv", "gone.csv"))
    found, before = api.evaluate(run).results, labelled.results
    assert not found["missing"]
    assert found["metrics"] == before["metrics"]


def test_a_kept_training_row_that_was_changed_costs_the_baseline_alone(run):
    file = run / "data" / "train.jsonl.gz"
    text = gzip.decompress(file.read_bytes()).decode().replace('"good"', '"bad"', 1)
    file.write_bytes(gzip.compress(text.encode()))
    found = api.evaluate(run).results
    assert [each["what"] for each in found["missing"]] == ["tfidf", "majority", "seen_in_training"]
    assert f"{file} is not what was locked away" in found["missing"][0]["why"]
    file.unlink()
    assert "it is not there" in api.evaluate(run).results["missing"][0]["why"]
    assert {"tuned", "untuned"} == set(found["metrics"])


@pytest.mark.parametrize("task", ["text_classification", "text_regression", "multi_label_classification"])
def test_test_rows_are_encoded_once_on_the_whole_way(task, bert, tmp_path, monkeypatch):
    """What `prepare` has encoded is what is judged, the tuned model and the untuned one, and judged again."""
    encode, seen = OfTexts.encode, Counter()

    def counted(self, records, *rest, **words):
        records = list(records)
        seen.update(record.id for record in records)
        return encode(self, records, *rest, **words)

    monkeypatch.setattr(OfTexts, "encode", counted)
    rows = {"text_classification": reviews, "text_regression": rated}.get(task, many_labels)(60, seed=77)
    recipe = small_run(
        bert, task, write_jsonl(tmp_path / "rows.jsonl", rows), tmp_path / "run", batch=8, judge={}
    )
    run = api.train(recipe(max_steps=1))
    api.evaluate(run.path)
    test = run.folder.json("data/split.json")["test"]
    assert {seen[row] for row in test} == {1}


def test_a_run_whose_judging_fails_is_trained_and_can_be_judged_later(
    classify, monkeypatch, capsys, tmp_path
):
    file = tmp_path / "recipe.yaml"
    file.write_text(json.dumps(classify(max_steps=2)))
    monkeypatch.setattr(judge, "judge", broken)
    assert cli(["train", str(file)]) == 5
    said = capsys.readouterr().err
    assert "[not_judged]" in said
    assert BROKEN in said
    assert f"weitiao evaluate {tmp_path / 'run'}" in said
    assert api.load(tmp_path / "run").folder.state == "trained"
    monkeypatch.undo()
    assert cli(["evaluate", str(tmp_path / "run"), "--quiet"]) == 0
    assert api.load(tmp_path / "run").folder.state == "judged"


def test_in_python_the_error_names_the_run(classify, monkeypatch):
    monkeypatch.setattr(judge, "judge", broken)
    with pytest.raises(WeitiaoError) as caught:
        api.train(classify(max_steps=2))
    assert caught.value.code == "not_judged"
    assert api.load(caught.value.values["path"]).predict("a great film")


def test_texts_of_emoji_alone_are_judged_beside_both_baselines(bert, tmp_path):
    faces = ("\U0001f600", "\U0001f680", "\U0001f622", "\U0001f9d1‍\U0001f680", "♥")
    rows = [
        {"text": a + b + c, "label": "up" if a < b else "down"} for a in faces for b in faces for c in faces
    ]
    table = write_csv(tmp_path / "faces.csv", rows)
    recipe = small_run(bert, "text_classification", table, tmp_path / "run", batch=8, judge={})
    results = api.train(recipe(max_steps=2)).results
    assert not results["missing"]
    assert (
        results["metrics"]["tfidf"]["accuracy"]["value"] > results["metrics"]["majority"]["accuracy"]["value"]
    )
    truth = [row["label"] for row in read_lines(tmp_path / "run/predictions.jsonl")]
    most = max(truth.count("up"), truth.count("down")) / len(truth)
    assert results["metrics"]["majority"]["accuracy"]["value"] == pytest.approx(most)


def test_what_was_read_is_said_where_rows_were_cut(run, capsys):
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("max_length: null", "max_length: 6"))
    found = api.evaluate(run)
    rows = [row["text"] for row in read_lines(run / "data/test.jsonl")]
    long = sum(len(text.split()) + 2 > 6 for text in rows)  # [CLS] and [SEP] are tokens too
    assert found.results["cut"] == {"rows": long, "limit": 6}
    words = (
        f"at most 6 tokens of a row: {long} of {len(rows)} test rows were cut. The baseline read whole texts."
    )
    assert any(words in remark for remark in found.remarks)
    assert words in found.report.read_text()


def test_judging_says_how_far_it_is(run, monkeypatch, capsys):
    monkeypatch.setattr("weitiao.terminal.show.QUIET_S", 0.0)
    recipe = run / "recipe.yaml"
    recipe.write_text(
        recipe.read_text().replace("per_device_eval_batch_size: 64", "per_device_eval_batch_size: 5")
    )
    assert cli(["evaluate", str(run)]) == 0
    said = capsys.readouterr().err
    assert "tuned: 5/12  left 0:00:0" in said
    assert "untuned: 12/12\n" in said


def test_a_folder_that_cannot_be_written_is_said_before_the_judging(run, monkeypatch):
    """A closed door of the system's: root passes every other one."""

    def closed(*args, dir, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(dir))

    monkeypatch.setattr("tempfile.mkdtemp", closed)
    heard = []
    with pytest.raises(WeitiaoError, match=rf"^\[no_permission\].*{run}"):
        api.evaluate(run, tell=lambda event, **facts: heard.append(event))
    assert "judging" not in heard


@pytest.mark.parametrize("written", [b"{", b"\xff{}", b"[1, 2]"])
@pytest.mark.parametrize("name", ["results.json", "analysis.json", "facts.json"])
def test_a_damaged_file_of_a_run_is_named_with_the_way_out(name, written, labelled, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(labelled.path, folder)
    (folder / name).write_bytes(written)
    assert cli(["report", str(folder)]) == 5
    said = capsys.readouterr().err
    assert f"[damaged_file] {folder / name} is damaged" in said
    assert f"weitiao evaluate {folder}`" in said


def test_judging_again_mends_a_damaged_result(labelled, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(labelled.path, folder)
    for name in ("results.json", "analysis.json"):
        (folder / name).write_text("{")
    assert cli(["evaluate", str(folder)]) == 0
    assert cli(["report", str(folder)]) == 0
