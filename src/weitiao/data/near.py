"""Texts that are nearly the same: MinHash with locality-sensitive hashing, in numpy.

    ["order 123, please", "Order 123 please!", "something else"]  ->  near_groups(texts)  ->  [0, 0, 2]

Two texts are near when the sets of their shingles have a Jaccard similarity of `threshold` or more.  Before that
they are folded: width, case, white space and punctuation do not tell texts apart; numbers do, since rows of
numbers are rows of their own.  A shingle is four characters of a script that sets words apart, two of one that does not (Chinese, Thai).

MinHash: Broder 1997, "On the resemblance and containment of documents".  Banding: Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", chapter 3.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from weitiao.core.contracts import Record
from weitiao.data.equal_text import normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]

BANDS, BAND_ROWS = (
    12,
    4,
)  # a pair of similarity 0.8 shares a band with probability 1 - (1 - 0.8**4)**12 = 0.998
VALUES = BANDS * BAND_ROWS
MARGIN = 0.1  # 1.7 standard deviations of the estimate by 48 values at a similarity of 0.8, 4.6 at 0.9
SPACED, UNSPACED = 4, 2  # characters a shingle
LONGEST = 100_000  # characters of a text that are looked at
CHUNK = 1 << 18  # characters worked on at a time: the arrays stay in the processor's cache
SEPARATOR, DIGIT, WORDS, SIGNS = 0, 1, 2, 3
LETTER_SIGNS = ((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF))


@dataclass(frozen=True)
class Texts(Sequence[str]):
    """A text of every row, read when asked for: `Texts(rows, lambda record: shape.group(record.values))`."""

    rows: Sequence[Record]
    text: Callable[[Record], str]

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Texts: ...
    def __getitem__(self, place: int | slice) -> str | Texts:
        return Texts(self.rows[place], self.text) if isinstance(place, slice) else self.text(self.rows[place])

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        return map(self.text, self.rows)


def near_groups(texts: Sequence[str], *, threshold: float = 0.8, numbers: bool = True) -> Array:
    """For each text the index of its group's representative, as int64 (N,); alone, a text represents itself.

    Groups are chains: a is near b and b is near c puts the three together.  Every link is verified by the Jaccard
    similarity itself, so that none lies below `threshold`; a few per cent of those just at the threshold are missed, next to none 0.1 above.
    Which texts share a group does not depend on their order.  Time is linear, memory a few hundred bytes a text; the
    texts are read once in order, and those that may be near once more, by their place.

    Args:
        texts: Read lazily if they are a `Texts`.
        threshold: From 0 to 1, above 0.5; below, banding misses too many.
        numbers: Do numbers tell texts apart?  If not, "order 123" and "order 124" are near.
    """
    import numpy as np

    rows, bands_RB, sketch_RP, sizes = signatures(texts, numbers=numbers)
    # From here on each content stands once, in the order of its hash, whatever the order of the rows.
    _, first, content = np.unique(rows, return_index=True, return_inverse=True)
    bands_UB, sketch_UP, sizes = bands_RB[first], sketch_RP[first], sizes[first]
    del bands_RB, sketch_RP, rows
    group = np.arange(len(first))
    refused = np.empty(0, np.uint64)
    for band in range(BANDS):
        a, b = _candidates(bands_UB[:, band], bands_UB[:, (band + 1) % BANDS])
        apart = group[a] != group[b]
        likely = apart & (_agreement(sketch_UP, a, b) >= threshold - MARGIN)
        pairs = _distinct(_pack(np.minimum(a, b)[likely], np.maximum(a, b)[likely]))
        pairs = pairs[~np.isin(pairs, refused, assume_unique=True)]
        if not len(pairs):
            continue
        a, b = (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
        near = _similarity(texts, first[a], first[b], sizes[a] + sizes[b], numbers=numbers) >= threshold
        group = _join(group, a[near], b[near])
        refused = np.concatenate([refused, pairs[~near]])
    # A group is represented by its smallest content hash, and that by its first row.
    smallest = np.full(len(first), len(first))
    np.minimum.at(smallest, group, np.arange(len(first)))
    return first[smallest[group]][content]


def signatures(texts: Sequence[str], *, numbers: bool = False) -> tuple[Array, Array, Array, Array]:
    """What is kept of each text: 112 bytes.

    Returns:
        The hash of the folded text (N,) uint64, its band keys (N, B) uint32, the lowest byte of each MinHash
        value (N, P) uint8, and how many shingles it has (N,) int64.
    """
    import numpy as np

    parts: list[tuple[Array, Array, Array, Array]] = [
        (
            np.empty(0, np.uint64),
            np.empty((0, BANDS), np.uint32),
            np.empty((0, VALUES), np.uint8),
            np.empty(0, int),
        )
    ]
    for chunk in _chunks(texts):
        content, values_NP, sizes = minhash(chunk, numbers=numbers)
        keys = np.zeros((len(chunk), BANDS), np.uint64)
        for i in range(BAND_ROWS):
            keys = _mix(keys + values_NP[:, i::BAND_ROWS])
        parts.append((content, (keys >> np.uint64(32)).astype(np.uint32), values_NP.astype(np.uint8), sizes))
    content, keys, values_NP, sizes = (np.concatenate(column) for column in zip(*parts, strict=True))
    return content, keys, values_NP, sizes


def minhash(texts: Sequence[str], *, numbers: bool = False) -> tuple[Array, Array, Array]:
    """Hash of each folded text (N,), MinHash values (N, P) uint32, number of shingles (N,).

    The share of columns in which two rows are equal estimates the Jaccard similarity of their shingles.
    """
    import numpy as np

    content, shingles, starts = _shingles(texts, numbers=numbers)
    multiply, flip = _random(2, VALUES).astype(np.uint32) | np.uint32(1), _random(3, VALUES).astype(np.uint32)
    values_NP = np.empty((len(texts), VALUES), np.uint32)
    for i in range(VALUES):
        values_NP[:, i] = np.minimum.reduceat((shingles ^ flip[i]) * multiply[i], starts)
    return content, values_NP, np.diff(starts, append=len(shingles))


def _candidates(key: Array, then: Array) -> tuple[Array, Array]:
    """Pairs that share a band key: each with the one before it and with the first of its bucket.

    In a bucket that holds very many, those that share the next band too are neighbours.
    """
    import numpy as np

    order = np.argsort(_pack(key, then), kind="stable")
    new = np.concatenate([[True], key[order][1:] != key[order][:-1]])
    begins = np.maximum.accumulate(np.where(new, np.arange(len(key)), 0))
    later = np.flatnonzero(~new)
    before, start = order[later - 1], order[begins[later]]
    far = later - begins[later] > 1
    return np.concatenate([before, start[far]]), np.concatenate([order[later], order[later[far]]])


def _agreement(sketch_UP: Array, a: Array, b: Array) -> Array:
    """Estimated similarity of pairs; it spares reading most of those that will turn out not to be near."""
    import numpy as np

    found = np.empty(len(a), np.float32)
    for at in range(0, len(a), CHUNK // VALUES):
        part = slice(at, at + CHUNK // VALUES)
        found[part] = (sketch_UP[a[part]] == sketch_UP[b[part]]).mean(1, dtype=np.float32)
    return found


def _similarity(texts: Sequence[str], a: Array, b: Array, sizes: Array, *, numbers: bool) -> Array:
    """Jaccard similarity of the shingle sets of `texts[a]` and `texts[b]`, pair by pair."""
    import numpy as np

    found = np.empty(len(a))
    part = np.cumsum(sizes) // (4 * CHUNK)
    for begin, end in _runs(part):
        rows, local = np.unique(np.concatenate([a[begin:end], b[begin:end]]), return_inverse=True)
        _, shingles, starts = _shingles([texts[int(row)] for row in rows], numbers=numbers)
        owner = np.repeat(np.arange(len(rows)), np.diff(starts, append=len(shingles)))
        sets = _distinct(_pack(owner, shingles))
        count = np.bincount((sets >> np.uint64(32)).astype(np.int64), minlength=len(rows))
        offset = np.cumsum(count) - count
        values = sets & np.uint64(0xFFFFFFFF)
        # Each pair's two sets laid end to end and sorted: what both hold stands twice.
        taken = count[local]
        at = (
            np.arange(taken.sum())
            - np.repeat(np.cumsum(taken) - taken, taken)
            + np.repeat(offset[local], taken)
        )
        both = np.sort(_pack(np.repeat(np.tile(np.arange(end - begin), 2), taken), values[at]))
        twice = both[1:][both[1:] == both[:-1]] >> np.uint64(32)
        shared = np.bincount(twice.astype(np.int64), minlength=end - begin)
        found[begin:end] = shared / (taken[: end - begin] + taken[end - begin :] - shared)
    return found


def _runs(part: Array) -> Iterator[tuple[int, int]]:
    import numpy as np

    edges = np.flatnonzero(np.diff(part, prepend=-1)).tolist() + [len(part)]
    yield from zip(edges[:-1], edges[1:], strict=True)


def _join(group: Array, a: Array, b: Array) -> Array:
    """Groups after linking row `a[i]` with row `b[i]`; numbered in the order of their first rows."""
    if not len(a):
        return group
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(a), np.int8), (group[a], group[b])), shape=(len(group), len(group)))
    return connected_components(links, directed=False)[1][group]


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    room = CHUNK
    for text in texts:
        chunk.append(text)
        room -= min(len(text), LONGEST) + 1
        if room <= 0:
            yield chunk
            chunk, room = [], CHUNK
    if chunk:
        yield chunk


def _shingles(texts: Sequence[str], *, numbers: bool) -> tuple[Array, Array, Array]:
    """Hash of each folded text (N,), hashes of all shingles (S,) uint32, and where each text's begin (N,).

    A text too short for a shingle is one shingle as a whole.
    """
    import numpy as np

    codes, starts = _folded(texts, numbers=numbers)
    lengths = np.diff(starts, append=len(codes)) - 1  # each text ends with a mark of its own
    place = np.arange(len(codes)) - np.repeat(starts, lengths + 1)
    wide = codes.astype(np.uint64)
    content = np.add.reduceat(_mix(wide + _mix(place.astype(np.uint64))), starts)
    padded = np.append(wide, np.zeros(SPACED, np.uint64))
    base = np.uint64(0x9E3779B97F4A7C15)
    rolled = np.zeros(len(codes), np.uint64)
    unspaced = _kinds(codes) == SIGNS
    short = rolled
    for i in range(SPACED):
        rolled = rolled * base + padded[i : i + len(codes)]
        short = rolled if i + 1 == UNSPACED else short
    values = (_mix(np.where(unspaced, short, rolled)) >> np.uint64(32)).astype(np.uint32)
    left = np.repeat(lengths, lengths + 1) - place
    whole = left >= np.where(unspaced, UNSPACED, SPACED)
    none = starts[~np.logical_or.reduceat(whole, starts)]
    whole[none] = True
    values[none] = (content[np.searchsorted(starts, none)] >> np.uint64(32)).astype(np.uint32)
    counts = np.add.reduceat(whole, starts, dtype=np.int64)
    return content, values[whole], np.cumsum(counts) - counts


def _folded(texts: Sequence[str], *, numbers: bool) -> tuple[Array, Array]:
    """Code points of all folded texts, a line feed behind each, and where each begins."""
    import numpy as np

    lines = "".join([normalised(text[:LONGEST]) + "\n" for text in texts])
    codes = np.frombuffer(lines.encode("utf-32-le", "surrogatepass"), np.uint32)
    ends = codes == 10
    begins = np.concatenate([[0], np.flatnonzero(ends)[:-1] + 1])
    kinds = _kinds(codes)
    gap = (kinds == SEPARATOR) & ~ends
    # A text of signs alone ("!!!", a row of faces) is kept as it is, else all of them would be one.
    wordy = np.logical_or.reduceat(~gap & ~ends, begins)
    gap &= np.repeat(wordy, np.diff(begins, append=len(codes)))
    codes = np.where(gap, np.uint32(32), codes)
    before = np.concatenate([[True], (gap | ends)[:-1]])  # no gap at the beginning, and none behind another
    after = np.concatenate([ends[1:], [True]])
    drop = gap & (before | after)
    if not numbers:
        digit = kinds == DIGIT
        codes = np.where(digit, np.uint32(48), codes)
        drop |= digit & np.concatenate([[False], digit[:-1]])
    keep = ~drop
    # "great !" leaves its gap behind: the last gap of a run stands before the end.
    codes, ends = codes[keep], ends[keep]
    loose = (codes == 32) & np.concatenate([ends[1:], [False]])
    loose &= np.repeat(wordy, np.diff(np.flatnonzero(ends), prepend=-1))
    codes, ends = codes[~loose], ends[~loose]
    return codes, np.concatenate([[0], np.flatnonzero(ends)[:-1] + 1])


@cache
def _table() -> Array:
    import numpy as np

    table = np.full(0x20000, WORDS, np.uint8)
    for code in range(len(table)):
        category = unicodedata.category(chr(code))
        if category[0] in "PSZC":
            table[code] = SEPARATOR
        elif category == "Nd":
            table[code] = DIGIT
    for low, high in LETTER_SIGNS:
        inside = table[low : high + 1]
        inside[inside == WORDS] = SIGNS
    return table


def _kinds(codes: Array) -> Array:
    """Separator, digit, letter of a spaced script or sign of an unspaced one, for each code point."""
    import numpy as np

    table = _table()
    return np.where(codes < len(table), table[np.minimum(codes, len(table) - 1)], np.uint8(SIGNS))


def _distinct(values: Array) -> Array:
    import numpy as np

    values = np.sort(values)  # several times faster than the hash table of np.unique
    return values[np.concatenate([[True], values[1:] != values[:-1]])] if len(values) else values


def _pack(high: Array, low: Array) -> Array:
    import numpy as np

    return high.astype(np.uint64) << np.uint64(32) | low.astype(np.uint64)


def _mix(values: Array) -> Array:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014): every input bit reaches every output bit."""
    import numpy as np

    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _random(stream: int, count: int) -> Array:
    # Not numpy's generator: its streams may change between versions, and groups should not.
    import numpy as np

    return _mix(_mix(np.full(count, stream, np.uint64)) + np.arange(count, dtype=np.uint64))
