"""A picture in, a changed picture out: in a file of its own, or in memory each time its row comes.

    Record {image: cats/1.jpg}  ->  step.ready(...)  ->  {image: <folder>/4f1c...png, sha256: ...}      `data.augment`
    picture, rng                ->  step.edit(...)   ->  Moved(picture, where its points went)           `task.augment`

The made file is named by its content, so that making it twice gives one file.
"""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, ClassVar, cast

from weitiao.core.contracts import Record, Shape
from weitiao.core.errors import fault
from weitiao.data.augment import Change, Changes, Helpers, Kind, Values
from weitiao.data.pictured import OfPicture
from weitiao.data.pictures.looks import looked
from weitiao.data.pictures.opening import Unreadable, opened

if TYPE_CHECKING:
    from PIL.Image import Image

    from weitiao.data.pictures.geometry import Moved


@dataclass(frozen=True, kw_only=True)
class PictureChanges(Changes):
    """Makes changed copies of pictures."""

    works_on: ClassVar[Kind] = "pictures"

    @abstractmethod
    def edit(self, picture: Image, rng: Random) -> Moved:
        """The changed picture, and where its points went."""

    def needs(self) -> tuple[str, ...]:
        """A folder to write into."""
        return ("folder",)

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """One edit a copy, written as PNG into `helpers.folder`."""
        folder = cast(Path, helpers.folder)  # `needs` has asked for it

        def change(records: Sequence[Record], rngs: Sequence[Random]) -> list[list[Values]]:
            return [
                self._changed(record, rng, folder, cast(OfPicture, shape))
                for record, rng in zip(records, rngs, strict=True)
            ]

        return change

    def _changed(self, record: Record, rng: Random, folder: Path, shape: OfPicture) -> list[Values]:
        path = record.values["image"]
        try:
            picture = opened(path)
        except Unreadable as error:
            raise fault("unreadable_picture", place=record.place, path=path, why=error) from None
        made, matrix_23 = self.edit(picture, rng)
        if made.size == picture.size and made.tobytes() == picture.tobytes():
            return []
        held = io.BytesIO()
        made.save(held, "PNG")
        copy = folder / f"{sha256(held.getvalue()).hexdigest()[:16]}.png"
        if not copy.exists():
            folder.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(held.getvalue())
        place = os.path.abspath(copy)
        values = shape.moved(record.values, matrix_23, made.size)
        return [{**values, "image": place, **looked(place).columns()}]
