"""No row disappears: what is kept, repeated and dropped adds up to what was read, each with place and reason."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.conftest import write_csv, write_jsonl
from weitiao.core import registry
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data
from weitiao.data.check import SHOWN, bad_rows, check, inspect, label_table, normalised
from weitiao.data.read import BadRow


def refused(code: str, *words: str):
    return pytest.raises(WeitiaoError, match=rf"(?s)^\[{code}\].*" + ".*".join(words))


@pytest.fixture(scope="module")
def labels():
    return registry.build("task", {"name": "text_classification"})


@pytest.fixture(scope="module")
def chat():
    return registry.build("task", {"name": "sft"})


def table(path, pairs) -> Data:
    write_csv(path / "a.csv", [{"text": text, "label": label} for text, label in pairs])
    return Data(train=[str(path / "a.csv")])


def noted(ledger, status: str) -> list[tuple[int, str]]:
    return [(row["line"], row["reason"]) for row in ledger.rows if row["status"] == status]


# --- bad rows


def test_bad_rows_stop_the_run_and_are_named(labels, tmp_path):
    data = table(tmp_path, [("good", "1"), ("", "1"), ("bad", " "), ("fine", "0")])
    with refused(
        "bad_rows", "2 of 4 rows", "a.csv line 3: the text is empty", "line 4: the label is missing", "skip"
    ):
        check(data, labels)


def test_bad_rows_are_left_out_when_asked_and_counted(labels, tmp_path):
    data = table(tmp_path, [("good", "1"), ("", "1"), ("bad", " "), ("fine", "0")])
    checked = check(data.model_copy(update={"bad_rows": "skip"}), labels)
    assert [record.values["text"] for record in checked.records] == ["good", "fine"]
    assert checked.ledger.counts() == {"kept": 2, "dropped": 2}
    assert noted(checked.ledger, "dropped") == [(3, "the text is empty"), (4, "the label is missing")]
    assert checked.task.labels == ("0", "1")


def test_rows_that_cannot_even_be_read_are_among_them(chat, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "p", "completion": "c"}\n{"prompt"\n{"prompt": "q", "completion": null}\n')
    checked = check(Data(train=[str(path)], bad_rows="skip"), chat)
    assert [line for line, _ in noted(checked.ledger, "dropped")] == [2, 3]
    with refused("bad_rows", "2 of 3", "line 2: not JSON", "line 3: `completion` is missing"):
        check(Data(train=[str(path)]), chat)


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ([{"role": "user", "content": "u"}], "no assistant turn"),
        ([{"role": "user", "content": "u"}, {"role": "assistant", "content": None}], "missing, not text"),
        (
            [{"role": "user", "content": "u"}, {"role": "assistant", "content": " "}],
            r"turn 2 \(assistant\) is empty",
        ),
        (
            [{"role": "user", "content": ""}, {"role": "assistant", "content": "a"}],
            r"turn 1 \(user\) is empty",
        ),
    ],
)
def test_a_conversation_with_nothing_to_learn_is_a_bad_row(turns, why, chat, tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"messages": turns}])
    with refused("bad_rows", "line 1", why):
        check(Data(train=[str(path)]), chat)


def test_only_the_first_bad_rows_are_named_and_the_rest_counted():
    error = bad_rows([BadRow("a.csv", i, "odd") for i in range(1, 31)], total=100)
    assert str(error).count("odd") == SHOWN
    assert f"and {30 - SHOWN} more" in str(error)
    assert "30 of 100" in str(error)
    assert "more" not in str(bad_rows([BadRow("a.csv", 1, "odd")], total=2)).partition("Way out")[0]


def test_inspecting_lists_and_does_not_stop(labels, tmp_path):
    found = inspect(table(tmp_path, [("good", "1"), ("", "1")]), labels)
    assert [(row.line, row.reason) for row in found.bad] == [(3, "the text is empty")]
    assert len(found.records) == 1


def test_no_rows_at_all(chat, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prompt": "p", "completion": "c"}\n')
    with refused("empty_file", "no rows are left"):
        check(Data(train=[f"{tmp_path}/a.jsonl#0"]), chat)
    with refused("empty_file", "no rows are left"):
        check(Data(train=[]), chat)


# --- repeated rows


def test_repeated_rows_are_left_out_and_counted(labels, tmp_path):
    pairs = [("A film", "1"), ("a  FILM ", "1"), ("Ａ film", "1"), ("another", "0"), ("a film", "1")]
    checked = check(table(tmp_path, pairs), labels)
    assert [record.line for record in checked.records] == [2, 5]
    first = f"of {tmp_path}/a.csv line 2"
    assert noted(checked.ledger, "duplicate") == [(3, first), (4, first), (6, first)]
    assert checked.ledger.counts() == {"kept": 2, "duplicate": 3}


def test_repeated_rows_are_kept_when_asked(labels, tmp_path):
    data = table(tmp_path, [("a", "1"), ("a", "1"), ("b", "0")]).model_copy(update={"duplicates": "keep"})
    checked = check(data, labels)
    assert checked.ledger.counts() == {"kept": 3}
    assert len(checked.records) == 3


def test_rows_repeated_over_two_files_are_found(labels, tmp_path):
    one = write_csv(tmp_path / "a.csv", [{"text": "a", "label": "1"}, {"text": "b", "label": "0"}])
    two = write_csv(tmp_path / "b.csv", [{"text": "B", "label": "0"}, {"text": "c", "label": "1"}])
    checked = check(Data(train=[str(one), str(two)]), labels)
    assert noted(checked.ledger, "duplicate") == [(2, f"of {one} line 3")]
    assert [file["rows"] for file in checked.ledger.files] == [2, 2]


def test_one_text_with_two_labels_is_a_contradiction_all_over(labels, tmp_path):
    pairs = [("so so", "1"), ("fine", "1"), ("So so", "0"), ("dull", "0"), ("so  so", "1")]
    data = table(tmp_path, pairs)
    with refused("bad_rows", "3 of 5", 'line 2: .* labelled "1" here and "0" in .*line 4'):
        check(data, labels)
    for duplicates in ("drop", "keep"):
        checked = check(data.model_copy(update={"bad_rows": "skip", "duplicates": duplicates}), labels)
        assert [record.values["text"] for record in checked.records] == ["fine", "dull"]
        assert [line for line, _ in noted(checked.ledger, "dropped")] == [2, 4, 6]


def test_answers_that_differ_are_no_contradiction(chat, tmp_path):
    rows = [{"prompt": "p", "completion": c} for c in ("c", "d", "C ")]
    checked = check(Data(train=[str(write_jsonl(tmp_path / "a.jsonl", rows))]), chat)
    assert len(checked.records) == 2
    assert len(noted(checked.ledger, "duplicate")) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("ABC", "abc"), ("ａｂｃ", "abc"), (" a\t b\n", "a b"), ("ß", "SS"), ("①", "1"), ("a\u3000b", "a b")],
)
def test_width_case_and_space_do_not_tell_texts_apart(one, other):
    assert normalised(one) == normalised(other)


def test_other_things_do():
    assert len({normalised(text) for text in ("a", "a.", "á", "a b", "ab", "不好", "好")}) == 7


# --- the property


def random_table(rng: random.Random) -> list[dict]:
    texts = ["a", "A", "b", " b", "c", "", "  ", "d", "e", "Ｅ"]
    labels = ["0", "1", "1", "0", "", " "]
    return [{"text": rng.choice(texts), "label": rng.choice(labels)} for _ in range(rng.randint(1, 14))]


@pytest.mark.parametrize("duplicates", ["drop", "keep"])
def test_every_row_ends_in_exactly_one_place(duplicates, labels, tmp_path):
    """Over random tables, against rules written again, in the plainest way."""
    rng = random.Random(7)
    seen = Counter()
    for trial in range(150):
        rows = random_table(rng)
        path = write_csv(tmp_path / f"{trial}.csv", rows)
        data = Data(train=[str(path)], bad_rows="skip", duplicates=duplicates)
        found = inspect(data, labels)
        ledger = found.ledger

        usable = {
            i: row for i, row in enumerate(rows, start=2) if row["text"].strip() and row["label"].strip()
        }
        carried: dict[str, set[str]] = {}
        for row in usable.values():
            carried.setdefault(normalised(row["text"]), set()).add(row["label"])
        good = [i for i, row in usable.items() if len(carried[normalised(row["text"])]) == 1]
        firsts = {}
        for i in good:
            firsts.setdefault(normalised(rows[i - 2]["text"]), i)
        kept = good if duplicates == "keep" else sorted(firsts.values())

        assert [record.line for record in found.records] == kept
        assert sorted(row["line"] for row in ledger.rows) == sorted(set(range(2, len(rows) + 2)) - set(kept))
        repeated = {row["line"] for row in ledger.rows if row["status"] == "duplicate"}
        assert repeated == set(good) - set(kept)
        assert sum(ledger.counts().values()) == ledger.total == len(rows)
        assert ledger.counts()["kept"] == len(found.records)
        assert all(row["reason"] for row in ledger.rows)
        assert ledger.to_dict()["counts"] == ledger.counts()
        seen.update(row["status"] for row in ledger.rows)
    assert seen["dropped"] > 100
    assert (seen["duplicate"] > 50) == (duplicates == "drop")


# --- labels


def test_one_label_is_nothing_to_learn(labels, tmp_path):
    with refused("too_few_labels", r"\(1\) in 2 rows"):
        check(table(tmp_path, [("a", "1"), ("b", "1")]), labels)


def test_labels_that_mix_numbers_and_words_are_refused(labels, tmp_path):
    pairs = [("a", "positive"), ("b", "negative"), ("c", "1"), ("d", "positive")]
    with refused("mixed_labels", r"numbers \(1\)", r"words \(positive, negative\)", "a.csv line 4"):
        check(table(tmp_path, pairs), labels)


def test_labels_beyond_the_given_list_are_refused(tmp_path):
    task = registry.build("task", {"name": "text_classification", "labels": ["positive", "negative"]})
    with refused("unknown_label", "a.csv line 3", '"postive"', 'Did you mean "positive"'):
        check(table(tmp_path, [("a", "negative"), ("b", "postive")]), task)


def test_the_label_table_counts_each_split(labels, chat, tmp_path):
    records = check(table(tmp_path, [("a", "1"), ("b", "0"), ("c", "1")]), labels).records
    assert label_table({"train": records, "test": []}, labels) == {"train": {"0": 1, "1": 2}}
