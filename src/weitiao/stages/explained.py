"""What must be known of a run whose predictions are explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from weitiao.core.contracts import Example, Record, Task
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.stages.asking import Questions

if TYPE_CHECKING:
    from weitiao.models.load import Loaded
    from weitiao.stages.speaker import Speaker


class Explained(Protocol):
    """What is known of whose predictions are explained: a run."""

    device: str
    folder: RunFolder

    @property
    def task(self) -> Task:
        """Its task, with what the data taught it."""

    @property
    def recipe(self) -> Recipe:
        """Its recipe."""

    @property
    def tuned(self) -> Loaded:
        """Its model."""

    @property
    def limit(self) -> int:
        """Tokens that are read at once."""

    @property
    def speaker(self) -> Speaker:
        """Who answers."""

    def asked(self, texts: Any, columns: Mapping[str, str] | None = None) -> Questions:
        """What is given, as its task reads it."""

    def read(self, records: Sequence[Record]) -> list[tuple[int, Example]]:
        """Rows as its model reads them."""
