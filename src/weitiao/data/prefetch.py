"""Things made by threads before they are asked for, always the same things in the same order.

Prefetch(make, workers=2)(7)  ->  make(7), while 8 and 9 are being made
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


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
