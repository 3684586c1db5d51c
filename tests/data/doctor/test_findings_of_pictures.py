"""What is odd about pictures and their boxes is said, and what is not is not."""

from __future__ import annotations

from PIL import Image

from tests.pictures import class_folders
from weitiao import cli
from weitiao.core.contracts import Record
from weitiao.data.doctor.examine import examine
from weitiao.data.shapes import BOXED, PICTURED


def picture(number, size=(64, 48), objects=(), **more):
    width, height = size
    values = {
        "image": f"/p/{number}.png",
        "sha256": str(number),
        "phash": f"{number * 7919:016x}",
        "width": width,
        "height": height,
        "light": 0.5,
        **more,
    }
    return Record("p", number, {**values, "objects": list(objects)} if not more else values)


def box(label="cat", sides=(5, 5, 20, 20)):
    return {"label": label, "box": list(sides)}


def found(rows, shape=BOXED):
    return {one.code: one for one in examine(rows, shape, ledger={}).findings}


def test_odd_sizes_are_named_with_their_places():
    rows = [picture(number, objects=[box()] * 2) for number in range(1, 60)]
    assert "odd_sizes" not in found(rows)
    rows += [picture(60, (2000, 20)), picture(61, (1, 1)), picture(62, (900, 900)), picture(63, (70, 60))]
    one = found(rows)["odd_sizes"]
    assert one.count == 3
    assert "2000 x 20, 1 x 1, 900 x 900; most often 64 x 48" in one.text
    assert [place.rpartition(" ")[2] for place in one.places] == ["60", "61", "62"]
    labelled = [picture(number, label="ab"[number % 2]) for number in range(60)] + [
        picture(61, (1, 1), label="a")
    ]
    assert found(labelled, PICTURED)["odd_sizes"].count == 1


def test_labels_of_boxes_are_counted_by_box_and_odd_boxes_named():
    rows = [picture(number, objects=[box()] * 12 + [box("dog")]) for number in range(1, 60)]
    diagnosis = examine(rows, BOXED, ledger={})
    assert diagnosis.tables["things"] == {"cat": 708, "dog": 59}
    codes = found(rows)
    assert '"cat" has 708 boxes, "dog" 59' in codes["uneven_things"].text
    assert not {"rare_things", "small_boxes", "whole_boxes", "no_boxes"} & set(codes)
    rows += [
        picture(70, objects=[box("eel", (1, 1, 3, 9))]),
        picture(71, objects=[box(sides=(0, 0, 64, 48))]),
    ]
    codes = found([*rows, picture(72)])
    assert "eel (1)" in codes["rare_things"].text
    assert [
        codes[name].places[0].rpartition(" ")[2] for name in ("small_boxes", "whole_boxes", "no_boxes")
    ] == [
        "70",
        "71",
        "72",
    ]


def test_pictures_that_are_nearly_the_same_are_seen_on_the_page(tmp_path):
    folder = class_folders(tmp_path / "pictures", 12)
    first = min(folder.rglob("*.png"))
    with Image.open(first) as picture:
        picture.convert("RGB").point(lambda shade: min(255, shade + 3)).save(first.with_name("copy.png"))
    assert cli.run(["data", "check", str(folder), "--html", str(tmp_path / "check.html")]) == 0
    html = (tmp_path / "check.html").read_text(encoding="utf-8")
    assert html.count('<img src="data:image/jpeg;base64,') == 2
    assert f"{first.parent.name}/copy.png" in html
    assert f"{first.parent.name}/{first.name}" in html
