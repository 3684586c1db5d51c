"""Settings are searched on toys: what a trial sees, how it is paused and killed, who wins and what is said of that."""

from __future__ import annotations

import gzip
import json
import signal
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import weitiao as wt
from tests.conftest import reviews, write_csv
from tests.study.searched import asked
from weitiao.core.files import read_lines
from weitiao.core.run import RunFolder
from weitiao.data.shapes import LABELLED
from weitiao.models.assets.fetch import cache_dir
from weitiao.stages.dealt import hand_on
from weitiao.stages.kept_rows import FILES, as_record
from weitiao.study.child_process import Apart
from weitiao.study.proposals import FILE
from weitiao.study.search_rows import halves
from weitiao.study.trials import standing

pytestmark = pytest.mark.whole
SPACE = ["train.learning_rate=1e-4..3e-2:log", "method=full,head"]


@pytest.fixture(scope="module")
def recipe(bert, tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("search")
    return asked(bert, write_csv(folder / "reviews.csv", reviews(120)), folder / "run")


@pytest.fixture(scope="module")
def encoded() -> set[str]:
    """Names that come into the cache while the search lasts."""
    return set()


@pytest.fixture(scope="module")
def found(recipe, encoded) -> wt.SearchStudy:
    """One search, whose workers are killed on the way: two of the first three children."""
    begin, killed, before = Apart.ended, [], cached()

    def ended(self: Apart, timeout_s: float = 0.2) -> bool:
        if len(killed) < 2 and self.log.path.exists() and self.recipe not in killed:
            killed.append(self.recipe)
            self.child.send_signal(signal.SIGKILL)
        return begin(self, timeout_s)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Apart, "ended", ended)
        made = wt.search(recipe, trials=5, how="asha", space=SPACE, workers=2, tell=lambda *_, **__: None)
    assert len(killed) == 2
    encoded |= cached() - before
    return made


def cached() -> set[str]:
    folder = cache_dir() / "encoded"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def rows_of(found: wt.SearchStudy) -> list[dict[str, Any]]:
    return found.results["trials"]


def test_no_trial_is_lost_and_none_is_trained_twice(found):
    """Though two of them were killed."""
    rows = rows_of(found)
    assert [row["number"] for row in rows] == [0, 1, 2, 3, 4]
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    assert sum(row["killed"] for row in rows) <= 2, "one may have had all written"
    for row in rows:
        steps = [
            f["step"] for f in read_lines(found.path / row["folder"] / "log.jsonl") if f["event"] == "step"
        ]
        assert steps == sorted(set(steps)), "each step once"
    journal = [json.loads(line) for line in (found.path / FILE).read_text().splitlines()]
    assert sum(one["op_code"] == 4 for one in journal) >= 5  # created


def test_trial_0_is_the_recipe_itself_and_is_never_stopped(found, recipe):
    first = rows_of(found)[0]
    asked = RunFolder(found.path / first["folder"]).recipe
    assert asked.train.learning_rate == 1e-2
    assert asked.method["name"] == "full"
    assert first["state"] == "complete"


def test_poor_trials_are_stopped_at_a_rung_and_the_others_trained_to_their_end(found):
    rows, epochs = rows_of(found), found.results["rungs"]
    assert epochs == [1.0]
    pruned = [row for row in rows if row["state"] == "pruned"]
    assert pruned
    for row in pruned:
        log = read_lines(found.path / row["folder"] / "log.jsonl")
        assert log[-1]["epoch"] in epochs
        assert not list((found.path / row["folder"]).glob("checkpoint-*"))


def test_a_trial_that_was_paused_equals_one_that_was_not(found, tmp_path):
    """To the last bit; the recipe of the trial is trained again in one go, on the same rows."""
    done = [row for row in rows_of(found) if row["state"] == "complete"]
    row = next(row for row in done if row["number"])
    trial = RunFolder(found.path / row["folder"])
    paused = [fact["step"] for fact in read_lines(trial.path / "log.jsonl") if fact["event"] == "save"]
    assert len(paused) >= 2, "at the rung, and its best"
    again = RunFolder(tmp_path / "again")
    hand_on(trial, again, trial.recipe)
    wt.train({**trial.recipe.model_dump(mode="json"), "output_dir": str(again.path)})
    ours, theirs = (load_file(one.model / "model.safetensors") for one in (trial, again))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_of_trials_with_the_same_score_the_one_with_the_smaller_loss_is_better(found):
    """Of names that are rare the score is 0 for long; what Optuna models then is how far they are."""
    rows = [row for row in rows_of(found) if row["state"] == "complete"]
    journal = [json.loads(line) for line in (found.path / FILE).read_text().splitlines()]
    told = {one["trial_id"]: one["values"][0] for one in journal if one.get("values")}
    for row in rows:
        run = RunFolder(found.path / row["folder"])
        step = run.json("model/weitiao.json")["step"]
        looks = [fact for fact in read_lines(run.path / "log.jsonl") if fact["event"] == "evaluate"]
        (loss,) = {fact["validation/loss"] for fact in looks if fact["step"] == step}
        assert row["loss"] == loss > 0
        assert told[row["number"]] == pytest.approx(row["goals"][0] - 1e-7 * loss / (1 + loss), abs=1e-12)
        assert told[row["number"]] < row["goals"][0]
    alike = [{"goals": [0.0], "loss": loss, "number": number} for number, loss in enumerate((0.3, 0.2, None))]
    ahead = {"goals": [0.1], "loss": 0.9, "number": 3}
    for higher, order in ((True, [3, 1, 0, 2]), (False, [1, 0, 2, 3])):
        ranked = sorted([*alike, ahead], key=lambda row, higher=higher: standing(row, higher=higher))
        assert [row["number"] for row in ranked] == order


def test_no_trial_sees_the_test_rows_nor_those_that_confirm(found):
    everybody = RunFolder(found.path / "rows")
    sides = {side: [json.loads(line) for line in _lines(everybody, side)] for side in ("validation", "test")}
    for row in rows_of(found):
        run = RunFolder(found.path / row["folder"])
        split = run.json("data/split.json")
        assert split["test"] == []
        assert (run.path / "data" / "test.jsonl").read_text() == ""
        assert len(split["validation"]) == len(sides["validation"]) // 2
        assert not (run.path / "results.json").exists()
    assert len(RunFolder(found.path / "best").json("data/split.json")["test"]) == len(sides["test"])


def _lines(run: RunFolder, side: str) -> list[str]:
    path = run.path / "data" / FILES[side]
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode().splitlines()


def test_the_winner_is_judged_once_and_gone_on_with_is_not_judged_again(found, recipe):
    winner = found.results["winner"]
    best = max(
        (row for row in rows_of(found) if row["state"] == "complete"),
        key=lambda row: (row["goals"][0], -row["number"]),
    )
    assert winner["number"] == best["number"]
    assert winner["judged"] == [best["number"]]
    judged = (found.path / "best" / "results.json").read_bytes()
    assert winner["test"]["value"] == found.best.results["metrics"]["tuned"]["accuracy"]["value"]
    again = wt.search(recipe, trials=5, how="asha", space=SPACE, resume=True, tell=lambda *_, **__: None)
    assert again.results["winner"]["judged"] == [best["number"]]
    assert (found.path / "best" / "results.json").read_bytes() == judged
    assert found.best.predict(["a wonderful film"])


def test_rows_are_encoded_once_for_all_trials(encoded, found):
    """The training rows, those that choose, no test rows, and those of the winner; five trials were trained."""
    assert len(encoded) <= 4


def test_the_page_says_what_the_json_says(found):
    page = found.page.read_text()
    assert found.results["sentence"] in page.replace("&#39;", "'")
    assert page.count('<th scope="row">trial ') >= 5
    assert "<polyline" in page


def test_every_trial_is_a_line_of_the_table(found):
    head, *lines = (found.path / "trials.csv").read_text().splitlines()
    assert head == "number,state,accuracy,method,train.learning_rate,seconds_whole,folder"
    assert len(lines) == 5
    assert lines[0].startswith(f"0,complete,{rows_of(found)[0]['goals'][0]}")


def test_what_the_winner_is_worth_is_told_by_rows_that_had_no_say(found):
    """Counted by hand from the answers of the model."""
    winner, best = found.results["winner"], found.best
    run = RunFolder(found.path / "rows")
    _, places = halves(
        [one for one, _ in _kept(run)], np.array([group for _, group in _kept(run)]), LABELLED, seed=0
    )
    records = [_kept(run)[place][0] for place in places]
    said = best.predict([one.values["text"] for one in records])
    right = np.mean([told["label"] == one.values["label"] for told, one in zip(said, records, strict=True)])
    assert winner["value"]["value"] == pytest.approx(right)
    assert winner["rows"] == len(records)


def _kept(run: RunFolder) -> list[Any]:
    return [as_record(json.loads(line)) for line in _lines(run, "validation")]
