"""Pictures among the words of a conversation: every way to write them down is one row, and what is wrong is said of that row."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.seeing import picture, question
from weitiao.core.contracts import Record
from weitiao.core.recipe import Data
from weitiao.data import formats
from weitiao.data.check import check, inspect
from weitiao.data.formats import Unusable
from weitiao.data.shapes import CONVERSATION, PREFERENCE
from weitiao.data.split import split

ANSWER = {"role": "assistant", "content": "red"}


@pytest.fixture
def red(tmp_path) -> Path:
    return picture(tmp_path / "pictures" / "red.png", "red", 0)


def user(content, **more):
    return {"role": "user", "content": content, **more}


def converted(row, home: Path, format: str = "messages", repairs=None):
    record = Record(str(home / "rows.jsonl"), 1, row)
    return formats.convert(record, format=format, columns={}, repairs=repairs).values["messages"]


def inline(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


WRITTEN = {
    "openai": lambda path: {"messages": [user([{"type": "text", "text": "what "}, {"type": "image_url", "image_url": {"url": path}}]), ANSWER]},
    "responses": lambda path: {"messages": [user([{"type": "input_text", "text": "what "}, {"type": "input_image", "image_url": path}]), ANSWER]},
    "hf path": lambda path: {"messages": [user([{"type": "text", "text": "what "}, {"type": "image", "path": path}]), ANSWER]},
    "hf image": lambda path: {"messages": [user([{"type": "text", "text": "what ", "image": None}, {"type": "image", "image": path, "text": None}]), ANSWER]},
    "hf bytes": lambda path: {"messages": [user([{"type": "text", "text": "what "}, {"type": "image", "image": {"bytes": Path(path).read_bytes(), "path": None}}]), ANSWER]},
    "trl parts": lambda path: {"messages": [user([{"type": "text", "text": "what "}, {"type": "image"}]), ANSWER], "images": [path]},
    "llama factory": lambda path: {"messages": [user("what <image>"), ANSWER], "images": [path]},
    "one picture": lambda path: {"messages": [user("what <image>"), ANSWER], "images": path},
    "a cell": lambda path: {"messages": json.dumps([user("what <image>"), ANSWER]), "images": json.dumps([path])},
    "ollama": lambda path: {"messages": [user("what <image>", images=[path]), ANSWER]},
}  # fmt: skip
OTHERS = {
    "sharegpt": lambda path: {"conversations": [{"from": "human", "value": "what <image>"}, {"from": "gpt", "value": "red"}], "images": [path]},
    "alpaca": lambda path: {"instruction": "what <image>", "output": "red", "images": [path]},
    "prompt_completion": lambda path: {"prompt": [user("what <image>")], "completion": [ANSWER], "images": [path]},
}  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("spelt", ["relative", "absolute", "file", "data"])
def test_every_way_to_write_a_picture_down_is_the_same_row(written, spelt, red, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ways = {
        "relative": "pictures/red.png",
        "absolute": str(red),
        "file": red.as_uri(),
        "data": inline(red),
    }
    if written == "hf bytes" and spelt not in ("relative", "absolute"):
        pytest.skip("bytes are bytes")
    asked, answered = converted(WRITTEN[written](ways[spelt]), tmp_path)
    (shown,) = asked["images"]
    assert (asked["content"], answered) == ("what <image>", ANSWER)
    assert (shown["width"], shown["height"]) == (16, 16)
    assert Path(shown["image"]).read_bytes() == red.read_bytes()
    if written != "hf bytes" and spelt != "data":
        assert shown["image"] == str(red)


@pytest.mark.parametrize("format", OTHERS)
def test_the_other_formats_of_conversations_take_a_column_of_pictures(format, red, tmp_path):
    asked, answered = converted(OTHERS[format](str(red)), tmp_path, format)
    assert (asked["content"], answered["content"]) == ("what <image>", "red")
    assert asked["images"][0]["image"] == str(red)


def test_pictures_go_to_their_places_in_order(tmp_path):
    paths = [str(picture(tmp_path / f"{n}.png", "blue", n)) for n in range(3)]
    turns = [
        user("<image> and <image>"),
        ANSWER,
        user([{"type": "image"}, {"type": "text", "text": " too ?"}]),
        ANSWER,
    ]
    found = converted({"messages": turns, "images": paths}, tmp_path)
    assert [[each["image"] for each in turn.get("images", ())] for turn in found] == [
        paths[:2],
        [],
        paths[2:],
        [],
    ]
    assert found[2]["content"] == "<image> too ?"


def test_pictures_without_any_mark_stand_before_the_first_words_as_in_trl_and_it_is_said(red, tmp_path):
    repairs: list[str] = []
    asked, _ = converted(
        {"messages": [user("what ?"), ANSWER], "images": [str(red)]}, tmp_path, repairs=repairs
    )
    assert asked["content"] == "<image>what ?"
    assert repairs == [
        "no mark says where its 1 pictures stand: they are put before the first words of the user"
    ]


def test_a_text_that_spells_the_mark_is_a_text(tmp_path):
    asked, _ = converted({"messages": [user("write <image> in HTML"), ANSWER]}, tmp_path)
    assert asked == user("write <image> in HTML")


FAULTS = {
    "2 pictures (<image>), and 1 are given": {"messages": [user("<image> <image>"), ANSWER], "images": ["pictures/red.png"]},
    "1 pictures (<image>), and 2 are given": {"messages": [user("<image>"), ANSWER], "images": ["pictures/red.png"] * 2},
    "1 pictures (<image>), and 0 are given": {"messages": [user([{"type": "image"}]), ANSWER]},
    "lies on the net, and nothing is fetched": {"messages": [user("<image>"), ANSWER], "images": ["https://example.org/red.png"]},
    "lies outside of": {"messages": [user("<image>"), ANSWER], "images": ["../red.png"]},
    "there is no": {"messages": [user("<image>"), ANSWER], "images": ["pictures/blue.png"]},
    "a broken picture (image file is truncated)": {"messages": [user("<image>"), ANSWER], "images": ["pictures/broken.png"]},
    "its text spells <image>, too": {"messages": [user([{"type": "text", "text": "<image> "}, {"type": "image", "path": "pictures/red.png"}]), ANSWER]},
    "holds parts that are not text": {"messages": [user([{"type": "video", "path": "a.mp4"}]), ANSWER]},
}  # fmt: skip


@pytest.mark.parametrize("said", FAULTS)
def test_what_is_wrong_with_a_picture_is_said_of_its_row(said, red, tmp_path):
    (tmp_path / "pictures" / "broken.png").write_bytes(red.read_bytes()[:60])
    with pytest.raises(Unusable) as found:
        converted(FAULTS[said], tmp_path)
    assert said in str(found.value)


def test_no_good_row_is_lost_beside_bad_ones(red, tmp_path):
    rows = [*FAULTS.values(), question("pictures/red.png", "red"), {"messages": [user("hello"), ANSWER]}]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    checked = inspect(Data(train=[str(file)]), CONVERSATION)
    assert [row.line for row in checked.rows] == [len(FAULTS) + 1, len(FAULTS) + 2]
    assert [row["line"] for row in checked.bad] == [*range(1, len(FAULTS) + 1)]


def test_preferences_do_not_take_pictures_and_say_so(red, tmp_path):
    row = {"chosen": [user([{"type": "image", "path": str(red)}]), ANSWER], "rejected": [user("no"), ANSWER]}
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    checked = inspect(Data(train=[str(file)]), PREFERENCE)
    assert "turns show pictures, which this row format does not take" in checked.bad[0]["reason"]


def test_one_picture_is_never_on_two_sides(tmp_path):
    """Each picture is asked about three times, and some rows show two: who shares one stays together."""
    rows = []
    for number in range(12):
        name = f"{number}.png"
        made = picture(tmp_path / name, [*["red", "green", "blue", "yellow"]][number % 4], number)
        other = tmp_path / f"copy{number}.png"
        other.write_bytes(made.read_bytes())
        for place, path in enumerate((name, name, other.name)):
            asked = [user(f"what {place} <image>"), {"role": "assistant", "content": f"{number}"}]
            rows.append({"messages": asked, "images": [path]})
    rows.append({"messages": [user("<image> and <image>"), ANSWER], "images": ["0.png", "1.png"]})
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for near in ("group", "keep"):
        data = Data(train=[str(file)], near_duplicates=near)
        checked = check(data, CONVERSATION)
        sides = split(checked, data, seed=1)
        seen: dict[str, set[str]] = {}
        for side, places in sides.items():
            for row in (checked.rows[int(place)] for place in places):
                for each in CONVERSATION.shown(row.values)[: None if near == "group" else 1]:
                    seen.setdefault(each["sha256"], set()).add(side)
        assert len(seen) == 12
        assert all(len(its) == 1 for its in seen.values())


def test_rows_of_one_picture_that_say_the_same_are_one_and_others_are_not(red, tmp_path):
    rows = [
        {"messages": [user("what <image>"), ANSWER], "images": ["pictures/red.png"]},
        question("pictures/red.png", "red"),
        {"messages": [user("what <image>"), ANSWER], "images": ["pictures/blue.png"]},
        {"messages": [user("name its colour <image>"), ANSWER], "images": ["pictures/red.png"]},
    ]
    rows[1]["messages"][0]["content"][0]["text"] = "what "
    picture(tmp_path / "pictures" / "blue.png", "blue", 1)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    checked = check(Data(train=[str(file)]), CONVERSATION)
    assert [row.line for row in checked.rows] == [1, 3, 4]
