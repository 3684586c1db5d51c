"""Whatever bytes a file holds, reading ends in rows or in an error with a code, and memory stays flat."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.data.read.conftest import bad, records
from weitiao.core.errors import WeitiaoError
from weitiao.data.read import BadRow, read, read_file

pytestmark = pytest.mark.whole  # hundreds of tables each

QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
TEXTS = ["csv", "tsv", "json", "jsonl", "txt", "conll", "csv.gz"]
OTHERS = ["parquet", "xlsx"]
# Pieces that mean something to one of the formats, so that random files get past their first bytes.
PIECES = st.sampled_from(
    [
        b'"',
        b",",
        b"\n",
        b"\r\n",
        b"\t",
        b"[",
        b"]",
        b"{",
        b"}",
        b":",
        b"\\",
        b"\\ud83d",
        b"text",
        b"1",
        b"-",
        b" ",
        b"\0",
    ]
    + [
        b"e",
        b"true",
        b'{"text": "a"}',
        b'"text"',
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xff",
        b"\xb5\xc4",
        b"\x1f\x8b",
        b"PAR1",
        b"PK\x03\x04",
    ]
    + ["好".encode(), "é".encode(), "\u2028".encode()]
)
BYTES = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(b"".join))


def read_all(name: str, content: bytes) -> list | None:
    """All rows, or nothing when the file is refused with a code."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            source = read_file(path)
            found = list(source.rows())
            assert found == list(source.rows())
            assert len(list(read([f"{path}#3"])[0].rows())) == min(
                3, sum(not isinstance(r, BadRow) for r in found)
            )
        except WeitiaoError:
            return None
    json.dumps([getattr(row, "values", None) or row.raw for row in found], ensure_ascii=False).encode()
    places = [row.line for row in found]
    assert places == sorted(places)
    assert len(set(places)) == len(places) or name.endswith("json"), "rows of JSON may share a line"
    if name.rpartition(".")[2] in TEXTS[:-1]:
        assert all(1 <= line <= content.count(b"\n") + content.count(b"\r") + 1 for line in places)
    return found


@pytest.mark.parametrize("ending", TEXTS + OTHERS)
@QUICK
@given(content=BYTES)
@example(content=b"[1e")
@example(content=b"[" * 5000)
@example(content=b'text\n"')
@example(content=b'"\n')
def test_any_bytes_end_in_rows_or_a_coded_error(ending, content):
    read_all(f"a.{ending}", content)


CELLS = st.text(st.sampled_from('ab",;\n\r\t好\u2028\\ é'), max_size=8)
ROWS = st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8)


def write(ending: str, rows: list[tuple[str, str]]) -> tuple[bytes, list[bytes]]:
    """The beginning of a file, and its rows one by one."""
    if ending == "jsonl":
        return b"", [json.dumps({"a": a, "b": b}, ensure_ascii=False).encode() + b"\n" for a, b in rows]
    pieces = []
    for row in [("a", "b"), *rows]:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(row)
        pieces.append(text.getvalue().encode())
    return pieces[0], pieces[1:]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("broken", [b'"open\n', b'"a" b\n', b'"a","b","c"\n', b'{"a": 1\n', b"\xe5\xa5\n"])
@QUICK
@given(rows=ROWS, place=st.integers(0, 8))
def test_a_planted_broken_row_costs_no_other(ending, broken, rows, place):
    if broken.startswith(b'"open'):
        # The first half of a cell over two lines may close what the open quote holds, by the rules of CSV.
        rows = [tuple(cell.translate({10: None, 13: None}) for cell in row) for row in rows]
    rows = [*rows, ("好" * 20, "好")]  # clearly UTF-8
    head, pieces = write(ending, rows)
    at = min(place, len(pieces))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{ending}"
        path.write_bytes(head + b"".join(pieces))
        whole = [record.values for record in records(read_file(path))]
        assert whole == [{"a": a, "b": b} for a, b in rows]
        path.write_bytes(head + b"".join(pieces[:at]) + broken + b"".join(pieces[at:]))
        source = read_file(path)
        assert [record.values for record in records(source)] == whole
        assert len(bad(source)) == 1


@pytest.mark.parametrize("ending", TEXTS + OTHERS)
@QUICK
@given(share=st.floats(0, 1), flip=st.integers(0, 10**6))
def test_files_cut_or_changed_end_in_rows_or_a_coded_error(ending, share, flip, samples):
    whole = samples[ending]
    read_all(f"a.{ending}", whole[: int(len(whole) * share)])
    changed = bytearray(whole)
    changed[flip % len(whole)] ^= 1 << flip % 8
    read_all(f"a.{ending}", bytes(changed))


@pytest.fixture(scope="module")
def samples():
    import gzip

    import openpyxl
    import pyarrow as pa
    from pyarrow import parquet

    rows = [{"text": f'row "{n}", 好', "label": n % 2} for n in range(30)]
    table = io.StringIO()
    csv.writer(table).writerows([("text", "label"), *(row.values() for row in rows)])
    packed, book, sheet = io.BytesIO(), openpyxl.Workbook(), io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), packed)
    for row in [("text", "label"), *(tuple(row.values()) for row in rows)]:
        book.active.append(row)
    book.save(sheet)
    return {
        "csv": table.getvalue().encode(),
        "csv.gz": gzip.compress(table.getvalue().encode()),
        "tsv": table.getvalue().replace(",", "\t").encode(),
        "json": json.dumps(rows, ensure_ascii=False, indent=1).encode(),
        "jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode(),
        "txt": "\n".join(row["text"] for row in rows).encode(),
        "conll": "\n\n".join(f"{n} O\n好 B-X" for n in range(30)).encode(),
        "parquet": packed.getvalue(),
        "xlsx": sheet.getvalue(),
    }


# --- memory


def big(ending: str, count: int, path: Path) -> Path:
    """A file of rows of about 60 bytes."""
    path = path / f"{count}.{ending}"
    if ending == "parquet":
        import pyarrow as pa
        from pyarrow import parquet

        with parquet.ParquetWriter(path, pa.schema({"text": pa.string(), "n": pa.int64()})) as writer:
            for start in range(0, count, 3000):
                texts = [f"row {n} " + "word " * 9 for n in range(start, start + 3000)]
                writer.write_table(pa.table({"text": texts, "n": range(start, start + 3000)}))
        return path
    rows = ({"text": f"row {n} " + "word " * 9, "n": n} for n in range(count))
    with path.open("w") as file:
        if ending == "json":
            file.write("[")
            for number, row in enumerate(rows):
                file.write((",\n" if number else "") + json.dumps(row))
            file.write("]")
        elif ending == "jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            file.write("text,n\n")
            file.writelines(f'"{row["text"]}",{row["n"]}\n' for row in rows)
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl", "json", "parquet"])
def test_memory_is_flat_in_the_size_of_the_file(ending, tmp_path):
    def peak(count: int) -> tuple[int, int]:
        path = big(ending, count, tmp_path)
        tracemalloc.start()
        read_rows = Counter(type(row).__name__ for row in read([f"{path}"])[0].rows())
        drawn = sum(1 for _ in read([f"{path}#50"])[0].rows()) if ending == "csv" else 50
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert read_rows == {"Record": count}
        assert drawn == 50
        return used, path.stat().st_size

    (small, _), (large, size) = peak(3000), peak(60_000)
    assert size > 3 << 20 or ending == "parquet"
    # A window of 1 MiB is read at a time; the small file is not even one.
    assert large < small + (6 << 20)
    assert large < 1.5 * size or ending == "parquet"
