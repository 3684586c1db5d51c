"""What is wrong with an option is told before the work whose end would need it: nothing is printed, and nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from weitiao import api
from weitiao.cli import run as cli
from weitiao.core.errors import WeitiaoError


@pytest.fixture
def told(review_file, tmp_path, monkeypatch, capsys):
    """The code with which a command line ends; nothing was printed or written by then."""
    monkeypatch.chdir(tmp_path)

    def written() -> list[Path]:
        return sorted(path for path in tmp_path.rglob("*") if path.name != ".lock")

    def code(*words: str) -> str:
        before = written()
        assert cli([*words] if words[0] in ("init", "fetch", "report") else [*words, "--json"])
        said = capsys.readouterr()
        assert said.out == ""
        assert written() == before
        last = said.err.strip().splitlines()
        return json.loads(last[-1])["error"] if last[-1][:1] == "{" else last[0].partition("]")[0].strip("[")

    return code


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ("wrong_usage", "data check reviews.csv --fix-with nonsense"),
        ("no_permission", "data check reviews.csv --html /proc/page.html"),
        ("not_a_folder", "data check reviews.csv --html reviews.csv/page.html"),
        ("no_such_model", "data check reviews.csv --model ./gone"),
        ("no_permission", "data show reviews.csv --model ./gone --html /proc/page.html"),
        ("no_permission", "init reviews.csv --model ./gone -o /proc/recipe.yaml"),
        ("no_permission", "report gone lost --output /proc/page.html"),
        ("no_permission", "report gone --figures /proc/figures"),
        ("unknown_name", "fetch minilm-l6 nonsense"),
    ],
)
def test_an_option_that_cannot_be_heeded(expected, words, told):
    assert told(*words.split()) == expected


def test_a_copy_that_is_in_the_way_of_a_repair(told, tmp_path):
    (tmp_path / "reviews.fixed.csv").write_text("mine")
    assert told("data", "check", "reviews.csv", "--fix") == "wrong_usage"
    assert (tmp_path / "reviews.fixed.csv").read_text() == "mine"


@pytest.fixture
def begun(classify, tmp_path):
    """A run that was begun, whose rows are gone and whose model was never saved."""
    resolved = api.tried(classify(max_steps=1, output_dir="begun"))
    folder = tmp_path / "begun"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(resolved.to_yaml())
    (folder / "log.jsonl").write_text('{"event": "step", "step": 1}\n')
    Path("recipe.yaml").write_text(resolved.to_yaml().replace("reviews.csv", "gone.csv"))
    return folder


def test_rows_are_not_read_for_a_checkpoint_that_is_not_there(told, begun):
    go_on = ("train", "recipe.yaml", "--allow-change", "data.train")
    assert told(*go_on, "--resume-from-checkpoint", "begun/checkpoint-7") == "no_such_checkpoint"
    assert told(*go_on[:-1], "data.trian", "--resume") == "unknown_key"


def test_where_answers_go_is_tried_before_a_model_is_opened(told, tmp_path):
    """`gone` is no run: whoever opens it first says so."""
    (tmp_path / "there.csv").write_text("text\n")
    for output, code in (
        ("there.csv", "output_exists"),
        ("out.pdf", "output_ending"),
        ("reviews.csv/out.csv", "not_a_folder"),
        ("/proc/out.csv", "no_permission"),
    ):
        assert told("predict", "gone", "--file", "reviews.csv", "--output", output) == code, output


def test_where_a_merged_model_goes_is_tried_before_it_is_opened(told, classify, tmp_path):
    """The weights are gone: whoever opens the model first says so."""
    run = api.train(classify(max_steps=1, method="lora", evaluate={"untuned": False, "baseline": "none"}))
    (weights,) = run.path.glob("model/*.safetensors")
    weights.unlink()
    (tmp_path / "file").write_text("")
    found = api.load(run.path)
    for place, code in (
        ("file", "wrong_usage"),
        ("file/merged", "not_a_folder"),
        ("/proc/merged", "no_permission"),
        ("merged", "broken_model"),
    ):
        with pytest.raises(WeitiaoError) as caught:
            found.merge(place)
        assert caught.value.code == code, place
