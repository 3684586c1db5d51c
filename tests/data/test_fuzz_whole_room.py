"""Whole files of good rows and garbage through every door of the data room: nothing is lost, doubled or misplaced.

rows planted among garbage  ->  a file of any format  ->  check, page, repaired copy, split, encoder and its cache
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import random
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weitiao import api
from weitiao.core.errors import WeitiaoError
from weitiao.core.recipe import Data
from weitiao.data import check as checking
from weitiao.data.clean import DEFAULT, repaired
from weitiao.data.encode import Encoder
from weitiao.data.shapes import LABELLED
from weitiao.data.split import split
from weitiao.models import load
from weitiao.tasks.classification import TextClassification

pytestmark = pytest.mark.whole  # hundreds of tables each

SOME = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "r", "st", "ll", "m")]
# What a text may hold beside plain words, and what a table, a page or a terminal could stumble over.
ODD = [
    "",
    '"',
    '""',
    "'",
    ",",
    ";",
    "\t",
    "|",
    "  ",
    "好的，",
    "\u200b",
    "\u3000",
    "NA",
    "null",
    "None",
    "=1+1",
    "<b>x</b>",
]
ODD += [
    "&amp;",
    "[bold]",
    "\\",
    "{{",
    "é",
    "e\u0301",
    "\x07",
    "#5",
    "😀",
    "-",
    "a@b.org",
    "\u2028",
    "[/x]",
    "%s",
]
LABELS = ["1", "0", "2"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "gb18030"]


@dataclass
class Planted:
    """A file's rows in order: (values, is it good?)."""

    rows: list[tuple[Any, bool]]

    @property
    def good(self) -> list[dict[str, str]]:
        return [values for values, good in self.rows if good]


def texts(seed: int, count: int, odd: list[str]) -> list[dict[str, str]]:
    """Rows without a twin or anything like one."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        words = rng.sample(WORDS, 7)
        words.insert(rng.randrange(7), rng.choice(odd))
        found.append({"text": " ".join([f"{words[0]}{number}", *words[1:]]), "label": LABELS[number % 3]})
    return found


@st.composite
def planted(draw, garbage) -> Planted:
    """Thirty good rows and some garbage, in any order."""
    odd = draw(st.lists(st.sampled_from(ODD), min_size=1, max_size=6))
    good = texts(draw(st.integers(0, 2**32)), 30, odd)
    bad = draw(st.lists(garbage, max_size=8))
    rows = [(row, True) for row in good] + [(row, False) for row in bad]
    random.Random(draw(st.integers(0, 2**32))).shuffle(rows)
    return Planted(rows)


# --- garbage: none of it can be learnt from, whatever the reader makes of it

BROKEN_LINES = st.sampled_from(
    ['"never closed', "one cell", '"a" b{d}c', "a{d}b{d}c", "{d}1", "  {d}1", "text{d}", "x{d}  "]
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
NESTED = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)), max_leaves=6
)  # fmt: skip
# A number is its digits, and so a text.
NO_TEXT = NESTED.filter(
    lambda value: (
        not isinstance(value, str | int | float)
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, float) and not math.isfinite(value))
    )
)
NO_LABEL = st.one_of(
    st.none(),
    st.just(""),
    st.just(" "),
    st.lists(NESTED, max_size=2),
    st.just({"a": 1}),
    st.just(float("nan")),
)
OBJECTS = st.one_of(
    st.builds(lambda text, label: {"text": text, "label": label}, NO_TEXT, st.sampled_from(LABELS)),
    st.builds(lambda text, label: {"text": text, "label": label}, st.just("a text of garbage"), NO_LABEL),
)
LINES = st.one_of(
    OBJECTS.map(json.dumps),
    NESTED.filter(lambda value: not isinstance(value, dict)).map(json.dumps),
    st.sampled_from(["{", '{"text": "a', '{"text" "a"}', "nul", "[" * 3000, '{"a":' * 300 + "1" + "}" * 300, '{"text": "\\ud83d", "label": 1}']),
)  # fmt: skip
CELLS = st.builds(
    lambda text, label: {"text": text, "label": label},
    st.sampled_from([None, "", " ", "\t"]),
    st.sampled_from(LABELS),
) | st.builds(lambda label: {"text": "a text of garbage", "label": label}, st.sampled_from([None, "", " "]))


# --- writers: (bytes of the file, line of every row)


def as_table(planted: Planted, *, delimiter: str, quoting: int, encoding: str) -> tuple[bytes, list[int]]:
    out, lines = io.StringIO(), []
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    writer.writerow(["text", "label"])
    for values, good in planted.rows:
        lines.append(out.getvalue().count("\n") + 1)
        if good:
            writer.writerow([values["text"], values["label"]])
        else:
            out.write(values.replace("{d}", delimiter) + "\n")
    return out.getvalue().encode(encoding), lines


def as_json_lines(planted: Planted) -> tuple[bytes, list[int]]:
    lines = [json.dumps(values, ensure_ascii=False) if good else values for values, good in planted.rows]
    return "\n".join(lines).encode(), list(range(1, len(lines) + 1))


def as_json(planted: Planted) -> tuple[bytes, list[int]]:
    rows = ",\n".join(json.dumps(values, ensure_ascii=False) for values, _ in planted.rows)
    return f"[{rows}]".encode(), list(range(1, len(planted.rows) + 1))


def as_parquet(planted: Planted) -> tuple[bytes, list[int]]:
    import pyarrow as pa
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist([values for values, _ in planted.rows]), out)
    return out.getvalue(), list(range(1, len(planted.rows) + 1))


def as_excel(planted: Planted) -> tuple[bytes, list[int]]:
    import openpyxl

    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in [("text", "label"), *((values["text"], values["label"]) for values, _ in planted.rows)]:
        book.active.append(row)
    book.save(out)
    return out.getvalue(), list(range(2, len(planted.rows) + 2))


# --- what must hold


def everything_holds(
    name: str, written: tuple[bytes, list[int]], planted: Planted, bert: str, encoding: str = "auto"
) -> None:
    content, lines = written
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        bad = [line for line, (_, good) in zip(lines, planted.rows, strict=True) if not good]
        # Named, since a first row whose label is a list would speak for several labels a row.
        found = api.check(path, encoding=encoding, task="text_classification")
        assert sorted(row["line"] for row in found.bad) == bad, found.bad
        assert {row["file"] for row in found.bad} <= {str(path)}
        assert sum(found.ledger.counts().values()) == found.ledger.total == len(planted.rows)
        json.dumps(found.to_dict())
        assert found.write_page(Path(folder) / "page.html").stat().st_size > 1000
        nothing_is_lost_in_the_copy(found, planted)
        nothing_is_lost_on_the_way(path, planted, bert, encoding)


def nothing_is_lost_in_the_copy(found: api.Examined, planted: Planted) -> None:
    [copy] = found.fix()
    counts = copy.counts
    assert counts["kept"] + counts["duplicate"] + counts["rejected"] == len(planted.rows)
    assert counts["kept"] == len(planted.good)
    again = api.check(copy.path, task="text_classification")
    assert again.bad == []
    expected = Counter((repaired(row["text"], DEFAULT)[0], row["label"]) for row in planted.good)
    assert Counter((row.values["text"], row.values["label"]) for row in again.checked.rows) == expected
    [second] = again.fix()
    assert second.counts == {"kept": len(planted.good), "changed": 0, "duplicate": 0, "rejected": 0}


def sides_of(path: Path, encoding: str = "auto") -> tuple[checking.Checked, dict[str, list[str]]]:
    data = Data(train=[str(path)], max_dropped_fraction=0.9, encoding=encoding)
    checked = checking.check(data, LABELLED, seed=3)
    sides = split(checked, data, seed=3)
    return checked, {
        name: [checked.rows[int(i)].values["text"] for i in rows] for name, rows in sides.items()
    }


def nothing_is_lost_on_the_way(path: Path, planted: Planted, bert: str, encoding: str) -> None:
    checked, sides = sides_of(path, encoding)
    assert Counter(text for side in sides.values() for text in side) == Counter(
        row["text"] for row in planted.good
    )
    processor, limit = load.processor(bert)
    task = TextClassification().learn(checked.rows)
    with tempfile.TemporaryDirectory() as cache:
        encode = Encoder(task, processor, Data(), limit, Path(cache))
        before, times = checked.ledger.rows, []
        for _ in range(2):  # the second time from the cache
            examples = encode(checked.rows, checked.ledger, side="train")
            times.append([(list(example.inputs["input_ids"]), example.target) for example in examples])
            assert checked.ledger.rows == before, "short rows are neither cut nor dropped"
            assert list(examples.rows) == list(range(len(checked.rows)))
        assert times[0] == times[1]
        assert len(list(Path(cache).iterdir())) == 1


TABLE = st.tuples(
    st.sampled_from(",;\t|"), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.sampled_from(ENCODINGS)
)


@SOME
@given(planted=planted(BROKEN_LINES), how=TABLE)
def test_tables(planted, how, bert):
    delimiter, quoting, encoding = how
    name = "a.tsv" if delimiter == "\t" else "a.csv"
    written = as_table(planted, delimiter=delimiter, quoting=quoting, encoding=encoding)
    # A handful of odd signs is no evidence for a Chinese encoding; it must be named then.
    everything_holds(name, written, planted, bert, "gb18030" if encoding == "gb18030" else "auto")


@SOME
@given(planted=planted(LINES))
def test_json_lines(planted, bert):
    everything_holds("a.jsonl", as_json_lines(planted), planted, bert)


@SOME
@given(planted=planted(OBJECTS))
def test_json(planted, bert):
    everything_holds("a.json", as_json(planted), planted, bert)


@pytest.mark.parametrize(("name", "write"), [("a.parquet", as_parquet), ("a.xlsx", as_excel)])
@SOME
@given(planted=planted(CELLS))
def test_typed_tables(name, write, planted, bert):
    if name == "a.xlsx":  # XML has no control characters, and what begins with = is a formula
        for values, good in planted.rows:
            if good:
                values["text"] = values["text"].replace("\x07", "").lstrip("=")
    everything_holds(name, write(planted), planted, bert)


@SOME
@given(planted=planted(LINES), seed=st.integers(0, 2**32))
def test_the_order_of_the_rows_decides_nothing(planted, seed):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(as_json_lines(planted)[0])
        first, sides = sides_of(path)
        random.Random(seed).shuffle(planted.rows)
        path.write_bytes(as_json_lines(planted)[0])
        second, others = sides_of(path)
        assert first.ledger.counts() == second.ledger.counts()
        assert {name: set(side) for name, side in sides.items()} == {
            name: set(side) for name, side in others.items()
        }


MARKED = codecs.BOM_UTF8 + b"text,label\n"


@SOME
@given(name=st.sampled_from(["a.csv", "a.jsonl", "a.json", "a.conll", "a.txt", "a.tsv"]), content=st.binary(max_size=300), head=st.sampled_from([b"", MARKED, b"[", b'{"text": "a", "label": 1}\n', b"a O\nb B-X\n\n"]))  # fmt: skip
def test_any_bytes_end_in_a_diagnosis_or_a_coded_error(name, content, head):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(head + content)
        try:
            found = api.check(path)
        except WeitiaoError:
            return
        assert sum(found.ledger.counts().values()) == found.ledger.total > 0
        json.dumps(found.to_dict())
        found.write_page(Path(folder) / "page.html")
        [copy] = found.fix()
        assert copy.counts["kept"] + copy.counts["duplicate"] + copy.counts["rejected"] == found.ledger.total
        if copy.counts["kept"]:
            again = api.check(copy.path, task=api_task(found))
            assert again.ledger.total == copy.counts["kept"]
            unusable = [row for row in again.bad if "the same text is labelled" not in row["reason"]]
            assert unusable == []


def api_task(found: api.Examined) -> str:
    from weitiao.stages.data import task_of

    try:
        return task_of(found.shape)
    except WeitiaoError:
        return ""
