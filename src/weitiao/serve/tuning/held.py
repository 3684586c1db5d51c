"""What files and jobs have in common: an id each, and a card on disk that is there again after a start.

fresh("file")                        ->  "file-18c2..."
on_disk(folder.glob("*.json"), File) ->  {id: File}, in the order in which they came
by_id(held, "file-18c2...", shelf="file")
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from weitiao.core.errors import did_you_mean, fault


class Held(Protocol):
    """Whatever has an id, and came at some time."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def created_at(self) -> int:
        """Seconds since 1970."""


H = TypeVar("H", bound=Held)


def fresh(kind: str) -> str:
    """An id of which a later one sorts behind an earlier one, and nobody guesses the next."""
    return f"{kind}-{time.time_ns():016x}{uuid.uuid4().hex[:8]}"


def on_disk(cards: Iterable[Path], made: Callable[..., H]) -> dict[str, H]:
    """Those whose cards lie there, by their ids, in the order in which they came."""
    found = (made(**json.loads(card.read_text(encoding="utf-8"))) for card in cards)
    return {one.id: one for one in sorted(found, key=lambda one: (one.created_at, one.id))}


def by_id(held: Mapping[str, H], name: str, *, shelf: str) -> H:
    """The one of that id.

    Raises:
        WeitiaoError: `unknown_name`.
    """
    if name not in held:
        known = ", ".join(held) or "-"
        raise fault("unknown_name", shelf=shelf, name=name, hint=did_you_mean(name, held), known=known)
    return held[name]
