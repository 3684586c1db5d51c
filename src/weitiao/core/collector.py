"""Python's collector of cycles, held still while much is made that stays.

    with paused():
        import torch

Importing torch and Transformers makes over half a million objects that live as long as the process.  The collector
looks through all of them again and again while they become more, and finds nothing: a third of the CPU time of a
start.  Reference counts free what can be freed meanwhile, as ever.
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
