"""The forecast of memory and disk, on the command line too, beside the textbook and a real run."""

from __future__ import annotations

import importlib
import json
import sys

import pytest
import yaml

import weitiao as wt
from tests.conftest import reviews, write_csv
from weitiao import api
from weitiao.cli import run as weitiao
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines


def test_the_textbook_table_of_65_billion_parameters():
    found = api.rule_of_thumb(65e9, method="full", precision="mixed")
    assert found == {
        "weights": 130e9,
        "gradients": 130e9,
        "master": 260e9,
        "first_moment": 260e9,
        "second_moment": 260e9,
    }
    assert sum(api.rule_of_thumb(65e9, precision="fp32").values()) == 16 * 65e9


def test_the_textbook_of_what_trains_little():
    found = api.rule_of_thumb(65e9, method="qlora", trained=2e8)
    # The paper's figure: 65B in 4.127 bits a parameter.
    assert found["weights"] == pytest.approx(65e9 * 4.127 / 8, rel=0.02)
    assert found["first_moment"] == 8e8
    with pytest.raises(WeitiaoError, match="wrong_usage"):
        api.rule_of_thumb(65e9, method="lora")
    with pytest.raises(WeitiaoError, match="wrong_usage"):
        api.rule_of_thumb(65e9, method="full", trained=1e9)


@pytest.mark.whole
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("classify", "full"),
        ("converse", "lora"),
        ("classify", "lora"),
        ("converse", "full"),
    ],
)
def test_disk_is_what_the_run_leaves_behind(request, kind, method):
    recipe = request.getfixturevalue(kind)(method=method)
    found = api.plan(recipe)
    run = wt.train(recipe)
    (newest, *_) = run.folder.checkpoints()
    size = sum(file.stat().st_size for file in newest.glob("*.safetensors"))
    assert found.checkpoint == pytest.approx(size, rel=0.15)
    assert len(run.folder.checkpoints()) <= found.checkpoints
    assert list(found.stages) == ["load", "train", "evaluate", "save"] + ["merge"] * run.method.foldable


@pytest.mark.whole
def test_it_looks_at_the_longest_rows_and_heeds_the_batch(classify):
    small, large = api.plan(classify()), api.plan(classify(per_device_train_batch_size=32))
    assert small.batch["rows"] == 8
    assert large.batch["rows"] == 32
    assert api.plan(classify(per_device_train_batch_size=1000)).batch["rows"] == 140, "70 % of 200"
    assert large.stages["train"].activations > 3 * small.stages["train"].activations


@pytest.mark.whole
def test_shares_of_several_processes(classify):
    alone, shared = api.plan(classify()), api.plan(classify(data_parallel="fsdp"), nproc=2)
    assert shared.stages["train"].optimizer == pytest.approx(alone.stages["train"].optimizer / 2, rel=0.01)
    assert api.plan(classify(), nproc=2).memory > 1.5 * alone.memory


@pytest.mark.whole
def test_on_the_command_line(classify, tmp_path, capsys):
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(classify()), encoding="utf-8")
    assert weitiao(["plan", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] is True
    assert found["peak"] == max(
        found["program"][name] + stage["total"] for name, stage in found["stages"].items()
    )
    assert weitiao(["plan", str(file)]) == 0
    said = capsys.readouterr().out
    assert "activations" in said
    assert "MB are free" in said
    assert not (tmp_path / "run").exists()
    assert weitiao(["plan", "--params", "65e9", "--method", "full", "--precision", "mixed"]) == 0
    said = capsys.readouterr().out
    assert said.count("260") == 3
    assert said.count("130") == 2
    assert weitiao(["plan", "--params", "65e9", "--precision", "fp32"]) == 0
    assert "not 2" not in capsys.readouterr().out
    assert weitiao(["plan"]) == 2
    for words in (
        ["--params", "inf"],
        ["--params", "-5"],
        ["--params", "1e9", "--nproc", "2"],
        ["--params", "1e9", str(file)],
    ):
        assert weitiao(["plan", *words]) == 2
    for words in (["--method", "full"], ["--trained", "5"], ["--precision", "fp32"]):
        assert weitiao(["plan", str(file), *words]) == 2, "an option that nothing would read"
    assert weitiao(["plan", "--params", "1e9", "--precision", "fp8"]) == 2


@pytest.mark.whole
def test_steps_and_time_follow_rows_and_epochs(classify, monkeypatch):
    # A machine that is always as quick: one product, one byte, one call a second.
    from weitiao.train import pace

    monkeypatch.setattr(pace, "pace", lambda device, dtype: pace.Pace(1e12, 1e12, 1e12))
    one, three = api.plan(classify()), api.plan(classify(num_train_epochs=3))
    assert one.steps == 18, "140 rows in batches of 8"
    assert three.steps == 54
    assert three.seconds == pytest.approx(3 * one.seconds)
    assert api.plan(classify(num_train_epochs=3, max_steps=27)).seconds == pytest.approx(1.5 * one.seconds)
    (end,) = [line for line in read_lines(wt.train(classify()).path / "log.jsonl") if line["event"] == "end"]
    assert end["step"] == one.steps


@pytest.mark.whole
def test_a_sample_is_counted_up_to_the_whole_file(classify, monkeypatch):
    plan = importlib.import_module("weitiao.forecast.looked")
    small = {"per_device_train_batch_size": 4, "per_device_eval_batch_size": 4}
    whole = api.plan(classify(**small))
    monkeypatch.setattr(plan, "ROWS", 100)
    monkeypatch.setattr(plan, "JUDGED", 20)
    part = api.plan(classify(**small))
    assert (whole.rows, part.rows) == (200, 120)
    assert part.steps == pytest.approx(whole.steps, abs=1)
    asked = api.plan(classify(**small, data={"train": f"{classify()['data']['train']}#100"}))
    assert asked.steps == pytest.approx(whole.steps / 2, abs=1), "a sample that is asked for is all there is"


@pytest.mark.whole
def test_of_a_long_text_only_what_may_be_read_is_encoded(classify, review_file, monkeypatch):
    from weitiao.data.tokens import Tokens

    rows = review_file.read_text(encoding="utf-8").splitlines()
    for place in range(1, len(rows)):
        times = 5000 if place == 1 else 20
        rows[place] = f'"the {place} {"film was very good " * times}",{("good", "bad")[place % 2]}'
    review_file.write_text("\n".join(rows), encoding="utf-8")
    met, whole = [], Tokens.whole
    monkeypatch.setattr(
        Tokens, "whole", lambda self, texts: met.extend(map(len, texts)) or whole(self, texts)
    )
    found = api.plan(classify(data={"max_length": 32}))
    # Its tokens are 19 / 4 characters wide, and may be a quarter wider elsewhere.
    assert len(met) == 200
    assert 32 * 19 / 4 < max(met) <= 32 * 6
    assert found.batch["tokens"] + found.batch["padding"] == 8 * 32


def test_a_plan_imports_nothing_that_judges(classify, monkeypatch):
    """Scikit-learn takes most of a second, and what it takes of memory is known."""
    for name in {"sklearn", "scipy.stats", *sys.modules}:
        if name.startswith(("sklearn", "scipy.stats")):
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError):
        importlib.import_module("sklearn.metrics")
    assert api.plan(classify()).program["evaluate"] > 0


@pytest.mark.whole
def test_a_plan_counts_rows_as_often_as_they_come(classify, review_file, tmp_path):
    """Two files, one of which comes three times an epoch: as many steps as the run then takes."""
    other = write_csv(tmp_path / "other.csv", reviews(40, seed=9))
    data = {"train": [str(review_file), str(other)], "weights": [1, 3]}
    recipe = classify(data=data, evaluate={"untuned": False, "baseline": "none"})
    planned = wt.plan(recipe).steps
    assert planned > wt.plan({**recipe, "data": {**recipe["data"], "weights": None}}).steps
    run = wt.train(recipe)
    taken = [line for line in read_lines(run.path / "log.jsonl") if line["event"] == "step"]
    assert planned == len(taken)


@pytest.mark.parametrize("word", ["group_by=user", "column=user", "time=when"])
def test_a_plan_names_the_file_and_not_the_sample_it_looks_at(word, classify, review_file):
    key, _, column = word.partition("=")
    with pytest.raises(WeitiaoError, match="no_such_column") as caught:
        wt.plan(classify(data={"split": {key: column}}))
    assert caught.value.values["path"] == str(review_file)
