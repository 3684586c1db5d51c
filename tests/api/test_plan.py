"""The forecast of memory and disk, on the command line too, beside the textbook and a real run."""

from __future__ import annotations

import json

import pytest
import yaml

import weitiao as wt
from weitiao import api
from weitiao.cli import run as weitiao
from weitiao.core.errors import WeitiaoError


def test_the_textbook_table_of_65_billion_parameters():
    found = api.textbook(65e9, method="full", precision="mixed")
    assert found == {
        "weights": 130e9,
        "gradients": 130e9,
        "master": 260e9,
        "first_moment": 260e9,
        "second_moment": 260e9,
    }
    assert sum(api.textbook(65e9, precision="fp32").values()) == 16 * 65e9


def test_the_textbook_of_what_trains_little():
    found = api.textbook(65e9, method="qlora", trained=2e8)
    # The paper's figure: 65B in 4.127 bits a parameter.
    assert found["weights"] == pytest.approx(65e9 * 4.127 / 8, rel=0.02)
    assert found["first_moment"] == 8e8
    with pytest.raises(WeitiaoError, match="wrong_usage"):
        api.textbook(65e9, method="lora")
    with pytest.raises(WeitiaoError, match="wrong_usage"):
        api.textbook(65e9, method="full", trained=1e9)


@pytest.mark.parametrize("kind", ["classify", "converse"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_disk_is_what_the_run_leaves_behind(request, kind, method):
    recipe = request.getfixturevalue(kind)(method=method)
    found = api.plan(recipe)
    run = wt.train(recipe)
    (newest, *_) = run.folder.checkpoints()
    size = sum(file.stat().st_size for file in newest.glob("*.safetensors"))
    assert found.checkpoint == pytest.approx(size, rel=0.15)
    assert len(run.folder.checkpoints()) <= found.checkpoints
    assert list(found.stages) == ["load", "train", "evaluate", "save"] + ["merge"] * run.method.foldable


def test_it_looks_at_the_longest_rows_and_heeds_the_batch(classify):
    small, large = api.plan(classify()), api.plan(classify(per_device_train_batch_size=32))
    assert small.batch["rows"] == 8
    assert large.batch["rows"] == 32
    assert api.plan(classify(per_device_train_batch_size=1000)).batch["rows"] == 140, "70 % of 200"
    assert large.stages["train"].activations > 3 * small.stages["train"].activations


def test_shares_of_several_processes(classify):
    alone, shared = api.plan(classify()), api.plan(classify(data_parallel="fsdp"), nproc=2)
    assert shared.stages["train"].optimizer == pytest.approx(alone.stages["train"].optimizer / 2, rel=0.01)
    assert api.plan(classify(), nproc=2).memory > 1.5 * alone.memory


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
