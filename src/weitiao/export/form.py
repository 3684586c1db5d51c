"""What every form of an exported model says of itself: the contract of the shelf `form`.

A form writes the model into a folder, and beside it `runner.py`, some forty lines that know neither weitiao nor the run:

    read([("a text",), ...])  ->  {"input_ids": (B, T), "attention_mask": (B, T)}
    ask(inputs)               ->  {"logits": (B, L)}
    answers([("a text",)])    ->  [{"label": "good", ...}]
    spoken(turns, ...)        ->  of a language model: its prompt, and the words that follow
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.export.parity import Bounds
from weitiao.export.writing import Exported, write

if TYPE_CHECKING:
    from weitiao.stages.events import Tell
    from weitiao.stages.run import Run

EXACT = "fp32"


@dataclass(frozen=True)
class Form(ABC):
    """A form that a model leaves in.  Final subclasses are frozen dataclasses."""

    dtype: Any = EXACT
    """The precision of its weights."""

    summary: ClassVar[str]
    """One line."""
    source: ClassVar[str]
    """Who reads it."""
    modules: ClassVar[tuple[str, ...]] = ()
    """What must be there to write it."""
    extra: ClassVar[str] = "export"
    """With which they come."""
    without: ClassVar[tuple[str, ...]] = ()
    """What its runner must do without, beside weitiao."""
    legacy: ClassVar[str] = ""
    """The form that has taken its place, where its own readers develop it no more; it is said when it is written."""

    @property
    def exact(self) -> bool:
        """Are its numbers those of the judged model, but for rounding?"""
        return bool(self.dtype == EXACT)

    def bounds(self, run: Run) -> Bounds:
        """How far it may be from the judged model: 1e-4; where weights are rounded the score may move by half a point."""
        return Bounds(self.exact, close=1e-4, points=0.005)

    def misreads(self, run: Run) -> Callable[[str], bool]:
        """Which texts are known to be read otherwise where the form is at home: few of them may be, and they are told."""
        return lambda text: False

    @abstractmethod
    def refuses(self, run: Run) -> str:
        """Why it cannot be had for this model; empty when it can.  Nothing slow is done to know it."""

    @abstractmethod
    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Model, processor and `runner.py`.

        Args:
            run: whose model.
            folder: that is there, and empty.
            inputs: names that the model is called with.
            outputs: names of what the task reads.
        """

    def export(self, run: Run, *, tell: Tell | None = None) -> Exported:
        """Write it into the run's `export/`, verified, or not at all.

        Raises:
            WeitiaoError: `no_such_form` where it cannot be had for this model, `missing_extra`, `export_differs` where it does
                not answer as the judged model does; what loading and writing raise.
        """
        return write(run, self, tell=tell)
