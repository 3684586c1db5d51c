"""The lines of the project's promise about data and foreign models, each by one test through the command line.

    a row or file that others take in silence  ->  a code, or a counted line with file, line, value and the way out

What goes wrong elsewhere                                      kept by
corrupt JSONL row; truncated last row, extra comma, quote      test_broken_rows_are_named_and_the_repaired_copy_trains
GBK, latin-1, byte order mark                                  test_encodings_are_said, test_a_wrong_encoding_...
label an int here and a string there; `NA`, `null`, `None`     test_words_and_numbers_stay_what_they_are
missing label, two labels for a text                           tests/cli/test_bad_input.py (DATA)
label only in test                                             test_a_label_that_only_judges
是 beside yes                                                   test_two_words_for_one_label
empty file, header only                                        tests/cli/test_bad_input.py (DATA)
the same or nearly the same row in train and test              test_no_row_is_trained_on_that_judges
augmentation before the split                                  tests/data/augment/test_augment_make.py
over-long row                                                  test_long_rows_are_cut_to_the_models_positions
prompt fills max_length                                        test_prompts_that_leave_no_room_are_named
content None, empty text, no assistant turn                    tests/cli/test_bad_input.py (JSONL), test_turns_...
wrong column name                                              test_a_wrong_column_has_a_way_out_that_works
tokens, models, templates and archives of others               test_trust_foreign.py
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import dialogues, reviews, write_csv, write_jsonl
from weitiao.cli import run
from weitiao.core.errors import messages

pytestmark = pytest.mark.whole  # the promises of data, on files

TRAIN = """\
model: {model}
task: {task}
method: {method}
output_dir: run
data: {{train: {file}}}
train: {{max_steps: 2, bf16: false, per_device_train_batch_size: 8, eval_strategy: steps, eval_steps: 2}}
evaluate: {{resamples: 100, untuned: false, baseline: none, samples: 0}}
"""


@dataclass
class Said:
    """What a command left behind."""

    exit: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def weitiao(bert, llama, tmp_path, monkeypatch, capsys) -> Callable[..., Said]:
    """`weitiao("train", "reviews.yaml")` in a folder with good tables and recipes for them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    write_csv(tmp_path / "reviews.csv", reviews(60))
    write_jsonl(tmp_path / "talk.jsonl", dialogues(60))
    for name, model, task, method in (
        ("reviews.csv", bert, "text_classification", "head"),
        ("talk.jsonl", llama, "sft", "lora"),
    ):
        recipe = TRAIN.format(model=model, task=task, method=method, file=name)
        (tmp_path / name).with_suffix(".yaml").write_text(recipe)

    def call(*words: str) -> Said:
        code = run(list(words))
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    return call


def refused(said: Said, code: str, *words: str) -> None:
    """One coded message that names what it must, with its exit code and a way out."""
    assert re.findall(r"^\[(\w+)\]", said.err, re.MULTILINE) == [code], said.err
    assert said.exit == messages()[code]["exit"]
    assert said.err.count("\nWay out: ") == 1
    for word in words:
        assert word in said.err, (word, said.err)


def ledger() -> dict[str, Any]:
    return json.loads(Path("run/data/ledger.json").read_text())


def add(name: str, *lines: bytes | str) -> None:
    with Path(name).open("ab") as file:
        file.writelines(line if isinstance(line, bytes) else line.encode() for line in lines)


# --- rows


BROKEN = {
    "corrupt JSON": ("talk.jsonl", '{"prompt": "a"\n', 61, "not JSON"),
    "cut JSON": ("talk.jsonl", '{"prompt": "a", "compl', 61, "not JSON"),
    "another value": ("talk.jsonl", "[1]\n", 61, "an object is needed, and this is of type list"),
    "null answer": ("talk.jsonl", '{"prompt": "a", "completion": null}\n', 61, "`completion` is missing"),
    "empty answer": ("talk.jsonl", '{"prompt": "a", "completion": " "}\n', 61, "turn 2 (assistant) is empty"),
    "cut row": ("reviews.csv", "great fi", 62, "1 cells where the header has 2"),
    "extra comma": ("reviews.csv", "great, film,good\n", 62, "3 cells where the header has 2"),
    "unclosed quote": ("reviews.csv", '"great film,good\n', 62, "never closed"),
    "other bytes": ("reviews.csv", b"gr\xe9at film \xe5\xa5\xbd\xe5\xa5\xbd\xe5\xa5\xbd\xe5\xa5\xbd\xe5\xa5\xbd,good\n", 62, "bytes that are not utf-8"),
    "missing label": ("reviews.csv", "great film,\n", 62, "the label is missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_rows_are_named_and_the_repaired_copy_trains(case, weitiao):
    name, line, number, why = BROKEN[case]
    add(name, line)
    recipe = str(Path(name).with_suffix(".yaml"))
    refused(weitiao("train", recipe), "lost_rows", "1 of 61", f"{name} line {number}: ", why, "--fix")
    found = weitiao("data", "check", name, "--json")
    assert found.exit == 3
    [bad] = [row for row in found.json["rows"] if row["status"] == "quarantined"]
    assert (bad["file"], bad["line"]) == (name, number)
    assert why in bad["reason"]
    assert found.json["counts"] == {"kept": 60, "quarantined": 1}
    shown = weitiao("data", "show", name, "--line", str(number), "--model", str(Path("nowhere")))
    assert shown.exit == 4, "a model is asked for by name"
    assert weitiao("data", "check", name, "--fix").exit == 0
    fixed = Path(name).with_suffix(f".fixed{Path(name).suffix}")
    assert weitiao("data", "check", str(fixed), "--json").json["counts"] == {"kept": 60}
    assert weitiao("train", recipe, f"data.train={fixed}").exit == 0
    assert ledger()["counts"] == {"kept": 60}


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("gbk", "gb18030"),
        ("cp1252", "cp1252"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("big5", "big5"),
    ],
)
def test_encodings_are_said(encoding, said, weitiao):
    word = {"cp1252": "très déçu", "big5": "這部電影實在令人難以忘懷"}.get(
        encoding, "这部电影实在令人难以忘怀"
    )
    rows = [{**row, "text": f"{word} {row['text']}"} for row in reviews(60)]
    text = "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows)
    Path("reviews.csv").write_bytes(text.encode(encoding))
    assert weitiao("data", "check", "reviews.csv", "--json").json["files"][0]["encoding"] == said
    assert weitiao("train", "reviews.yaml").exit == 0
    assert ledger()["files"][0]["encoding"] == said
    assert word in Path("run/data/test.jsonl").read_text()


def test_a_wrong_encoding_is_said_and_the_right_one_named_is_taken(weitiao):
    text = "text,label\n" + "".join(f"好电影 {row['text']},{row['label']}\n" for row in reviews(60))
    Path("reviews.csv").write_bytes(text.encode("gb18030"))
    said = weitiao("train", "reviews.yaml", "data.encoding=utf-8")
    refused(said, "bad_encoding", "reviews.csv line 2", "data.encoding=", "gb18030")
    assert weitiao("train", "reviews.yaml", "data.encoding=gb18030").exit == 0


def test_words_and_numbers_stay_what_they_are(weitiao):
    """The label 1 is the label "1"; the review NA is a review."""
    words = ["NA", "null", "None", "nan", "N/A", "true", "-", "1e3"]
    rows = [
        {"text": row["text"], "label": (n % 2 if n % 3 else str(n % 2))} for n, row in enumerate(reviews(60))
    ]
    rows += [{"text": word, "label": n % 2} for n, word in enumerate(words)]
    write_jsonl(Path("reviews.jsonl"), rows)
    write_csv(Path("reviews.csv"), rows)
    for name in ("reviews.jsonl", "reviews.csv"):
        out = f"run-{name}"
        assert weitiao("train", "reviews.yaml", f"data.train={name}", f"output_dir={out}").exit == 0
        found = json.loads(Path(out, "data/ledger.json").read_text())
        assert found["counts"] == {"kept": 68}
        assert {label for side in found["labels"].values() for label in side} == {"0", "1"}


def test_a_label_that_only_judges(weitiao):
    Path("test.csv").write_text("text,label\ngreat actor,good\ndull actor,meh\ndull plot,bad\n")
    said = weitiao("train", "reviews.yaml", "data.test=test.csv")
    refused(said, "untrained_label", '"meh" (1 rows, first test.csv line 3)', "data.relabel={meh: OTHER}")
    checked = weitiao("data", "check", "reviews.csv", "--test", "test.csv", "--json").json
    assert "meh" in json.dumps(checked["diagnosis"], ensure_ascii=False)
    assert weitiao("train", "reviews.yaml", "data.test=test.csv", "data.relabel={meh: bad}").exit == 0


def test_two_words_for_one_label(weitiao):
    rows = [{**row, "label": ("yes", "是", "no", "否")[n % 4]} for n, row in enumerate(reviews(60))]
    write_csv(Path("reviews.csv"), rows)
    found = weitiao("data", "check", "reviews.csv", "--json").json["diagnosis"]
    [one] = [finding for finding in found["findings"] if "是" in finding["text"]]
    assert one["severity"] == "fault"
    assert "reviews.csv" in one["fix"]
    assert weitiao("data", "check", "reviews.csv", "--fix").exit == 0
    labels = {line.rsplit(",", 1)[1] for line in Path("reviews.fixed.csv").read_text().split("\n")[1:-1]}
    assert labels == {"yes", "no"}


def test_no_row_is_trained_on_that_judges(weitiao):
    """One row of the test file stands in the training file as it is, one in capitals, one nearly."""
    rows = reviews(60)
    near = {"text": "the story of two brothers who find a boat and sail to the north great", "label": "good"}
    write_csv(Path("reviews.csv"), [*rows, near])
    judges = [rows[0], {**rows[1], "text": rows[1]["text"].upper()}, {**near, "text": near["text"] + " film"}]
    fresh = [row for row in reviews(70, seed=5) if row not in rows][:10]
    write_csv(Path("test.csv"), [*judges, *fresh])
    assert weitiao("train", "reviews.yaml", "data.test=test.csv").exit == 0
    found = ledger()
    assert found["counts"]["duplicate"] == found["leaks"]["removed"] >= 3
    gone = {(row["file"], row["line"]) for row in found["rows"] if row["status"] == "duplicate"}
    assert gone >= {("reviews.csv", 2), ("reviews.csv", 3), ("reviews.csv", 62)}
    split = json.loads(Path("run/data/split.json").read_text())
    assert {"test.csv:2", "test.csv:3", "test.csv:4"} <= set(split["test"])
    assert not {"reviews.csv:2", "reviews.csv:3", "reviews.csv:62"} & {*split["train"], *split["validation"]}


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("reviews.csv", "great " * 500 + ",good\n"),
        ("talk.jsonl", json.dumps({"prompt": "film", "completion": "plot " * 500}) + "\n"),
    ],
)
def test_long_rows_are_cut_to_the_models_positions(name, row, weitiao):
    add(name, row)
    assert weitiao("train", str(Path(name).with_suffix(".yaml"))).exit == 0
    found = ledger()
    [cut] = [line for line in found["rows"] if line["status"] == "truncated"]
    assert cut["line"] == (62 if name == "reviews.csv" else 61)
    assert "tokens lost" in cut["reason"]
    assert found["tokens"]["limit"] == 64, "the toys have 64 positions"
    assert found["tokens"]["max"] - found["tokens"]["truncated_tokens"] == 64


def test_prompts_that_leave_no_room_are_named(weitiao):
    add("talk.jsonl", json.dumps({"prompt": "film " * 100, "completion": "plot"}) + "\n")
    said = weitiao("train", "talk.yaml")
    refused(
        said, "lost_rows", "1 of 61", "talk.jsonl line 61", "64 fit, and nothing to train on would be left"
    )
    accepts = re.search(r"data\.max_dropped_fraction=[0-9.]+", said.err.splitlines()[-1])[0]
    assert weitiao("train", "talk.yaml", accepts).exit == 0
    assert ledger()["counts"] == {"kept": 60, "dropped": 1}


def test_a_limit_that_leaves_no_word_is_refused(weitiao):
    """Two special tokens fill it: the model would be trained on labels alone."""
    refused(
        weitiao("train", "reviews.yaml", "data.max_length=2"),
        "bad_rows",
        "2 fit, and no word would be left",
        "reviews.csv line",
    )
    assert weitiao("train", "reviews.yaml", "data.max_length=3").exit == 0


def test_turns_that_teach_nothing(weitiao):
    bad = [
        '{"messages": [{"role": "assistant", "content": null}]}',
        '{"messages": [{"role": "user", "content": "a"}]}',
    ]
    good = [
        json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
    ]
    Path("turns.jsonl").write_text("\n".join(good + bad))
    found = weitiao("data", "check", "turns.jsonl", "--json").json
    assert [(row["line"], row["status"]) for row in found["rows"]] == [(2, "quarantined"), (3, "quarantined")]
    assert "turn 1 is missing" in found["rows"][0]["reason"]
    assert "no assistant turn" in found["rows"][1]["reason"]


def test_a_wrong_column_has_a_way_out_that_works(weitiao):
    Path("reviews.csv").write_text(Path("reviews.csv").read_text().replace("text,label", "review,label", 1))
    said = weitiao("train", "reviews.yaml")
    refused(said, "missing_column", "reviews.csv", '"text"', 'Did you mean "review"?')
    way = re.search(r"(data\.columns\.text)=", said.err)[1]
    refused(
        weitiao("train", "reviews.yaml", f"{way}=reveiw"),
        "no_such_column",
        '"reveiw"',
        "data.columns.text",
        '"review"',
    )
    assert weitiao("train", "reviews.yaml", f"{way}=review").exit == 0
    for key in ("group_by", "time", "column"):
        said = weitiao("train", "reviews.yaml", f"{way}=review", f"data.split.{key}=user", "output_dir=other")
        refused(said, "no_such_column", "reviews.csv", '"user"', f"leave data.split.{key} out")


# --- what is written beside the data


def test_nothing_that_is_asked_to_be_written_costs_a_row(weitiao, llama):
    before = Path("reviews.csv").read_bytes()
    for words in (("data", "check"), ("data", "show", "--model", llama)):
        refused(
            weitiao(*words, "reviews.csv", "--html", "reviews.csv"),
            "wrong_usage",
            "reviews.csv is there already",
        )
        refused(weitiao(*words, "reviews.csv", "--html", "."), "wrong_usage")
    assert Path("reviews.csv").read_bytes() == before
    Path("reviews.tsv").write_text(before.decode().replace(",", "\t"))
    said = weitiao("data", "check", "reviews.csv", "reviews.tsv", "--fix")
    assert said.exit == 2
    assert not list(Path().glob("*.fixed*")), "none of the copies when one cannot be"


def test_copies_bear_the_name_of_their_file(weitiao):
    shutil.copy("reviews.csv", "part#5.csv")
    assert weitiao("data", "check", "part#5.csv", "--fix").exit == 0
    assert Path("part#5.fixed.csv").read_text().count("\n") == 61
    assert weitiao("data", "check", "reviews.csv#5", "--fix").exit == 0
    assert Path("reviews-5.fixed.csv").read_text().count("\n") == 6


def test_a_cache_that_cannot_be_written_costs_no_run(weitiao, monkeypatch):
    monkeypatch.setenv("WEITIAO_CACHE", "/dev/null/cache")
    assert weitiao("train", "reviews.yaml").exit == 0


def test_a_label_is_not_read_as_nothing(weitiao):
    refused(weitiao("train", "reviews.yaml", 'data.relabel={good: " "}'), "wrong_value", "data.relabel.good")


def test_a_cell_of_a_megabyte_is_named_by_its_beginning(weitiao):
    add("reviews.csv", f"great film,{'x' * 1_000_000}\nGreat film,good\n")
    said = weitiao("train", "reviews.yaml")
    refused(said, "lost_rows", "line 62", "line 63", 'labelled "xxxxx')
    assert len(said.err) < 5000
