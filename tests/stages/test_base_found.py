"""A run is used from other folders than the one it was made in, and it, its base and its rows move."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import weitiao as wt
from tests.conftest import dialogues, reviews, write_csv, write_jsonl
from tests.train.test_loop import KillAt, Killed, steps
from weitiao.cli.verbs import app
from weitiao.core.errors import WeitiaoError

TEXTS = ["the plot was great", "a dull story"]


def recipe(**words) -> dict:
    return {
        "model": "base",
        "task": "text_classification",
        "method": "lora",
        "data": {"train": "rows.csv"},
        "train": {"max_steps": 4, "bf16": False, "save_strategy": "steps", "save_steps": 2},
        "evaluate": {"resamples": 100},
        "output_dir": "run",
        **words,
    }


@pytest.fixture(scope="module")
def made(bert, tmp_path_factory):
    """A folder with a base, rows and a run of them, all named by relative paths."""
    place = tmp_path_factory.mktemp("made")
    shutil.copytree(bert, place / "base")
    write_csv(place / "rows.csv", reviews(80))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        wt.train(recipe())
    return place


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    """A copy of it, which no test shares, used from a folder that is not it; the place where it was made is gone."""
    shutil.copytree(made, tmp_path / "there")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    hidden = made.with_name("hidden")
    made.rename(hidden)
    yield tmp_path / "there"
    hidden.rename(made)


def scores(run: wt.Run) -> list[float]:
    return [row["score"] for row in run.predict(TEXTS)]


@pytest.mark.whole
def test_every_word_finds_the_base_from_another_folder(made, tmp_path, monkeypatch):
    before = wt.load(made / "run").results["metrics"]
    monkeypatch.chdir(tmp_path)
    wanted = scores(wt.load(made / "run"))
    (made / "run" / "predictions.jsonl").unlink()  # so that the baseline reads its rows again
    assert wt.evaluate(made / "run").results["metrics"] == before
    held = wt.adapters(made / "run")
    assert [row["score"] for row in held.predict(TEXTS)] == pytest.approx(wanted)
    wt.load(made / "run").merge("merged")
    rows = {"data": {"train": str(made / "rows.csv")}}
    begun = recipe(model=str(made / "base"), start_from=str(made / "run"), output_dir="second", **rows)
    assert wt.train(begun).results
    config = json.loads((made / "run" / "model" / "adapter_config.json").read_text())
    assert Path(config["base_model_name_or_path"]).samefile(made / "base"), "PEFT opens it from anywhere, too"


def test_a_run_that_moved_together_with_its_base_finds_it(made, place):
    assert not made.exists()
    assert scores(wt.load(place / "run")) == scores(wt.load(place / "run", base=place / "base"))


def test_a_run_that_moved_alone_finds_the_base_where_it_lay(made, tmp_path, monkeypatch):
    shutil.copytree(made / "run", tmp_path / "far" / "away" / "run")
    monkeypatch.chdir(tmp_path)
    assert scores(wt.load("far/away/run")) == pytest.approx(scores(wt.load(made / "run")))


def test_a_base_that_is_gone_is_named_and_can_be_said(made, place):
    wanted = scores(wt.load(place / "run"))
    (place / "base").rename(place / "elsewhere")
    with pytest.raises(WeitiaoError, match="base_gone") as caught:
        wt.load(place / "run").predict(TEXTS)
    print = json.loads((place / "run" / "model" / "weitiao.json").read_text())["base"]["fingerprint"]
    for word in ('"base"', str(place / "base"), str(made / "base"), print[:12], "--base"):
        assert word in str(caught.value)
    assert scores(wt.load(place / "run", base=place / "elsewhere")) == wanted
    said = ["--base", str(place / "elsewhere")]
    for words in (["predict", "../there/run", TEXTS[0]], ["merge", "../there/run", "-o", "merged"]):
        assert CliRunner().invoke(app, words).exit_code
        assert CliRunner().invoke(app, [*words, *said]).exit_code == 0
    assert CliRunner().invoke(app, ["evaluate", "../there/run", "--quiet", *said]).exit_code == 0
    assert wt.adapters(wt.load(place / "run", base=place / "elsewhere")).names == ["run"]


def test_another_model_in_its_place_or_said_to_be_it_is_refused(place):
    config = place / "base" / "config.json"
    config.write_text(config.read_text().replace("}", " }", 1))
    with pytest.raises(WeitiaoError, match="wrong_base"):
        wt.load(place / "run").predict(TEXTS)
    with pytest.raises(WeitiaoError, match="wrong_base"):
        wt.load(place / "run", base=place / "base").predict(TEXTS)


@pytest.mark.whole
def test_a_chat_finds_its_base_too(llama, tmp_path, monkeypatch):
    shutil.copytree(llama, tmp_path / "base")
    write_jsonl(tmp_path / "rows.jsonl", dialogues(20))
    monkeypatch.chdir(tmp_path)
    quick = {"resamples": 100, "samples": 0, "untuned": False}
    wt.train(recipe(task="sft", data={"train": "rows.jsonl"}, evaluate=quick))
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    monkeypatch.chdir("/")
    words = ["chat", str(tmp_path / "run"), "--max-new-tokens", "1"]
    assert CliRunner().invoke(app, words, input="the film\n\n").exit_code
    assert CliRunner().invoke(app, [*words, "--base", str(tmp_path / "elsewhere")], input="\n").exit_code == 0


@pytest.mark.whole
def test_a_run_goes_on_from_another_folder_only_where_it_was_begun(made, place, monkeypatch):
    monkeypatch.chdir(place)
    with pytest.raises(Killed):
        wt.train(recipe(output_dir="cut"), watchers=[KillAt(3)])
    monkeypatch.chdir(place.parent / "here")
    with pytest.raises(WeitiaoError, match="run_elsewhere") as caught:
        wt.train("../there/cut/recipe.yaml", resume=True)
    assert f"cd {place}" in str(caught.value)
    assert not Path("cut").exists()
    # The way out, followed: everything is said anew, and is the same by its fingerprint.
    now = ["output_dir=../there/cut", "data.train=../there/rows.csv"]
    shutil.copytree(place / "base", place / "other")
    (place / "other" / "config.json").write_text((place / "base" / "config.json").read_text() + "\n")
    with pytest.raises(WeitiaoError, match="other_data"):
        wt.train("../there/cut/recipe.yaml", overrides=[*now, "model=../there/other"], resume=True)
    run = wt.train("../there/cut/recipe.yaml", overrides=[*now, "model=../there/base"], resume=True)
    assert steps(run.path) == steps(place / "run")
