"""What passes between rooms: a row as read, a row encoded, rows stacked; and what rows hold.

Record --task.encode--> Example --task.collate--> Batch
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from weitiao.core.why import reason


@dataclass(frozen=True, slots=True)
class Record:
    """One row as read, which knows where it stands."""

    file: str
    line: int
    values: Mapping[str, Any]
    nth: int = 0
    """Which row of its line, counted from 0: a JSON list may stand on one line."""

    @property
    def place(self) -> str:
        """`reviews.csv line 218`, as errors say it."""
        return place(self.file, self.line, self.nth)

    @property
    def id(self) -> str:
        """`reviews.csv:218`, which no other row has."""
        return f"{self.file}:{self.line}" + (f".{self.nth}" if self.nth else "")


def place(file: str, line: int, nth: int = 0) -> str:
    """Where a row stands, as errors say it."""
    return reason("row_place_nth" if nth else "row_place", file=file, line=line, nth=nth + 1)


def places(named: Sequence[str]) -> list[str]:
    """Of several places one entry a file: `a.csv line 3`, `a.csv line 9` as `a.csv line 3, 9`."""
    before, after = reason("row_place", file="", line="\0").split("\0")
    found: dict[str, list[str]] = {}
    for one in named:
        file, _, line = one.removesuffix(after).rpartition(before)
        # What ends otherwise, as a row of a line that has several may, stands alone.
        found.setdefault(file if one.endswith(after) else one, []).append(line)
    return [
        file if file in named else reason("row_place", file=file, line=", ".join(lines))
        for file, lines in found.items()
    ]


@dataclass(frozen=True, slots=True)
class Example:
    """One encoded record."""

    inputs: Mapping[str, Any]
    """Arrays or lists of numbers, by the model's argument name, such as `input_ids`.

    Each has a length of its own.  In all examples of a task a name has one type, and the same axes behind the first."""
    target: Any = None
    """What the row should give, where it is no input: a class index, a number, a list or an array of any length."""
    trained: int = 1
    """How many things of this row the loss counts: 1 label, or so many tokens."""
    tokens_lost: int = 0
    """Tokens that `max_length` cut off."""
    trained_lost: int = 0
    """How many tokens were cut off that would have been trained; of a side of its own, beside those of `tokens_lost`."""
    refused: str = ""
    """Why the row cannot be encoded at all (its turns do not fit the chat template); it then holds nothing."""
    repaired: str = ""
    """What was put right in the row, for the ledger."""
    chance: tuple[int, ...] | None = None
    """Whence chance is drawn where a training row is changed each time it comes (`Task.varies`): seed, epoch, row; None: as it
    is, as every row is that judges."""
    beside: Example | None = None
    """Another training row, drawn by the same chance, where rows are mixed in pairs (`Task.mixes`)."""
    size: int | None = None
    """How long a row is in whatever its batches are measured in, where that is not its `input_ids` (a row without any, or
    one of two sides)."""

    def __len__(self) -> int:
        if "input_ids" in self.inputs:
            return len(self.inputs["input_ids"])
        if self.size is None and self.inputs:
            raise TypeError(f"an example of {', '.join(self.inputs)} must say its size")
        return self.size or 0


BOUNDS = "cu_seq_lens_q"
"""Where packed rows begin and the last one ends, by the name under which Transformers hands it on to attention."""
SEEN_BOUNDS = "cu_seq_lens_k"
"""The same of the rows that these see, where those are others: what was read, for what is written."""
WRITTEN_BOUNDS = f"decoder_{BOUNDS}"
"""The same of the side that a model writes, in a batch of both."""
PARENTS = "pieces_go_on_from"
"""Of packed rows whose beginnings stand once (`data.shared`): which piece each goes on from, (pieces,), -1 for none; `BOUNDS`
are then those of the pieces."""


@dataclass(slots=True)
class Batch:
    """Stacked examples: what the model is called with, and what is expected."""

    inputs: dict[str, Any]
    """Tensors by the model's argument name."""
    target: Any
    """Class indices (B,), or None."""
    trained: float
    """Sum of the examples' `trained`; of their `weights` where they have some."""
    rows: list[int]
    """Which examples these are, by index; without any, the batch keeps a process company and counts nothing."""
    tokens: int
    """Real tokens."""
    padding: int
    """Padding tokens."""
    shared: int = 0
    """Of the real tokens those that are not computed again, for another row of the batch begins with them, too."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What the task keeps for itself (row boundaries, reference scores)."""
    weights: Any = None
    """What each thing that is trained counts for in the loss (N,); None: 1."""
    told: dict[str, tuple[Any, float]] = field(default_factory=dict)
    """What the loss saw on its way, for the log: name -> a sum, and of how many things it is."""

    def to(self, device: Any) -> Batch:
        """The same batch on `device`; bounds of rows stay on the CPU, where they are read without waiting for it."""
        stay = (BOUNDS, WRITTEN_BOUNDS, PARENTS)
        self.inputs = {n: tensor if n in stay else tensor.to(device) for n, tensor in self.inputs.items()}
        self.target = self.target if self.target is None else self.target.to(device)
        self.weights = self.weights if self.weights is None else self.weights.to(device)
        return self


class Shape(ABC):
    """What a converted row holds, and how rows are told apart.  `data.shapes` has them all."""

    name: ClassVar[str]
    columns: ClassVar[Mapping[str, str]]
    """Column of a converted row -> what it holds."""
    formats: ClassVar[tuple[str, ...]]
    """Row formats (`data.formats`) that give it, the one that is written first."""

    turns: ClassVar[bool] = False
    """Does it hold turns, which a chat template writes?"""
    pictures: ClassVar[tuple[str, ...]] = ()
    """Columns that say where a picture lies: its pixels are read when a batch is stacked (`data.pictures`)."""

    draws: ClassVar[bool] = False
    """Can its answer be drawn on its picture (`drawn`)?"""

    def shown(self, values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """What was seen of pictures among the words of a row (`pictures.looks`), in order; most have none."""
        return []

    @property
    def several(self) -> bool:
        """May a row carry several labels, as a list?  Then the share of each label is kept, not that of a stratum."""
        return False

    also: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Other names that a column may have in rows that are asked, where it is not there by its own."""
    target: ClassVar[str] = ""
    """The column that is the answer: a row without it can be asked; empty where answer and question are one."""

    @abstractmethod
    def faults(self, values: Mapping[str, Any]) -> str:
        """Why a row cannot be used; empty when it can."""

    @abstractmethod
    def key(self, values: Mapping[str, Any]) -> str:
        """The text by which two rows count as the same row."""

    def group(self, values: Mapping[str, Any]) -> str:
        """The text whose rows stay together on one side of the split."""
        return self.key(values)

    def stratum(self, values: Mapping[str, Any]) -> str:
        """The label whose share is kept equal over the splits; empty when there is none."""
        return ""

    def asks(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A row without its answer."""
        return {name: value for name, value in values.items() if name != self.target}

    @abstractmethod
    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Everything that a person wrote, by its address in the row, such as `messages.0.content`."""

    def drawn(
        self,
        picture: Any,
        there: Mapping[str, Any] | None = None,
        found: Mapping[str, Any] | None = None,
        *,
        side: int | None = None,
    ) -> Any:
        """A picture with answers drawn on it; only when `draws`.

        Args:
            picture: as `data.pictures.opening.opened` gives it.
            there: the row, whose answer is the true one.
            found: what was predicted of it.
            side: pixels of the longer side of what comes back, at most; None: as many as the picture has.
        """
        raise NotImplementedError(f"{self.name} draws nothing")

    def files(self, found: Mapping[str, Any]) -> dict[str, bytes]:
        """What was predicted of a picture as files beside the drawn one: what stands behind its name -> content."""
        return {}

    def with_texts(self, values: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
        """A copy of the row with the texts at some addresses replaced."""
        changed = dict(values)
        for address, text in texts.items():
            *path, last = address.split(".")
            node: Any = changed
            for step in path:
                place = int(step) if step.isdigit() else step
                node[place] = node[place].copy()
                node = node[place]
            node[int(last) if last.isdigit() else last] = text
        return changed


class Processor(Protocol):
    """A tokenizer as Transformers has it; only what the rooms use."""

    pad_token_id: int | None
    eos_token_id: int | None

    def __call__(self, text: Any, **options: Any) -> Any:
        """Encode one text or several."""
        ...
