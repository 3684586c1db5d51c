"""Two processes for all tests that train by several."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.train.two_processes import TwoProcesses


@pytest.fixture(scope="session")
def two_processes() -> Iterator[TwoProcesses]:
    """Two processes that need not import torch."""
    with TwoProcesses() as both:
        yield both
