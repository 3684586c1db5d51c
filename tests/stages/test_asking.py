"""Whatever is given to be labelled, the texts that are meant are labelled, or it is refused."""

from __future__ import annotations

import csv
import io
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv, write_jsonl
from weitiao.cli import run as weitiao
from weitiao.cli.show import next_steps
from weitiao.core.errors import WeitiaoError

pandas = pytest.importorskip("pandas")
TEXTS = ["a brilliant film", "a dreadful plot", "the film &amp; the story"]


def toy(bert: str, folder: Path, rows: list[dict], **data) -> wt.Run:
    table = write_csv(folder / "rows.csv", rows)
    recipe = small_run(
        bert, "text_classification", table, folder / "run", batch=8, judge={"baseline": "none"}
    )
    return wt.train(recipe(method="full", max_steps=2, data=data, evaluate={"untuned": False}))


@pytest.fixture(scope="module")
def run(bert, tmp_path_factory) -> wt.Run:
    """Trained on a column called `review`, from which entities were taken."""
    rows = [{"id": f"{i}", "review": row["text"], "label": row["label"]} for i, row in enumerate(reviews(60))]
    return toy(bert, tmp_path_factory.mktemp("one"), rows, columns={"text": "review"}, clean=["html"])


@pytest.fixture(scope="module")
def pairs(bert, tmp_path_factory) -> wt.Run:
    rows = [{**row, "text_pair": f"the story {i}"} for i, row in enumerate(reviews(60))]
    return toy(bert, tmp_path_factory.mktemp("two"), rows)


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


def scores(answers: list[dict]) -> list[list[float]]:
    return [list(answer["scores"].values()) for answer in answers]


def test_the_same_texts_get_the_same_labels_whatever_holds_them(run, tmp_path):
    datasets, pyarrow = pytest.importorskip("datasets"), pytest.importorskip("pyarrow")
    said = scores(run.predict(TEXTS))
    rows = [{"text": text, "label": "x"} for text in TEXTS]
    other = pandas.DataFrame({"n": [1, 2, 3], "body": TEXTS}, index=[7, 8, 9])
    for given in (
        tuple(TEXTS),
        iter(TEXTS),
        np.array(TEXTS),
        pandas.Series(TEXTS, index=[5, 6, 7]),
        rows,
        [{"review": text, "text": "another"} for text in TEXTS],  # the recipe's column is meant
        pandas.DataFrame({"id": [1, 2, 3], "text": TEXTS}),
        pandas.DataFrame({"review": TEXTS, "text": ["x", "y", "z"]}),
        pyarrow.table({"text": TEXTS}),
        datasets.Dataset.from_dict({"text": TEXTS})["text"],
        datasets.Dataset.from_dict({"text": TEXTS}),
        write_csv(tmp_path / "new.csv", rows),
        str(write_jsonl(tmp_path / "new.jsonl", rows)),
    ):
        assert scores(run.predict(given)) == said, type(given)
    assert scores(run.predict(other, columns={"text": "body"})) == said
    for given in (TEXTS[0], {"text": TEXTS[0]}):
        assert scores(run.predict(given))[0] == pytest.approx(said[0], abs=1e-6)
    assert run.predict([]) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, "int cannot be labelled"),
        (None, "NoneType"),
        ({"a film", "a plot"}, "set"),
        (b"a film", "bytes"),
        (["a film", 3], "number 2 is of type int"),
        (["a film", None], "number 2 is missing"),
        (["a film", {"text": "a plot"}], "number 1 is of type str, number 2 of type dict"),
        ([["a film", "a plot"]], "number 1 is of type list"),
        (np.array([["a film"]]), "ndarray"),
        (io.StringIO("a film"), "StringIO"),
    ],
)
def test_what_is_neither_texts_nor_rows_is_refused(given, words, run):
    with refused("not_texts", words, "Way out: .*pandas"):
        run.predict(given)


def test_rows_that_hold_no_text_are_named(run):
    table = pandas.DataFrame({"text": ["a film", None, float("nan"), " ", 5]})
    with refused(
        "bad_given", "4 of 5", "2: the text is missing", "3: .*missing", "4: .*empty", "5: .*of type int"
    ):
        run.predict(table)
    with refused("bad_given", "1 of 2", "2: the text is empty"):
        run.predict(["a film", ""])


def test_a_column_that_is_not_there_is_asked_for_in_words_that_work(run, tmp_path, monkeypatch, capsys):
    table = pandas.DataFrame({"body": TEXTS})
    with refused("no_asked_column", "the table", '"review"', "body", r"--columns text=", r'columns=\{"text"'):
        run.predict(table)
    with refused("no_asked_column", '"boddy"', 'Did you mean "body"'):
        run.predict(table, columns={"text": "boddy"})
    with refused("unread_column", "text_pair"):  # it was trained on one text a row
        run.predict(pandas.DataFrame({"text": TEXTS, "b": TEXTS}), columns={"text_pair": "b"})
    with refused("not_texts", "columns"):
        run.predict(TEXTS, columns={"text": "body"})
    file = write_csv(tmp_path / "new.csv", [{"body": text} for text in TEXTS])
    assert weitiao(["predict", str(run.path), "--file", str(file)]) == 3
    assert "--columns text=THE_COLUMN" in capsys.readouterr().err
    assert weitiao(["predict", str(run.path), "--file", str(file), "--columns", "text=body", "--json"]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in said] == TEXTS
    assert scores(said) == scores(run.predict(TEXTS))


def test_a_name_that_was_to_be_a_file_is_no_text(run):
    with refused("file_missing", "nowhere.csv"):
        run.predict("nowhere.csv")
    assert len(run.predict("see nowhere.csv")) == 1


def test_what_was_repaired_in_training_is_repaired_again(run):
    assert scores(run.predict(["the film &amp; <b>the</b> story"])) == scores(
        run.predict(["the film & the story"])
    )


def test_pairs_stay_pairs(pairs, run):
    rows = [{"text": text, "text_pair": "the story"} for text in TEXTS]
    said = scores(pairs.predict(rows))
    assert said == scores(
        pairs.predict(pandas.DataFrame(rows).rename(columns={"text_pair": "b"}), columns={"text_pair": "b"})
    )
    assert said != scores(pairs.predict([{**row, "text_pair": "the plot"} for row in rows])), "both are read"
    with refused("texts_alone", "text, text_pair"):
        pairs.predict(TEXTS)
    with refused("no_asked_column", '"text_pair"'):
        pairs.predict([{"text": text} for text in TEXTS])
    assert scores(run.predict(rows)) == scores(run.predict(TEXTS)), "a model of one text reads one"


# --- on the command line


def test_the_output_of_predict_is_one_line_a_row(run, tmp_path, capsys):
    odd = ["two\nlines", "a\ttab", "\u2028 and \x1b[31m", "\r\n"]
    write_jsonl(tmp_path / "odd.jsonl", [{"text": f"film {text} plot"} for text in odd])
    assert weitiao(["predict", str(run.path), "--file", str(tmp_path / "odd.jsonl")]) == 0
    lines = capsys.readouterr().out.split("\n")[:-1]
    assert [len(line.split("\t")) for line in lines] == [3] * 4
    assert lines[0].endswith("film two\\nlines plot")
    assert "\x1b" not in "".join(lines)


ROWS = [
    {"n": "1", "text": "a brilliant\nfilm", "note": 'said "so", twice'},
    {"n": "2", "text": "a dreadful plot", "note": ""},
]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_an_output_file_keeps_every_column(ending, run, tmp_path, monkeypatch):
    from weitiao.stages import run as room

    monkeypatch.setattr(room, "AT_ONCE", 1)  # the rows go through in pieces
    file, out = write_csv(tmp_path / "in.csv", ROWS), tmp_path / f"out.{ending}"
    assert weitiao(["predict", str(run.path), "-f", str(file), "-o", str(out), "--quiet"]) == 0
    answers = run.predict(file)
    if ending == "jsonl":
        found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        for line, answer in zip(found, answers, strict=True):
            assert line.pop("predicted_scores") == pytest.approx(answer["scores"], abs=1e-6)
    else:
        with out.open(encoding="utf-8", newline="") as table:
            found = list(csv.DictReader(table, delimiter="\t" if ending == "tsv" else ","))
    new = [(row.pop("predicted_label"), float(row.pop("predicted_score"))) for row in found]
    assert [label for label, _ in new] == [one["label"] for one in answers]
    assert [score for _, score in new] == pytest.approx([one["score"] for one in answers], abs=1e-6)
    assert found == ROWS


def test_typed_rows_keep_their_types_in_jsonl(run, tmp_path):
    rows = [{"text": "a film", "n": 1, "tags": ["a"], "at": None}, {"text": "a plot", "n": 2.5}]
    file, out = write_jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    assert weitiao(["predict", str(run.path), "-f", str(file), "-o", str(out), "-q"]) == 0
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    kept = [
        {name: value for name, value in row.items() if not name.startswith("predicted_")} for row in found
    ]
    assert kept == rows


def test_an_output_file_that_cannot_be_is_not_begun(run, tmp_path, capsys):
    file = write_csv(tmp_path / "in.csv", [{"text": "\n"}, {"text": " "}])
    predict = ["predict", str(run.path), "-f", str(file), "-q", "-o"]
    assert weitiao([*predict, str(tmp_path / "out.csv")]) == 3  # no row with a text
    file.write_text("text,nr\na film,1\na plot\n")
    assert weitiao([*predict, str(tmp_path / "out.csv")]) == 3  # a row that cannot be read
    assert not list(tmp_path.glob("*out*"))
    assert weitiao([*predict, str(file)]) == 2
    assert "output_exists" in capsys.readouterr().err
    assert weitiao([*predict, str(tmp_path / "out.xlsx")]) == 2
    assert "output_ending" in capsys.readouterr().err
    write_csv(file, [{"text": "a film", "predicted_label": "x"}])
    assert weitiao([*predict, str(tmp_path / "out.csv")]) == 2
    assert "output_column" in capsys.readouterr().err


def test_half_a_character_is_refused_by_name(run):
    with refused("bad_given", "1 of 2", "2: the text holds half a character"):
        run.predict(["a film", "a plot \ud83d"])
    assert weitiao(["predict", str(run.path), "bad \udcff text"]) == 3


def test_lines_of_standard_input_stay_line_for_line(run, monkeypatch, capsys):
    def said(text: str, *words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        code = weitiao(["predict", str(run.path), *words])
        found = capsys.readouterr()
        return code, found.err if code else found.out

    assert said("\n \n")[0] == 2
    code, answers = said("a film\n\na plot\n")
    assert code == 0
    assert answers.splitlines()[1] == "-\t-\t"
    assert [line.split("\t")[2] for line in answers.splitlines()] == ["a film", "", "a plot"]
    for words in ((), ("-",), ("--file", "-")):
        code, answers = said("a film\r\na plot\n", *words)
        assert code == 0
        assert len(answers.splitlines()) == 2


def test_a_classifier_does_not_answer(run):
    with refused("wrong_usage", "labels texts"):
        run.answer("x")


def test_a_blank_line_of_a_file_is_named_and_no_row_moves_up(run, tmp_path, capsys):
    file = tmp_path / "new.txt"
    file.write_text("a film\n\na plot\n\u200b\n", encoding="utf-8")
    assert weitiao(["predict", str(run.path), "--file", str(file), "--json"]) == 0
    found = capsys.readouterr()
    assert f"no answer: 2: {file} line 2 (the text is empty), {file} line 4 (the text is empty)" in found.err
    told = [json.loads(line) for line in found.out.splitlines()]
    assert [line.get("unusable", line["text"]) for line in told] == [
        *("a film", "the text is empty", "a plot", "the text is empty")
    ]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_rows_that_cannot_be_asked_stay_at_their_places_in_an_output_file(ending, run, tmp_path, monkeypatch):
    texts = ["", " ", *TEXTS, "", TEXTS[0]]
    file = write_csv(tmp_path / "in.csv", [{"id": str(n), "text": text} for n, text in enumerate(texts)])
    monkeypatch.setattr("weitiao.stages.run.AT_ONCE", 2)  # the first rows together are all unusable
    out = tmp_path / f"out.{ending}"
    assert weitiao(["predict", str(run.path), "-f", str(file), "-q", "-o", str(out)]) == 0
    with out.open(newline="") as lines:
        rows = [*csv.DictReader(lines)] if ending == "csv" else [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == [str(n) for n in range(len(texts))]
    expected = iter([one["label"] for one in run.predict([*TEXTS, TEXTS[0]])])
    assert [row.get("predicted_label") or "" for row in rows] == [
        next(expected) if text.strip() else "" for text in texts
    ]


def test_in_python_rows_that_cannot_be_asked_are_refused_or_told(run):
    with refused("bad_given", "1 of 3", "2: the text is empty", "skip_unusable=True"):
        run.predict(["a film", "", "a plot"])
    told = run.predict(["a film", "", "a plot"], skip_unusable=True)
    assert told[1] == {"unusable": "the text is empty"}
    assert scores([told[0], told[2]]) == scores(run.predict(["a film", "a plot"]))
    with refused("bad_given", "2 of 2"):
        run.predict([{"text": ""}, {"text": None}], skip_unusable=True)


def test_a_sample_of_a_file_is_labelled(run, tmp_path, capsys):
    file = write_csv(tmp_path / "new.csv", [{"text": f"a film {i}"} for i in range(9)])
    assert weitiao(["predict", str(run.path), "--file", f"{file}#4", "--json"]) == 0
    said = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
    assert len(said) == 4
    assert len(run.predict(f"{file}#4")) == len(run.predict(Path(f"{file}#4"))) == 4
    with refused("no_asked_column", f"{file} has"):
        run.predict(f"{file}#4", columns={"text": "boddy"})


@pytest.mark.parametrize("columns", ["body", "text=", "=body", "text=body,text=review"])
def test_columns_that_do_not_say_which_is_which_are_asked_for_by_example(columns, run, tmp_path, capsys):
    file = write_csv(tmp_path / "new.csv", [{"body": "a film", "review": "a plot"}])
    assert weitiao(["predict", str(run.path), "--file", str(file), "--columns", columns]) == 2
    why = capsys.readouterr().err
    assert "bad_columns" in why
    assert "--columns text=body" in why
    assert "learning_rate" not in why


def test_what_is_proposed_to_be_asked_is_a_text_of_the_run_s_own_rows(run, monkeypatch, capsys):
    monkeypatch.setenv("WEITIAO_LANG", "en")
    next_steps(run)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " predict " in line]
    *_, text = words = shlex.split(line)
    rows = [json.loads(row)["text"] for row in (run.path / "data" / "test.jsonl").read_text().splitlines()]
    assert text in rows
    assert weitiao(words[words.index("predict") :]) == 0
    assert text in capsys.readouterr().out
