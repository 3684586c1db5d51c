"""What must be known of a run whose test rows are asked again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from weitiao.core.contracts import Example
from weitiao.stages.explained import Explained


class Stressed(Explained, Protocol):
    """What is known of whose test rows are asked again: a run."""

    @property
    def path(self) -> Path:
        """Its folder."""

    @property
    def place(self) -> Path:
        """Where its results lie."""

    @property
    def results(self) -> dict[str, Any]:
        """`results.json`."""

    def judged(self, where: str) -> Stressed:
        """The same run with its results looked for elsewhere in its folder."""

    def untuned(self) -> AbstractContextManager[Stressed]:
        """The same run with the model as it was before."""

    def alone(
        self, examples: Sequence[Example], progress: Callable[[int, int], None] | None
    ) -> list[dict[str, Any]]:
        """What is said of each row, before rows are each other's candidates (`Task.together`)."""
