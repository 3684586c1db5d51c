"""Pictures damaged by fixed strengths: what each does, that no file is made, and what `weitiao stress` and `report` say of it."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image, ImageFilter

import weitiao as wt
from tests.pictures import toy
from weitiao.cli import run as weitiao
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.files import read_lines
from weitiao.data.pictures.damage import DAMAGE, KINDS, damaged
from weitiao.data.pictures.looks import looked
from weitiao.data.shapes import BOXED, CAPTIONED, PICTURED
from weitiao.evaluate.analysis.parts import parts_of
from weitiao.evaluate.paired import holm
from weitiao.evaluate.stress.damaged import damaged as by_kind
from weitiao.evaluate.stress.damaged import damages
from weitiao.stages.kept_rows import kept

pytestmark = pytest.mark.whole


def noisy(side=40, *, seed=0, low=60, high=200):
    pixels = np.random.default_rng(seed).integers(low, high, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def array(picture):
    return np.asarray(picture, dtype=float)


def test_each_damage_is_what_it_is_called():
    picture, plain = noisy(), Image.new("RGB", (60, 60), (100, 120, 140))
    before = array(picture)
    noise = array(damaged(plain, "noise 3")) - array(plain)
    assert noise.std() == pytest.approx(25.5, rel=0.05)
    assert abs(noise.mean()) < 1
    assert damaged(picture, "noise 3").tobytes() != damaged(picture, "noise 4").tobytes()
    expected = picture.filter(ImageFilter.GaussianBlur(0.8))
    assert damaged(picture, "blur 1").tobytes() == expected.tobytes()
    assert np.abs(array(damaged(picture, "darker 1")) - before * 0.6).max() <= 0.5
    assert np.abs(array(damaged(picture, "brighter 1")) - np.minimum(before * 1.4, 255)).max() <= 0.5
    assert array(damaged(picture, "fainter 1")).std() == pytest.approx(before.std() / 2, rel=0.05)
    grey = array(damaged(picture, "grey 1"))
    assert np.abs(grey[..., 0] - before @ [0.299, 0.587, 0.114]).max() <= 1
    assert (grey == grey[..., :1]).all()
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=15)
    assert damaged(picture, "jpeg 1").tobytes() == Image.open(held).convert("RGB").tobytes()
    step = Image.fromarray(np.repeat(np.arange(0, 40, dtype=np.uint8)[None, :, None] * 5, 40, 0).repeat(3, 2))
    coarse = array(damaged(step, "coarse 1"))
    assert np.abs(coarse[:, 1:-1] - array(step)[:, 1:-1]).max() <= 3
    assert array(damaged(picture, "coarse 1")).std() < 0.7 * before.std()
    closer = array(damaged(step, "closer 1"))
    assert closer[0, 0, 0] == pytest.approx(4 * 5, abs=5)
    assert closer[0, -1, 0] == pytest.approx(35 * 5, abs=5)
    left, right = (array(damaged(step, f"rotated {seed}")) for seed in (1, 2))
    assert np.abs(left[10:30, 10:30] - right[10:30, 10:30][::-1]).max() <= 12
    assert not np.allclose(left, right)
    assert all(damaged(picture, f"{name} 1").size == picture.size for name in KINDS)


def test_boxes_and_masks_are_asked_only_what_moves_nothing():
    assert {one.name for one in damages(PICTURED)} == {*KINDS}
    assert {one.name for one in damages(BOXED)} == {*KINDS} - {"rotated", "closer"}
    assert damages(CAPTIONED) == [], "what is drawn is the answer"


def test_what_changes_nothing_is_no_changed_row(tmp_path):
    Image.new("RGB", (9, 9), (128, 128, 128)).save(tmp_path / "flat.png")
    path = str(tmp_path / "flat.png")
    row = Record("t", 1, {"image": path, **looked(path).columns(), "label": "a"})
    made = {one.name for one, rows in by_kind([row], PICTURED, seed=0).items() if rows}
    assert made == {"noise", "darker", "brighter"}
    again = by_kind([row], PICTURED, seed=0)
    assert again == by_kind([row], PICTURED, seed=0)
    assert again != by_kind([row], PICTURED, seed=1)


def bright_or_dark(folder, count):
    """Labels that `darker` turns round; every third picture is in colour, and some are small."""
    for number in range(count):
        label = ("bright", "dark")[number % 2]
        low = 150 if label == "bright" else 90
        picture = noisy(24 if number % 5 else 48, seed=number, low=low, high=low + 40)
        (folder / label).mkdir(parents=True, exist_ok=True)
        picture = picture if number % 3 == 0 else picture.convert("L")
        picture.save(folder / label / f"{number:03}.png")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("damaged")
    train = {"num_train_epochs": 8, "learning_rate": 1e-2, "eval_strategy": "no", "bf16": False}
    train |= {"load_best_model_at_end": False, "early_stopping_patience": None}
    recipe = {
        "model": toy("resnet"),
        "task": {"name": "image_classification"},
        "data": {
            "train": str(bright_or_dark(home / "own", 160)),
            "near_duplicates": "keep",
            "split": {"test": 0.4},
        },
        "method": "full",
        "output_dir": str(home / "run"),
        "train": train,
        "evaluate": {"baseline": "none"},
    }
    return wt.train(recipe)


def test_the_numbers_are_those_of_the_damaged_files(run, tmp_path):
    """The same pictures damaged by hand and saved, asked through `predict`."""
    found = run.stress(tell=lambda *_, **__: None).results
    assert found["missing"] == []
    lines = {one["name"]: one for one in found["written_otherwise"]["perturbations"]}
    assert {*lines} == {*KINDS}
    rows = [record for record, _ in kept(run.folder, "test")]
    assert "no texts" in found["swaps"]["why"]
    for name in ("darker", "jpeg"):
        own = lines[name]["systems"]["tuned"]
        hits, before = [], []
        for number, row in enumerate(rows):
            picture = Image.open(row.values["image"]).convert("RGB")
            damaged(picture, f"{name} 1").save(tmp_path / f"{name}-{number}.png")
            paths = [row.values["image"], str(tmp_path / f"{name}-{number}.png")]
            first, then = run.predict(paths)
            before.append(first["label"] == row.values["label"])
            hits.append(then["label"] == row.values["label"])
        assert own["before"] == pytest.approx(np.mean(before))
        assert own["after"] == pytest.approx(np.mean(hits))
        assert own["difference"] == pytest.approx(np.mean(hits) - np.mean(before))
    dark = lines["darker"]["systems"]["tuned"]
    assert dark["high"] < 0, "what was bright is dark now"
    tuned = [one["systems"]["tuned"] for one in lines.values() if one["systems"]]
    assert [one["p_holm"] for one in tuned] == pytest.approx(holm([one["p_value"] for one in tuned]))
    grey = lines["grey"]
    coloured = sum(looked(row.values["image"]).colour > 0 for row in rows)
    assert grey["changed"] == coloured
    assert "untuned" in lines["darker"]["systems"]
    page = run.report.read_text(encoding="utf-8")
    assert "Pictures from a worse camera" in page
    assert "strong JPEG compression" in page
    assert not list(run.path.rglob("*.png"))


def test_a_rate_is_refused_and_nothing_else_is_asked_for(run, capsys):
    with pytest.raises(WeitiaoError, match="fixed strengths"):
        run.stress(rate=0.1)
    assert weitiao(["stress", str(run.path), "--rows", "20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 20


def test_an_example_is_damaged_when_it_is_read(run):
    (row, *_) = [record for record, _ in kept(run.folder, "test")]
    told = Record(row.file, row.line, {**row.values, DAMAGE: "noise 5"})
    plain, changed = (example for _, example in run.read([row, told]))
    task = run.task
    (was,), (now,) = task.read([plain]), task.read([changed])
    assert now.picture.tobytes() == damaged(was.picture, "noise 5").tobytes()


def test_judged_pictures_are_sliced_by_what_is_known_of_them(run):
    rows = read_lines(run.path / "predictions.jsonl")
    parts = parts_of(rows)
    by = {}
    for part in parts:
        by.setdefault(part.by, []).append(part)
    assert {"pixels", "light", "contrast", "colours"} <= {*by}
    assert "aspect" not in by, "all are square"
    assert {part.name.en for part in by["colours"]} == {"grey", "in colour"}
    for row_number, row in enumerate(rows):
        with Image.open(row["image"]) as picture:
            mode = picture.mode
        (colours,) = (part.name.en for part in by["colours"] if part.rows[row_number])
        assert colours == ("grey" if mode == "L" else "in colour")
        assert sum(part.rows[row_number] for part in by["light"]) == 1
    small = [part for part in by["pixels"] if part.name.en.startswith("576")]
    assert small
    assert all((rows[n]["width"] == 24) for n in np.flatnonzero(small[0].rows))
    wt.report(run.path)
    found = json.loads((run.path / "analysis.json").read_text(encoding="utf-8"))["slices"]
    assert {"light", "colours"} <= {one["by"] for one in found["slices"]}
    assert "unseen_words" not in found["undefined"]
