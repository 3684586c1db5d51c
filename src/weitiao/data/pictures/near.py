"""Pictures that are nearly the same: candidates by their hashes, each pair then looked at.

    hashes (N,), picture(place)  ->  near_groups(...)  ->  [0, 0, 2]

A copy that was saved again, made smaller or lighter differs in few of the 64 bits of its hash.  So do two white shirts, which are no
copies: so every pair whose hashes are close is looked at, and counts where grey copies of 32 x 32 pixels correlate.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from weitiao.data.pictures.looks import SMALL, small
from weitiao.data.prefetch import mapped

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

BITS = 8
"""Hashes are close that differ in at most so many bits."""
ALL = 40_000
"""Of so many different hashes all pairs are compared; of more those that are equal in one of `PARTS` parts, which every pair is
that differs in fewer bits, and most that are close."""
PARTS = 4
BLOCK = 1 << 22
"""Pairs that are compared at once."""
CLOSE = 0.1
"""Of what is missing from a likeness of 1 (`data.near_duplicate_threshold`, which texts go by) so much may be missing from the
correlation of two pictures: 0.8 means 0.98."""
FLAT = 1.0
"""Deviation of a copy's grey below which it has no form: such pictures are told apart by nothing and stay alone."""


def near_groups(
    hashes: Sequence[str], picture: Callable[[int], Image], *, threshold: float = 0.8
) -> np.ndarray:
    """For each picture the place of the first of its group, int64 (N,); alone, a picture stands for itself.

    Groups are chains, as those of texts are.  While pairs are looked at a kilobyte a candidate lies on the disk.

    Args:
        hashes: `Look.phash` of each.
        picture: opens the one at a place; asked by several threads.
        threshold: from 0 to 1.
    """
    import numpy as np

    hash_N = np.array([int(one, 16) for one in hashes], dtype=np.uint64)
    first = np.arange(len(hash_N))
    pairs_P2 = _candidates(hash_N)
    if not len(pairs_P2):
        return first
    asked = np.unique(pairs_P2)
    with tempfile.TemporaryFile() as file:
        copies_NK = np.memmap(file, np.uint8, "w+", shape=(len(asked), SMALL * SMALL))
        for place, grey_HW in enumerate(mapped(lambda at: small(picture(int(at))), asked)):
            copies_NK[place] = grey_HW.ravel()
        least = 1 - (1 - threshold) * CLOSE
        for a, b in pairs_P2[_alike(copies_NK, np.searchsorted(asked, pairs_P2), least)].tolist():
            one, other = _leader(first, a), _leader(first, b)
            first[max(one, other)] = min(one, other)
    return np.array([_leader(first, place) for place in range(len(first))])


def _alike(copies_NK: np.ndarray, pairs_P2: np.ndarray, least: float) -> np.ndarray:
    """Which pairs correlate so much (P,)."""
    import numpy as np

    found = np.zeros(len(pairs_P2), dtype=bool)
    step = max(1, BLOCK // copies_NK.shape[1])
    for start in range(0, len(pairs_P2), step):
        a_PK, b_PK = (copies_NK[pairs_P2[start : start + step, side]].astype(np.float32) for side in (0, 1))
        for side in (a_PK, b_PK):
            side -= side.mean(1, keepdims=True)
        size_P = np.sqrt((a_PK**2).mean(1) * (b_PK**2).mean(1))
        close = (a_PK * b_PK).mean(1) >= least * size_P
        found[start : start + step] = close & (size_P >= FLAT**2)
    return found


def _leader(first: np.ndarray, place: int) -> int:
    while first[place] != place:
        first[place] = first[first[place]]
        place = int(first[place])
    return place


def _candidates(hash_N: np.ndarray) -> np.ndarray:
    """Pairs of places (P, 2), each once, whose hashes are close; those of one hash stand beside the first of them."""
    import numpy as np

    unique, place, inverse = np.unique(hash_N, return_index=True, return_inverse=True)
    own = place[inverse]
    again = np.flatnonzero(own != np.arange(len(hash_N)))
    found = [np.stack([own[again], again], axis=1)]
    for a, b in _compared(unique):
        close = np.bitwise_count(unique[a] ^ unique[b]) <= BITS
        found.append(np.stack([place[a[close]], place[b[close]]], axis=1))
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def _compared(unique: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of different hashes, by their places, a block at a time."""
    import numpy as np

    every = np.arange(len(unique))
    groups = [every]
    if len(unique) > ALL:
        width = 64 // PARTS
        groups = []
        for part in range(PARTS):
            key = (unique >> np.uint64(part * width)) & np.uint64((1 << width) - 1)
            by = np.argsort(key, kind="stable")
            groups += np.split(by, np.flatnonzero(np.diff(key[by])) + 1)
    for members in groups:
        step = max(1, BLOCK // max(1, len(members)))
        for start in range(0, len(members), step):
            rows, columns = np.triu_indices(min(step, len(members) - start), 1, len(members) - start)
            yield members[start + rows], members[start + columns]
