"""Things made by threads before they are asked for, always the same things in the same order.

Prefetch(make, workers=2)(7)  ->  make(7), while 8 and 9 are being made
mapped(look, paths, workers=4)  ->  look(paths[0]), look(paths[1]) ..., while some behind are being looked at
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")
AHEAD = 4
"""Things that wait for each thread."""


class Prefetch(Generic[T]):
    """Asked for one after the other; whoever jumps waits as if nothing had been made ahead."""

    def __init__(self, make: Callable[[int], T], *, workers: int):
        self._make, self._workers = make, workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
        self._coming: dict[int, Future[T]] = {}

    def __call__(self, index: int) -> T:
        """What `make(index)` gives, or raises."""
        wanted = range(index, index + self._workers + 1)
        self._coming = {
            number: self._coming.get(number) or self._pool.submit(self._make, number) for number in wanted
        }
        return self._coming.pop(index).result()


def mapped(make: Callable[[S], T], items: Iterable[S], *, workers: int | None = None) -> Iterator[T]:
    """`make` of every item, in order; some are made ahead, and no more than these lie in memory.

    Args:
        make: what it raises is raised when its turn comes.
        items: taken as they are needed.
        workers: threads; default: as many as there are processors, and with one nothing is made ahead.
    """
    workers = workers or processors()
    if workers < 2:
        yield from map(make, items)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="ahead") as pool:
        coming: deque[Future[T]] = deque()
        try:
            for item in items:
                coming.append(pool.submit(make, item))
                if len(coming) > AHEAD * workers:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for one in coming:
                one.cancel()


def processors() -> int:
    """How many this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
