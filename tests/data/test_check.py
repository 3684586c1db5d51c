"""No row disappears: what is kept, repaired, repeated and lost adds up to what was read, with place and reason."""

from __future__ import annotations

import itertools
import json
import random
import tracemalloc
import unicodedata
from collections import Counter

import pytest

from tests.conftest import write_csv, write_jsonl
from weitiao.core.contracts import Record
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data
from weitiao.data import check as checking
from weitiao.data.check import check, inspect
from weitiao.data.labels import label_table
from weitiao.data.shapes import (
    CONVERSATION,
    LABELLED,
    MULTI_LABELLED,
    PLAIN,
    TAGGED,
)


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


def table(path, pairs, name="a.csv", **more) -> Data:
    write_csv(path / name, [{"text": text, "label": label} for text, label in pairs])
    return Data(**{"train": [str(path / name)], "max_dropped_fraction": 1, **more})


def noted(ledger, status: str) -> list[tuple[int, str]]:
    return [(row["line"], row["reason"]) for row in ledger.rows if row["status"] == status]


def texts(checked) -> list[str]:
    return [record.values["text"] for record in checked.rows]


# --- rows that cannot be used


def test_lost_rows_stop_the_run_and_are_named(tmp_path):
    data = table(tmp_path, [("good", "1"), ("", "1"), ("bad", " "), ("fine", "0")], max_dropped_fraction=0)
    with refused(
        "lost_rows",
        "2 of 4 rows",
        "a.csv line 3: the text is empty",
        "line 4: the label is missing",
        "max_dropped_fraction=0.5",
    ):
        check(data, LABELLED)
    with refused("lost_rows"):
        check(data.model_copy(update={"max_dropped_fraction": 0.49}), LABELLED)
    check(data.model_copy(update={"max_dropped_fraction": 0.5}), LABELLED)


@pytest.mark.parametrize(("bad_rows", "status"), [("quarantine", "quarantined"), ("drop", "dropped")])
def test_lost_rows_are_set_aside_or_dropped_as_asked_and_counted(bad_rows, status, tmp_path):
    rows = [("good", "1"), ("", "1"), ("bad", " "), ("fine", "0")]
    checked = check(table(tmp_path, rows, bad_rows=bad_rows), LABELLED)
    assert texts(checked) == ["good", "fine"]
    assert checked.ledger.counts() == {"kept": 2, status: 2}
    assert noted(checked.ledger, status) == [(3, "the text is empty"), (4, "the label is missing")]
    aside = [(row["line"], row["row"]) for row in checked.ledger.quarantine()]
    as_they_came = [(3, {"text": "", "label": "1"}), (4, {"text": "bad", "label": " "})]
    assert aside == (as_they_came if bad_rows == "quarantine" else [])


def test_the_quarantine_holds_the_row_as_it_came_with_every_column(tmp_path):
    row = {"评论": "", "标签": 3, "user": "u", "more": {"a": [1]}}
    path = write_jsonl(tmp_path / "a.jsonl", [row, {**row, "评论": "好"}])
    columns = {"text": "评论", "label": "标签"}
    checked = check(Data(train=[str(path)], columns=columns, max_dropped_fraction=0.5), LABELLED)
    (aside,) = checked.ledger.quarantine()
    assert aside["row"] == row
    assert (aside["line"], aside["status"]) == (1, "quarantined")
    assert dict(checked.rows[0].values) == {"text": "好", "label": "3"}


def test_rows_that_cannot_even_be_read_are_among_them(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "p", "completion": "c"}\n{"prompt"\n{"prompt": "q", "completion": null}\n')
    checked = check(Data(train=[str(path)], max_dropped_fraction=0.7), CONVERSATION)
    assert [line for line, _ in noted(checked.ledger, "quarantined")] == [2, 3]
    with refused("lost_rows", "2 of 3", "line 2: not JSON", "line 3: `completion` is missing"):
        check(Data(train=[str(path)]), CONVERSATION)


def test_when_every_row_is_lost_there_is_nothing_to_go_on_with(tmp_path):
    data = table(tmp_path, [("", "1"), ("  ", "0")])
    with refused("bad_rows", "2 of 2 rows"):
        check(data, LABELLED)
    assert inspect(data, LABELLED).ledger.counts() == {"kept": 0, "quarantined": 2}


def test_inspecting_lists_and_does_not_stop(tmp_path):
    found = inspect(table(tmp_path, [("good", "1"), ("", "1")], max_dropped_fraction=0), LABELLED)
    assert [(row["line"], row["reason"]) for row in found.bad] == [(3, "the text is empty")]
    assert texts(found) == ["good"]


def test_no_rows_at_all(tmp_path):
    with refused("empty_file", "no rows are left"):
        check(Data(train=[]), CONVERSATION)


@pytest.mark.parametrize("side", ["train", "validation", "test"])
def test_a_file_that_is_named_twice_is_refused(side, tmp_path):
    """Its rows would share their places: the ledger could not tell them apart, and a test would be no test."""
    data = table(tmp_path, [("a", "0"), ("b", "1")])
    files = {"train": list(data.train)}
    files[side] = [*files.get(side, []), *data.train]
    with refused("wrong_value", f"data.{side}", "a.csv is in data.train already"):
        check(data.model_copy(update=files), LABELLED)


# --- columns, relabelling, repairs


def test_repairs_are_counted_with_what_was_done(tmp_path):
    data = table(tmp_path, [("a", " good"), ("b", "bad"), ("c", "postive "), ("d", "是")])
    relabel = {"postive": "good", "是": "good"}
    checked = check(data.model_copy(update={"relabel": relabel}), LABELLED)
    assert [record.values["label"] for record in checked.rows] == ["good", "bad", "good", "good"]
    assert noted(checked.ledger, "repaired") == [
        (2, "white space around the label"),
        (4, 'white space around the label; label "postive" read as "good"'),
        (5, 'label "是" read as "good"'),
    ]
    assert checked.ledger.counts() == {"kept": 1, "repaired": 3}


def test_relabelling_makes_several_labels_one_and_settles_contradictions(tmp_path):
    path = write_jsonl(
        tmp_path / "a.jsonl", [{"text": "t", "labels": ["a", "A", "b"]}, {"text": "u", "labels": []}]
    )
    checked = check(Data(train=[str(path)], relabel={"A": "a"}), MULTI_LABELLED)
    assert [record.values["label"] for record in checked.rows] == [["a", "b"], []]
    data = table(tmp_path, [("same", "1"), ("same", "yes"), ("other", "no")])
    assert inspect(data, LABELLED).ledger.counts()["quarantined"] == 2
    assert check(data.model_copy(update={"relabel": {"yes": "1"}}), LABELLED).ledger.counts() == {
        "kept": 2,
        "duplicate": 1,
    }


def test_a_repaired_row_that_is_then_lost_is_lost_with_both_reasons(tmp_path):
    checked = inspect(table(tmp_path, [("same", " 1"), ("same", "0"), ("x", "0")]), LABELLED)
    assert checked.ledger.counts() == {"kept": 1, "quarantined": 2}
    reason = noted(checked.ledger, "quarantined")[0][1]
    assert reason.startswith("white space around the label; the same text is labelled")


def odd(tmp_path, rows: list[dict], **split) -> Data:
    path = write_jsonl(
        tmp_path / "a.jsonl", [{"text": f"t {i}", "label": "x", **row} for i, row in enumerate(rows)]
    )
    return Data(train=[str(path)], split=split, max_dropped_fraction=1)


# --- the property


def random_table(rng: random.Random) -> list[dict]:
    texts = ["a", "A", "b", " b", "c", "", "  ", "d", "e", "Ｅ"]
    labels = ["0", "1", "1", "0", "", " ", " 0", "zero"]
    return [{"text": rng.choice(texts), "label": rng.choice(labels)} for _ in range(rng.randint(1, 14))]


@pytest.mark.parametrize("bad_rows", ["quarantine", "drop"])
@pytest.mark.parametrize("duplicates", ["drop", "keep"])
def test_every_row_ends_in_exactly_one_place(duplicates, bad_rows, tmp_path):
    """Over random tables, against rules written again, in the plainest way."""
    rng = random.Random(7)
    lost = {"quarantine": "quarantined", "drop": "dropped"}[bad_rows]
    seen = Counter()
    for trial in range(80):
        rows = random_table(rng)
        path = write_csv(tmp_path / f"{trial}.csv", rows)
        data = Data(train=[str(path)], bad_rows=bad_rows, duplicates=duplicates, relabel={"zero": "0"})
        found = inspect(data, LABELLED)
        ledger = found.ledger

        label = {i: row["label"].strip().replace("zero", "0") for i, row in enumerate(rows, start=2)}
        same = {
            i: " ".join(unicodedata.normalize("NFKC", row["text"]).lower().split())
            for i, row in enumerate(rows, start=2)
        }
        usable = [i for i in label if label[i] and same[i]]
        good = [i for i in usable if len({label[j] for j in usable if same[j] == same[i]}) == 1]
        again = [i for i in good if any(j < i and same[j] == same[i] for j in good)]
        ends = dict.fromkeys(label, "kept")
        ends |= {i: "repaired" for i in usable if label[i] != rows[i - 2]["label"]}
        ends |= dict.fromkeys(again, "duplicate") if duplicates == "drop" else {}
        ends |= {i: lost for i in label if i not in good}

        assert {**dict.fromkeys(label, "kept"), **{r["line"]: r["status"] for r in ledger.rows}} == ends
        assert len({row["line"] for row in ledger.rows}) == len(ledger.rows)
        assert [r.line for r in found.rows] == [i for i in ends if ends[i] in ("kept", "repaired")]
        assert {k: n for k, n in ledger.counts().items() if n} == Counter(ends.values())
        assert sum(ledger.counts().values()) == ledger.total == len(rows)
        assert all(row["reason"] for row in ledger.rows)
        assert [r["line"] for r in ledger.quarantine()] == [i for i in ends if ends[i] == "quarantined"]
        assert len(found.marks.key) == len(found.rows)
        seen.update(ends.values())
    assert seen[lost] > 80
    assert seen["repaired"] > 40
    assert (seen["duplicate"] > 30) == (duplicates == "drop")


def test_whatever_stands_in_a_line_it_is_counted(tmp_path):
    """Odd values under every column of a conversation: good rows stay, the rest is set aside, nothing breaks."""
    odd = [None, 3, "", [], {}, [[]], "[", [{"role": "user"}], True, "x" * 5000, "\ud800", 10**30]
    good = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"messages": value, "tools": tool} for value, tool in itertools.product([good, *odd], odd)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = inspect(Data(train=[str(path)]), CONVERSATION)
    counts = found.ledger.counts()
    assert sum(counts.values()) == found.ledger.total == len(rows)
    assert counts["kept"] == len(found.rows) >= 1


# --- memory


class Lazy:
    """A source that makes its rows when asked."""

    path = file = "lazy.jsonl"
    columns = ["text"]

    def __init__(self, rows: int, words: int):
        self.count, self.words = rows, words

    def rows(self):
        for i in range(self.count):
            yield Record(self.path, i + 1, {"text": f"{i} " + "long_text_" * self.words})

    def facts(self):
        return {"path": self.path}


def test_memory_does_not_hold_the_texts(monkeypatch):
    def peak(rows: int, words: int) -> int:
        monkeypatch.setattr(checking, "read", lambda names, **_: [Lazy(rows, words)])
        tracemalloc.start()
        checked = check(Data(train=["x"], near_duplicates="keep"), PLAIN)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(checked.rows) == rows
        return used

    peak(10, 10)  # what is imported on the way
    few, many, longer = peak(200, 500), peak(4000, 500), peak(4000, 10)
    # 4,000 rows of 5 kB are 20 MB, 19 of them beyond the few; some hundred bytes a row, and a buffer, are allowed.
    assert many - few < 4000 * 400
    assert abs(many - longer) < 1_500_000


# --- labels


def test_the_label_table_counts_each_split(tmp_path):
    rows = check(table(tmp_path, [("a", "1"), ("b", "0"), ("c", "1")]), LABELLED).rows
    sides = {"train": rows.take([0, 1, 2]), "test": rows.take([1]), "validation": rows.take([])}
    assert label_table(sides, LABELLED) == {"train": {"0": 1, "1": 2}, "test": {"0": 1}}
    assert label_table(sides, PLAIN) == {}


LOOK_ALIKE = ["bad", "bad\u200b", "\ufeffbad", "b\u00adad", "bad\u00a0 ", "ｂａｄ", "bad\u2060", "bad\0"]


@pytest.mark.parametrize("alone", [False, True])
def test_labels_that_look_alike_are_one_and_said(alone, tmp_path):
    """What no screen shows makes no label of its own; case, and joiners that are seen, do."""
    labels = ["bad\u200b"] * 8 if alone else LOOK_ALIKE
    lines = [
        json.dumps({"text": f"text {n}", "label": label})
        for n, label in enumerate([*labels, "Bad", "می\u200cخ", "میخ", "\u200b"])
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    checked = inspect(Data(train=[str(tmp_path / "a.jsonl")]), LABELLED)
    assert [row.values["label"] for row in checked.rows] == ["bad"] * 8 + ["Bad", "می\u200cخ", "میخ"]
    assert [checked.marks.strata[at] for at in checked.marks.stratum] == [
        row.values["label"] for row in checked.rows
    ]
    reasons = {row["line"]: row["reason"] for row in checked.ledger.rows}
    assert reasons[2] == 'label "bad\\u200b" read as "bad"' + ", which is spelt so elsewhere" * (not alone)
    assert set(reasons) == {*range(1 if alone else 2, 9), 12}
    assert "label" in reasons[12]


def test_what_no_screen_shows_is_no_word_and_no_part_of_a_tag(tmp_path):
    rows = [
        {"tokens": ["Ann", "sings"], "tags": ["B-PER\u200b", "O\u00a0"]},
        {"tokens": ["Bob", "\u200b\u200d\ufeff"], "tags": ["B-PER", "O"]},
        {"tokens": ["Cid", "می\u200cخ"], "tags": ["B-PER", "O"]},
    ]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    checked = inspect(Data(train=[str(path)]), TAGGED)
    assert [row.values["tags"] for row in checked.rows] == [["B-PER", "O"]] * 2
    told = {row["line"]: row for row in checked.ledger.rows}
    assert told[1]["status"] == "repaired"
    assert told[1]["reason"] == r'tag "B-PER\u200b" read as "B-PER"; tag "O\xa0" read as "O"'
    assert (told[2]["status"], told[2]["reason"]) == ("quarantined", "token 2 is empty")
    assert set(told) == {1, 2}
