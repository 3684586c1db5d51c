"""Debian's package descriptions as summaries: the first paragraph of each, and the title that does not stand in it.

    apt-get update -o Dir::State::lists=LISTS -o Acquire::Languages=en     (LISTS/partial must be there)
    python -m benchmarks.debian LISTS FOLDER  ->  FOLDER/train.csv, and test.csv of 1,500 rows drawn with a fixed seed

The files have the columns `document` and `summary`.  The descriptions have the licences of their packages: they are used in
place and travel with nothing.
"""

from __future__ import annotations

import csv
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

WORDS = range(25, 91)
"""Of the paragraph."""
TITLE = range(3, 13)
"""Words of the title."""
TEST = 1500
BLOCK = re.compile(r"^Description-en: (.*)\n((?: .*\n?)*)", re.MULTILINE)
PART = re.compile(r"\((.*?)\)$| - .{0,40}$")
"""Packages of one source differ in it: `name - development files`, `name (documentation)`; what it begins is cut off."""


def pairs(lists: Path) -> Iterator[tuple[str, str]]:
    """Paragraph and title of every package of the main list, each paragraph and each title once."""
    paragraphs, titles = set[str](), set[str]()
    for file in sorted(lists.glob("*_dists_*_main_i18n_Translation-en*")):
        if "-" in file.name.partition("_dists_")[2].partition("_")[0]:
            continue  # updates of a release, not itself
        told = subprocess.run(
            ["/usr/lib/apt/apt-helper", "cat-file", file], capture_output=True, text=True, check=True
        )
        for block in told.stdout.split("\n\n"):
            if not (found := BLOCK.search(block)):
                continue
            title = found[1].strip()
            if PART.search(title):
                title = re.sub(r"\s*[-(\[].{0,40}$", "", title)
            paragraph = " ".join(re.split(r"^ *\.$", found[2], maxsplit=1, flags=re.MULTILINE)[0].split())
            short = len(paragraph.split()) in WORDS and len(title.split()) in TITLE
            if not short or title.lower() in paragraph.lower() or paragraph in paragraphs:
                continue
            paragraphs.add(paragraph)
            if title.lower() not in titles:
                titles.add(title.lower())
                yield paragraph, title


def main() -> None:
    """Write the files."""
    lists, folder = map(Path, sys.argv[1:])
    rows = list(pairs(lists))
    random.Random(3).shuffle(rows)
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", rows[TEST:]), ("test", rows[:TEST])):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["document", "summary"])
            table.writerows(part)
        print(f"{folder / name}.csv: {len(part):,} rows")


if __name__ == "__main__":
    main()
