"""Write preferences that are derived from ratings, by the program below: real sentences, made prompts.

sdist  ->  film_preferences(sdist, file)  ->  {"prompt": ..., "chosen": ..., "rejected": ...} a line
"""

from __future__ import annotations

import html
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from weitiao.models.assets.archive import member

WORD = re.compile("[a-z]{4,}")
APART = 2.0
"""By so much the ratings of two sentences differ at least, on the scale from -4 to 4."""
OFTEN = 400
"""A word that more sentences hold says nothing of what one is about."""


def rated(sdist: Path) -> Iterator[tuple[str, str]]:
    """Mean rating and text of each of vaderSentiment's film snippets."""
    inner = io.BytesIO(member(sdist, "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"))
    ratings = member(sdist, "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt", archive=inner)
    # The file is clean UTF-8 with CRLF ends; only its readme is cp1252.  What looks odd was so before it was
    # packed: dashes and hyphens turned to spaces ("co wrote"), and "&amp;" for "&" in 22 rows, which has one
    # reading only and is undone here.
    for line in ratings.decode("utf-8").splitlines():
        _, rating, text = line.split("\t", 2)
        yield rating, html.unescape(text)


def film_preferences(sdist: Path, file: Path) -> None:
    """Two sentences of film reviews that share a word: the one that 20 people rated higher was preferred.

    The prompt asks for a sentence with that word, so both answer it.  Every sentence stands in one pair at most.

    Args:
        sdist: vaderSentiment 3.3.2.
        file: the JSONL to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the sdist does not hold the ratings.
    """
    rows = [(float(rating), text) for rating, text in rated(sdist)]
    with file.open("w", encoding="utf-8", newline="\n") as lines:
        for word, chosen, rejected in _pairs(rows):
            prompt = f'Write a sentence of a film review with the word "{word}".'
            row = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def _pairs(rows: list[tuple[float, str]]) -> Iterator[tuple[str, str, str]]:
    """(word, higher, lower), the rarest words first; of those that hold a word the best goes with the worst."""
    words = [set(WORD.findall(text.lower())) for _, text in rows]
    often = Counter(word for own in words for word in own)
    holding: dict[str, list[int]] = {}
    for row, own in enumerate(words):
        for word in own:
            holding.setdefault(word, []).append(row)
    free = set(range(len(rows)))
    for word in sorted(holding, key=lambda word: (often[word], word)):
        if not 1 < often[word] <= OFTEN:
            continue
        there = sorted((row for row in holding[word] if row in free), key=lambda row: rows[row])
        for low, high in zip(there, reversed(there), strict=True):
            if rows[high][0] - rows[low][0] < APART:
                break
            free -= {low, high}
            yield word, rows[high][1], rows[low][1]
