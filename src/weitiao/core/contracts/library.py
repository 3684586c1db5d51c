"""A library other than Transformers, whose models a task tunes: how they are opened and saved.

a folder  ->  processor  ->  model, head  ->  train  ->  save
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn


class Learnt(Protocol):
    """What a library is told of a task."""

    def classes(self) -> tuple[str, ...]:
        """The labels that its models tell apart, or are told."""


class Library(ABC):
    """Its models, by folders.  What it gives trains, is wrapped, kept and told of like any model; it has a
    Transformers configuration and names its body in `base_model_prefix`."""

    @abstractmethod
    def refuse(self, source: str, *, ref: str) -> None:
        """Look at a folder's files, and open nothing.

        Raises:
            WeitiaoError: where it is no such model, or one that cannot be tuned.
        """

    @abstractmethod
    def processor(self, source: str, *, ref: str) -> Any:
        """What makes rows ready for the model of a folder; `save_pretrained` writes all that decides how."""

    @abstractmethod
    def model(self, processor: Any, task: Learnt, *, empty: bool) -> tuple[nn.Module, frozenset[str]]:
        """The model, and names of the parameters that the base does not have as the task needs them.

        Args:
            processor: of the folder.
            task: what it is for.
            empty: without its weights, on torch's `meta` device.

        Raises:
            WeitiaoError: where the model has no place for what the task asks.
        """

    @abstractmethod
    def save(self, folder: Path, model: nn.Module, processor: Any, task: Learnt) -> None:
        """Write the whole model as its own library opens it."""

    @abstractmethod
    def save_beside(self, folder: Path, config: Mapping[str, Any], task: Learnt) -> None:
        """Write beside our adapter files those by which its own library puts them on a base.

        Args:
            folder: where adapter_model.safetensors lies already.
            config: what adapter_config.json says.
            task: what was learnt.
        """

    @abstractmethod
    def without_us(self, home: str, base: str, *, adapter: bool) -> str:
        """How the tuned model is used without weitiao, as Python.

        Args:
            home: folder of the tuned model.
            base: the folder that was tuned.
            adapter: is it put on that base?
        """
