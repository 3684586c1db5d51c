"""Python's collector of cycles, held still while much is made that stays.

    with paused():
        import torch

    with stays():
        listen()

Importing torch and a Transformers model makes some 370,000 objects that live as long as the process.  The collector
looks through them again and again while they become more, and finds nothing: about a quarter of the CPU time of those
imports.  One look at what is new remains, when it goes on.  Reference counts free what can be freed meanwhile, as ever.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """No collection inside; afterwards it is as it was, on or off.  For bounded work: imports, a model's skeleton."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def stays() -> Iterator[None]:
    """All that is there is looked through no more inside, as what a server has loaded before it listens."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
