"""How a stage says what it does, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Tell: TypeAlias = Callable[..., None]
"""How a stage says what it does: tell("split", train=..., ...).  Faces show it; scripts may ignore it."""


def silent(event: str, **facts: Any) -> None:
    """Tell nobody."""
