"""Libraries without their own words.

with quiet(): model = AutoModel.from_pretrained(folder)                   Transformers
with hushed("bitsandbytes"): import bitsandbytes                          others, by the names of their loggers
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Transformers without its progress bars and load reports; what they say, `load` checks itself."""
    from transformers.utils import logging as theirs

    level, bars = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity(logging.CRITICAL)
    theirs.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        theirs.set_verbosity(level)
        if bars:
            theirs.enable_progress_bar()


@contextmanager
def hushed(*names: str) -> Iterator[None]:
    """Libraries that tell how they go about it, meanwhile."""
    loggers = [logging.getLogger(name) for name in names]
    before = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.ERROR)
        yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)
