"""Near duplicates, against Jaccard similarity computed pair by pair and against datasketch's estimates."""

from __future__ import annotations

import random
import re
import time
import tracemalloc
import unicodedata
from itertools import combinations, pairwise

import numpy as np
import pytest

from weitiao.core.contracts import Record
from weitiao.data import near
from weitiao.data.equal_text import normalised
from weitiao.data.near import Texts, minhash, near_groups

WORDS = ["".join(random.Random(i).choices("abcdefghijklmnopqrstuvwxyz", k=2 + i % 7)) for i in range(800)]
HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 1200)]


def shingles(text: str, *, numbers: bool = False) -> frozenset[str]:
    """The definition, written once more with strings."""
    text = normalised(text)
    folded = "".join(" " if unicodedata.category(c)[0] in "PSZC" else c for c in text)
    folded = " ".join(folded.split()) or text
    if not numbers:
        folded = re.sub(r"\d+", "0", folded)
    sizes = [2 if "\u3400" <= c <= "\u9fff" or "\u3040" <= c <= "\u30ff" else 4 for c in folded]
    found = {folded[i : i + k] for i, k in enumerate(sizes) if i + k <= len(folded)}
    return frozenset(found or {folded})


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b)


def mutated(text: str, rng: random.Random, letters: list[str]) -> str:
    chars = list(text)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        at = rng.randrange(len(chars))
        chars[at : at + rng.randint(0, 1)] = rng.choice(letters)
    return "".join(chars)


def families(rows: int, *, seed: int = 0) -> list[str]:
    """English and Chinese texts from ten characters up, each with a few mutated copies."""
    rng = random.Random(seed)
    made: list[str] = []
    while len(made) < rows:
        chinese = rng.random() < 0.5
        if chinese:
            text = "".join(rng.choices(HAN, k=rng.randint(10, 60)))
        else:
            text = " ".join(rng.choices(WORDS, k=rng.randint(4, 18)))
        made += [mutated(text, rng, HAN if chinese else list("abcdefgh ")) for _ in range(rng.randint(1, 4))]
    rng.shuffle(made)
    return made[:rows]


def partition(texts: list[str], groups: np.ndarray) -> set[frozenset[str]]:
    members: dict[int, set[str]] = {}
    for text, group in zip(texts, groups.tolist(), strict=True):
        members.setdefault(group, set()).add(text)
    return {frozenset(texts) for texts in members.values()}


@pytest.mark.whole
@pytest.mark.parametrize("threshold", [0.7, 0.8])
def test_pairs_are_found_and_no_link_lies_below_the_threshold(threshold):
    texts = families(900)
    groups = near_groups(texts, threshold=threshold)
    sets = [shingles(text) for text in texts]
    near_enough = {(i, j): jaccard(sets[i], sets[j]) for i, j in combinations(range(len(texts)), 2)}
    clear = [pair for pair, found in near_enough.items() if found >= threshold + 0.1]
    assert len(clear) > 100
    assert sum(groups[i] == groups[j] for i, j in clear) >= 0.995 * len(clear)
    # Groups are chains of pairs at or above the threshold: what brute force leaves apart stays apart.
    chain = list(range(len(texts)))

    def root(i: int) -> int:
        while chain[i] != i:
            i = chain[i]
        return i

    for (i, j), found in near_enough.items():
        if found >= threshold:
            chain[root(i)] = root(j)
    together = [(i, j) for i, j in near_enough if groups[i] == groups[j]]
    assert together
    assert all(root(i) == root(j) for i, j in together)


@pytest.mark.parametrize("numbers", [False, True])
def test_the_similarity_that_decides_is_jaccard_of_the_shingles(numbers):
    texts = [*families(120, seed=4), "", "!!!", "a", "7", "x 2024-01-05", "नमस्ते दुनिया", "สวัสดี"]
    rng = random.Random(1)
    a, b = (np.array([rng.randrange(120) for _ in range(600)]) for _ in range(2))
    found = near._similarity(texts, a, b, np.full(600, 1000), numbers=numbers)
    wanted = [
        jaccard(*(shingles(texts[i], numbers=numbers) for i in pair))
        for pair in zip(a.tolist(), b.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_minhash_estimates_as_well_as_datasketch():
    from datasketch import MinHash

    texts = families(300, seed=2)
    sets = [shingles(text) for text in texts]
    pairs = [(i, j) for i, j in combinations(range(300), 2) if jaccard(sets[i], sets[j]) > 0.3]
    assert len(pairs) > 60
    theirs = []
    for found in sets:
        sketch = MinHash(num_perm=near.VALUES, seed=1)
        sketch.update_batch([shingle.encode() for shingle in found])
        theirs.append(sketch)
    values = minhash(texts)[1]
    true = np.array([jaccard(sets[i], sets[j]) for i, j in pairs])
    ours = np.array([(values[i] == values[j]).mean() for i, j in pairs])
    datasketch = np.array([theirs[i].jaccard(theirs[j]) for i, j in pairs])
    assert abs((ours - true).mean()) < 0.02
    assert np.std(ours - true) < 1.25 * np.std(datasketch - true)
    assert np.std(ours - true) < 1.25 * np.sqrt((true * (1 - true)).mean() / near.VALUES)


def test_the_order_of_the_texts_does_not_matter():
    texts = families(500, seed=3)
    texts += texts[:50]
    first = partition(texts, near_groups(texts))
    for seed in range(3):
        random.Random(seed).shuffle(texts)
        assert partition(texts, near_groups(texts)) == first


def test_a_chunk_is_no_border(monkeypatch):
    texts = families(300, seed=6)
    whole = near_groups(texts)
    monkeypatch.setattr(near, "CHUNK", 500)
    assert (near_groups(texts) == whole).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 123", "Order 123!"),
        ("Great film.", "ＧＲＥＡＴ　film"),
        ("  a\tb c d e f", "a b c d e f"),
        ("这部电影真的非常好看，我和家人都很喜欢它", "这部电影真的非常好看,我和家人都很喜欢他！"),
        ("the quick brown fox jumps over the lazy dog", "the quick brown fox jumps over the lazy dogs"),
        ("", "  "),
    ],
)
def test_these_are_near(one, other):
    assert near_groups([one, "something else", other]).tolist() in ([0, 1, 0], [2, 1, 2])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("!!!", "???"),
        ("great film", "awful film"),
        ("好看", "难看"),
        ("a", "b"),
        ("नमस्ते", "नमस्कार"),
        ("", "a"),
    ],
)
def test_these_are_not(one, other):
    assert near_groups([one, other]).tolist() == [0, 1]


def test_numbers_may_tell_texts_apart():
    texts = ["what is 12 times 7", "what is 31 times 5"]
    assert len(set(near_groups(texts).tolist())) == 2
    assert len(set(near_groups(texts, numbers=False).tolist())) == 1


def test_what_counts_as_equal_is_near():
    texts = families(200, seed=8)
    louder = [f"  {text.upper()} " for text in texts]
    groups = near_groups(texts + louder)
    for text, other, a, b in zip(texts, louder, groups[:200], groups[200:], strict=True):
        assert (a == b) or normalised(text) != normalised(other)


def test_nothing_and_one():
    assert near_groups([]).tolist() == []
    assert near_groups(["a"]).tolist() == [0]


def test_texts_are_read_from_rows_when_asked_for():
    rows = [Record("f", i, {"text": f"row {word}"}) for i, word in enumerate(WORDS[:50])]
    texts = Texts(rows, lambda record: record.values["text"])
    assert (len(texts), texts[3], list(texts[1:3])) == (
        50,
        f"row {WORDS[3]}",
        [f"row {w}" for w in WORDS[1:3]],
    )
    assert (near_groups(texts) == near_groups(list(texts))).all()


def seconds(texts: list[str]) -> float:
    before = time.process_time()
    near_groups(texts)
    return time.process_time() - before


@pytest.mark.parametrize("kind", ["all different", "one bucket"])
def test_twice_the_texts_take_about_twice_the_time(kind):
    rng = random.Random(0)
    start = "" if kind == "all different" else "classify this review as positive or negative please: "
    texts = [start + " ".join(rng.choices(WORDS, k=6)) for _ in range(12_000)]
    near_groups(texts[:100])
    small, large = (min(seconds(texts[:rows]) for _ in range(2)) for rows in (6_000, 12_000))
    assert large < 3.2 * small  # a comparison of all pairs takes four times as long


def test_memory_is_a_few_hundred_bytes_a_text():
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=8)) for _ in range(30_000)]
    near_groups(texts[:10])
    peaks = []
    for rows in (15_000, 30_000):
        tracemalloc.start()
        near_groups(texts[:rows])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert all(large - small < 15_000 * 400 for small, large in pairwise(peaks))
