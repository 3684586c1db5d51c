"""Shelf 3: changed copies of training rows.  One file an augmentation.

    data.augment: [{name: synonyms, share: 0.1}, {name: balance}]
        ->  steps(...)  ->  {"synonyms": Synonyms(share=0.1), "balance": Balance()}
        ->  make.augment(splits, shape, steps, seed=0)  ->  made rows, and what was made of what

To add one: a file here with a frozen dataclass under `@register("augmentation", NAME)` that is a `Changes` (a row in,
changed copies out) or a `Repeats` (how often which class is repeated).  Chance is handed in: a generator seeded
from the seed, the step and the row itself, so that what becomes of a row depends on no other row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from weitiao.core import registry
from weitiao.core.contracts import Record, Shape
from weitiao.core.why import reason

Values: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Sequence[Record], Sequence[Random]], list[list[Values]]]
"""Records and a generator for each -> the changed copies of each, none where nothing could be changed."""
Share: TypeAlias = Annotated[float, Field(gt=0, le=1)]
Kind: TypeAlias = Literal["texts", "pictures", "all rows"]
Translate: TypeAlias = Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True, kw_only=True)
class Helpers:
    """What an augmentation cannot make itself and is handed; a field's name is what `needs` says."""

    dictionary: Callable[[str], Path] | None = None
    """The file of an embedded dictionary (`wordnet`, `cilin`, `homophones`), fetched if need be."""
    masked_model: Callable[[], tuple[Any, Any]] | None = None
    """The base model with its masked-word head, and its tokenizer."""
    translator: Callable[[str], Translate] | None = None
    """Folder or hub id of a translation model -> what translates texts with it."""
    folder: Path | None = None
    """Where made pictures are written."""


@dataclass(frozen=True, kw_only=True)
class Augmentation(ABC):
    """A way to more training rows.  Final subclasses are frozen dataclasses; their fields are their settings."""

    summary: ClassVar[str]
    """One line for the list."""
    source: ClassVar[str]
    """The paper."""
    works_on: ClassVar[Kind] = "all rows"
    """What a row must hold."""

    def refuses(self, shape: Shape) -> str:
        """What else stands against rows of this shape; empty when nothing does."""
        return ""

    def needs(self) -> tuple[str, ...]:
        """Fields of `Helpers` that must be there."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Changes(Augmentation):
    """Makes changed copies of rows."""

    copies: Annotated[int, Field(ge=1)] = 1
    """Changed copies of a row."""
    rows: Share = 1.0
    """Share of the training rows that get copies."""

    @abstractmethod
    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """Open what is needed (dictionary, model, the user's file), and give what changes rows.

        Raises:
            WeitiaoError: when something that is needed cannot be opened; no row has been changed by then.
        """


@dataclass(frozen=True, kw_only=True)
class Repeats(Augmentation):
    """Makes plain copies of rows, class by class; steps after it change the copies."""

    @abstractmethod
    def wanted(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Rows of each class -> plain copies to be made of each."""


def steps(settings: Sequence[str | Mapping[str, Any]]) -> dict[str, Augmentation]:
    """The augmentations that `data.augment` lists, by name; the second `delete` is called `delete 2`.

    Raises:
        WeitiaoError: `unknown_name`, `unknown_key` (with "did you mean") or `wrong_value`.
    """
    built: dict[str, Augmentation] = {}
    for setting in settings:
        words = {"name": setting} if isinstance(setting, str) else setting
        name = str(words.get("name", ""))
        earlier = sum(key.partition(" ")[0] == name for key in built)
        built[f"{name} {earlier + 1}" if earlier else name] = registry.build("augmentation", words)
    return built


def misfit(step: Augmentation, shape: Shape) -> str:
    """Why a step cannot work on rows of this shape; empty when it can."""
    held = "pictures" if shape.pictures else "texts"
    if step.works_on not in ("all rows", held):
        return reason(f"rows_hold_{held}")
    return step.refuses(shape)
