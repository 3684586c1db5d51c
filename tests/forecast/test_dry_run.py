"""The rehearsal on a small sample: it goes the whole way, leaves nothing behind, and counts up rightly."""

from __future__ import annotations

import json

import pytest
import yaml

import weitiao as wt
from tests.conftest import dialogues, reviews, write_csv, write_jsonl
from tests.train.test_loop import events
from weitiao import api
from weitiao.cli import run as weitiao
from weitiao.core.errors import WeitiaoError


@pytest.mark.whole
@pytest.mark.parametrize(("kind", "method"), [("classify", "full"), ("converse", "lora")])
def test_it_goes_the_whole_way_and_leaves_nothing(
    request, kind, method, tmp_path, review_file, dialogue_file
):
    write_csv(review_file, reviews(300))
    write_jsonl(dialogue_file, dialogues(300))
    recipe = request.getfixturevalue(kind)(method=method, num_train_epochs=3)
    before = {p.name for p in tmp_path.iterdir()}
    found = api.dry_run(recipe)
    assert {p.name for p in tmp_path.iterdir()} == before
    assert [stage.name for stage in found.stages][:2] == ["train", "resume, evaluate, save, judge"]
    assert (found.rows, found.tried) == (300, 100)
    run = wt.train(recipe)
    steps = len(events(run.path, "step"))
    assert found.steps == pytest.approx(steps, rel=0.1)
    kept = [*run.folder.checkpoints(), run.folder.model]
    size = sum(file.stat().st_size for folder in kept for file in folder.rglob("*") if file.is_file())
    # One more may be kept than the limit: the best.
    assert size / 1e6 * 0.9 < found.disk_mb < size / 1e6 * 1.6
    assert found.seconds > 0


@pytest.mark.whole
def test_what_the_full_run_would_meet_only_at_its_end_is_met_now(classify, monkeypatch):
    from weitiao.models import store

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "save_tuned", full)
    with pytest.raises(OSError, match="No space"):
        api.dry_run(classify())


def test_a_bad_row_in_the_sample_is_told(classify, review_file):
    review_file.write_text(review_file.read_text().splitlines()[0] + "\n" + "good film,\n" * 3)
    with pytest.raises(WeitiaoError):
        api.dry_run(classify())


@pytest.mark.whole
def test_on_the_command_line(classify, tmp_path, capsys):
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(classify()), encoding="utf-8")
    assert weitiao(["train", str(file), "--dry-run"]) == 0
    said = capsys.readouterr()
    assert "the full run: about" in said.out
    assert weitiao(["train", str(file), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 200
    assert not (tmp_path / "run").exists()


@pytest.mark.whole
def test_rows_count_as_often_as_they_come(classify, review_file, tmp_path):
    """A large file and a small one that comes three times an epoch, of each another share is looked at."""
    write_csv(review_file, reviews(300))
    other = write_csv(tmp_path / "other.csv", reviews(40, seed=9))
    recipe = classify(evaluate={"untuned": False, "baseline": "none"})
    recipe["data"] = {**recipe["data"], "train": [str(review_file), str(other)], "weights": [1, 3]}
    found = api.dry_run(recipe)
    assert (found.rows, found.tried) == (340, 140)
    planned = wt.plan(recipe).steps  # of all rows: test_plan.py says that the run takes as many
    assert found.steps == pytest.approx(planned, rel=0.1)
