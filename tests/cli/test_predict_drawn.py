"""`weitiao predict` of a run that draws: PNGs in a folder, and which is which."""

from __future__ import annotations

import json

import pytest

import weitiao as wt
from tests.drawn import saved
from tests.pictures import class_folders
from weitiao.cli import run as weitiao
from weitiao.data.pictures.opening import opened

pytestmark = pytest.mark.whole


def test_each_text_gets_a_picture_in_a_new_folder(tmp_path, capsys):
    run = wt.train(
        {
            "model": saved("class", tmp_path),
            "task": {"name": "image_generation", "steps": 2, "judged_times": 1, "encoder": ""},
            "method": "lora",
            "data": {"train": [str(class_folders(tmp_path / "data", 20))]},
            "train": {"max_steps": 1},
            "output_dir": str(tmp_path / "run"),
        }
    )
    given = [str(run.path), "dark", "bright", "dark", "-o", str(tmp_path / "out")]
    assert weitiao(["predict", *given]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "drawn.jsonl").read_text().splitlines()]
    assert [line["text"] for line in lines] == ["dark", "bright", "dark"]
    assert [line["picture"] for line in lines] == ["00001.png", "00002.png", "00003.png"]
    assert all(opened(tmp_path / "out" / line["picture"]).size == (16, 16) for line in lines)
    capsys.readouterr()
    assert weitiao(["predict", *given]) == 2
    assert "output_exists" in capsys.readouterr().err
