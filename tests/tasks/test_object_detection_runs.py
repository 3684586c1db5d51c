"""Object detection from files to pictures with boxes on them: trained, judged, shown and asked as users do."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import weitiao as wt
from tests.boxed import boxed, saved
from weitiao.cli import run
from weitiao.data.pictures.drawn import FOUND, THERE

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def yard(tmp_path_factory):
    """A folder with COCO JSON, and a run that was trained on it; it tells everything, however unsure."""
    home = tmp_path_factory.mktemp("yard")
    rows, labels = boxed(24), {"cat": 7, "dog": 9}
    images, annotations = [], []
    for number, row in enumerate(rows, start=1):
        Path(row["image"]).rename(home / f"{number}.png")
        images.append(
            {"id": number, "file_name": f"{number}.png", "width": row["width"], "height": row["height"]}
        )
        annotations += [
            {
                "id": len(annotations) + place,
                "image_id": number,
                "category_id": labels[one["label"]],
                "bbox": one["box"],
                "area": one["box"][2] * one["box"][3],
                "iscrowd": 0,
            }
            for place, one in enumerate(row["objects"])
        ]
    categories = [{"id": number, "name": name} for name, number in labels.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (home / "yard.json").write_text(json.dumps(content), encoding="utf-8")
    boxed.cache_clear()  # its pictures lie elsewhere now
    wt.train(
        {
            "model": str(saved("yolos", home / "base")),
            "task": {"name": "object_detection", "threshold": 0.0},
            "data": {"train": str(home / "yard.json"), "near_duplicates": "keep"},
            "method": "full",
            "output_dir": str(home / "run"),
            "train": {"num_train_epochs": 1, "per_device_train_batch_size": 8, "bf16": False},
        }
    )
    return home


def asked(capsys, *words):
    code = run([*map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def has(picture, colour):
    pixels = np.array(picture.convert("RGB")).astype(int)
    return bool((np.abs(pixels - colour).sum(-1) < 60).any())


def test_the_page_draws_what_went_wrong(yard):
    page = (yard / "run" / "report.html").read_text(encoding="utf-8")
    results = wt.load(yard / "run").results
    section = results["sections"]["wrong_boxes"]
    assert section["rows"]
    for row in section["rows"]:
        assert row["picture"] in page
        seen = Image.open(io.BytesIO(base64.b64decode(row["picture"].partition(",")[2])))
        assert has(seen, FOUND)  # a threshold of 0 tells of everything
        assert {fact["name"]["en"] for fact in row["facts"]} <= {
            "missed",
            "wrong label",
            "badly placed",
            "found twice",
            "nothing there",
        }


def test_a_folder_is_asked_and_gets_pictures_with_boxes(yard, tmp_path, capsys):
    folder = tmp_path / "new"
    (folder / "deep").mkdir(parents=True)
    for name in ("one.png", "deep/one.png", "three.jpg"):
        Image.new("RGB", (64, 48), (60, 60, 60)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no picture")
    code, out, err = asked(capsys, "predict", yard / "run", folder, "--drawn", tmp_path / "seen", "--json")
    assert code == 0
    lines = [line for line in map(json.loads, out.splitlines()) if "unusable" not in line]
    names = {Path(line["drawn"]).name for line in lines}
    assert (
        names
        == {"one.png", "one-2.png", "three.jpg"}
        == {path.name for path in (tmp_path / "seen").iterdir()}
    )
    assert "broken.png" in err
    for line in lines:
        drawn, plain = Image.open(line["drawn"]), Image.open(line["image"])
        assert drawn.width * plain.height == drawn.height * plain.width
        assert has(drawn, FOUND)
        assert not has(plain, FOUND)
        assert not has(drawn, THERE)
    # Into a table, too; and never over what is there.
    words = ("predict", yard / "run", folder / "one.png", "--drawn")
    code, _, err = asked(capsys, *words, tmp_path / "seen")
    assert code == 2
    assert "drawn_exists" in err
    code, _, _ = asked(capsys, *words, tmp_path / "again", "-o", tmp_path / "out.csv")
    assert code == 0
    assert "again/one.png" in (tmp_path / "out.csv").read_text(encoding="utf-8").replace("\\", "/")


def test_a_line_says_what_was_found_and_where(yard, capsys):
    code, out, _ = asked(capsys, "predict", yard / "run", yard / "1.png")
    found = wt.load(yard / "run").predict(str(yard / "1.png"))[0]["objects"]
    assert code == 0
    first = found[0]
    assert out.startswith(f"{first['label']} {first['score']:.2f} [{first['box'][0]:g}, ")
    assert out.rstrip().endswith("1.png")


def test_rows_are_shown_with_their_boxes_before_anything_is_learnt(yard, tmp_path, capsys):
    page = tmp_path / "rows.html"
    words = ("data", "show", yard / "yard.json", "--task", "object_detection", "--model", yard / "base")
    code, _, _ = asked(capsys, *words, "--rows", "1", "--html", page)
    assert code == 0
    written = page.read_text(encoding="utf-8")
    assert "40 x 30" in written
    url = written.partition('src="data:image/jpeg;base64,')[2].partition('"')[0]
    assert has(Image.open(io.BytesIO(base64.b64decode(url))), THERE)


def test_what_is_not_drawn_is_refused_before_anything_is_looked_at(classify, tmp_path, capsys):
    recipe = classify(output_dir=str(tmp_path / "run"), num_train_epochs=1)
    wt.train(recipe)
    code, _, err = asked(capsys, "predict", tmp_path / "run", "a text", "--drawn", tmp_path / "seen")
    assert code == 2
    assert "leave out --drawn" in err
    assert not (tmp_path / "seen").exists()


def test_what_is_offered_next_works_on_pictures(yard, capsys):
    """A table beside the run would name pictures that lie elsewhere, and nobody asks a detector with a text."""
    from weitiao.cli.show import next_steps

    next_steps(wt.load(yard / "run"))
    said = capsys.readouterr().out.replace("\n", " ")
    assert f"weitiao predict {yard / 'run'}" in said
    assert ".png --drawn" in said
    assert "weitiao data show" in said
    assert "weitiao init" not in said
