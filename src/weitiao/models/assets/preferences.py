"""Write preferences that are derived from ratings, by the program below: real sentences, made prompts.

sdist  ->  film_preferences(sdist, file)     ->  {"prompt": ..., "chosen": ..., "rejected": ...} a line
       ->  film_judgements(sdist, file)      ->  {"prompt": ..., "completion": ..., "label": true} a line
       ->  film_demonstrations, film_comparisons, film_prompts  ->  three files that have no prompt in common
"""

from __future__ import annotations

import html
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

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
    _write(file, (_preferred(*each) for each in _asked(sdist)))


def film_judgements(sdist: Path, file: Path) -> None:
    """The same sentences, each judged by itself: whether it is the one of its pair that people rated higher.

    Args, errors: as `film_preferences`.
    """
    _write(
        file,
        (
            {"prompt": _prompt(word), "completion": text, "label": liked}
            for word, *two in _asked(sdist)
            for text, liked in zip(two, (True, False), strict=True)
        ),
    )


def film_demonstrations(sdist: Path, file: Path) -> None:
    """Of a third of the words the sentences, kind and unkind ones alike, as answers to learn.

    The thirds of this, `film_comparisons` and `film_prompts` have no prompt and no sentence in common.

    Args, errors: as `film_preferences`.
    """
    dealt = (pair for turn, pair in _dealt(sdist) if turn == 0)
    _write(file, ({"prompt": _prompt(word), "completion": text} for word, *two in dealt for text in two))


def film_comparisons(sdist: Path, file: Path) -> None:
    """Of another third of the words the pairs, as in `film_preferences`.

    Args, errors: as `film_preferences`.
    """
    _write(file, (_preferred(*pair) for turn, pair in _dealt(sdist) if turn == 1))


def film_prompts(sdist: Path, file: Path) -> None:
    """Of the last third of the words the prompts, each once, with the word that is asked for.

    Args, errors: as `film_preferences`.
    """
    words = dict.fromkeys(word for turn, (word, *_) in _dealt(sdist) if turn == 2)
    _write(file, ({"prompt": _prompt(word), "word": word} for word in words))


def _asked(sdist: Path) -> Iterator[tuple[str, str, str]]:
    """(word, higher, lower)."""
    return _pairs([(float(rating), text) for rating, text in rated(sdist)])


def _dealt(sdist: Path) -> Iterator[tuple[int, tuple[str, str, str]]]:
    """The same, each word with one of three turns."""
    turns: dict[str, int] = {}
    for pair in _asked(sdist):
        yield turns.setdefault(pair[0], len(turns) % 3), pair


def _prompt(word: str) -> str:
    return f'Write a sentence of a film review with the word "{word}".'


def _preferred(word: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": _prompt(word), "chosen": chosen, "rejected": rejected}


def _write(file: Path, rows: Iterable[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as lines:
        lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


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
