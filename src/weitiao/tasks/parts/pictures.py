"""What every task of pictures shares: its way from a row, which says where its picture lies, to a batch of pixels.

    {"image": "/pets/cat/1.jpg", ...}  ->  encode  ->  Example(image=<its place>, target)  ->  collate  ->  Batch(pixel_values, ...)

A task says what the target of a row is (`answer_of`) and how targets are stacked.  Pixels are read in `collate` alone, by threads, changed
there where a training row comes (`augment`), and made ready by the model's own processor, so that what is trained, judged and asked
is what Transformers would make of the same file.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core import registry
from weitiao.core.contracts import Batch, Example, Record, Task
from weitiao.core.errors import fault
from weitiao.core.why import reason
from weitiao.data.augment.pictures import PictureChanges
from weitiao.data.pictured import IMAGE
from weitiao.data.pictures import geometry
from weitiao.data.pictures.damage import DAMAGE, damaged
from weitiao.data.pictures.geometry import Moved
from weitiao.data.pictures.opening import still
from weitiao.data.prefetch import mapped

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class OfPictures(Task):
    """What a picture is, or shows."""

    augment: tuple[str | dict[str, Any], ...] = ()
    """How training pictures are changed anew each time they come, such as `[flip, {name: rotate, degrees: 10}]`
    (docs/augmentation.md)."""
    image_size: Annotated[int, Field(ge=1)] | None = None
    """Pixels of each side that the model gets; default: as its processor has it.  Models of convolutions take any: smaller pictures
    are quicker, by the square."""

    processor_class: ClassVar[str] = "AutoImageProcessor"

    @abstractmethod
    def answer_of(self, record: Record) -> Any:
        """What an example is to give, of what its row holds; None of a row that is asked."""

    @abstractmethod
    def stacked(self, targets: Sequence[Any]) -> Tensor:
        """The targets of examples as one tensor (B, ...)."""

    def strange(self, record: Record) -> str:
        """Why nothing can be given for a row, as for a label that the model does not know; empty when something can."""
        return ""

    def counts(self, targets: Sequence[Any]) -> list[float] | None:
        """What rows with these targets count for in the loss; None where all count the same."""
        return None

    def made_ready(self, examples: Sequence[Example], processor: Any) -> dict[str, Tensor]:
        """What the model's processor makes of the pictures, by the name under which the model is given it."""
        import torch

        pictures = [moved.picture for moved in self.read(examples)]
        made = processor(images=pictures, return_tensors="pt")
        return {name: each for name, each in made.items() if isinstance(each, torch.Tensor)}

    def blended(self, batch: Batch, examples: Sequence[Example], processor: Any) -> Batch:
        """A batch whose rows are mixed with those that they bring with them (`Task.mixes`)."""
        return batch

    def ready(self, processor: Any) -> Any:
        """The processor with `image_size`."""
        if self.image_size is None:
            return processor
        square = {"height": self.image_size, "width": self.image_size}
        edge = {"shortest_edge": self.image_size}
        # A processor that cuts a square out brings the shorter side to its size first.
        sized = {"size": edge if "shortest_edge" in dict(processor.size) else square}
        if getattr(processor, "do_center_crop", None):
            sized["crop_size"] = square
        return type(processor)(**{**processor.to_dict(), **sized})

    @property
    def varies(self) -> bool:
        """Where pictures are changed as they come."""
        return bool(self.augment)

    @cached_property
    def changes(self) -> list[PictureChanges]:
        """The steps of `augment`.

        Raises:
            WeitiaoError: what building them raises; `augment_refuses` for one that changes no pictures.
        """
        found = []
        for named in self.augment:
            words = {"name": named} if isinstance(named, str) else named
            step = registry.build("augmentation", words)
            if not isinstance(step, PictureChanges):
                why = reason("changes_no_picture")
                raise fault("augment_refuses", name=words.get("name"), shape=self.shape.name, why=why)
            found.append(step)
        return found

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Where each picture lies, as the bytes of its path; no picture is opened."""
        for record in records:
            if why := self.strange(record):
                yield Example({}, refused=why)
                continue
            place = np.frombuffer(os.fsencode(record.values[IMAGE]), dtype=np.uint8)
            inputs = {IMAGE: place}
            if said := record.values.get(DAMAGE):
                inputs[DAMAGE] = np.frombuffer(said.encode(), dtype=np.uint8)
            yield Example(inputs, target=self.answer_of(record), size=1)

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Pixels (B, C, H, W) as the model's processor makes them, and targets (B, ...)."""
        import torch

        inputs = self.made_ready(examples, processor)
        targets = [example.target for example in examples]
        known = all(target is not None for target in targets)
        weights = self.counts(targets) if known else None
        batch = Batch(
            inputs,
            self.stacked(targets) if known else None,
            trained=len(examples) if weights is None else sum(weights),
            rows=list(rows),
            tokens=len(examples),
            padding=0,
            weights=None if weights is None else torch.tensor(weights),
        )
        return self.blended(batch, examples, processor)

    def read(self, examples: Sequence[Example]) -> list[Moved]:
        """The pictures, changed where they come to be learnt from, and where their points went.

        Raises:
            WeitiaoError: `picture_gone` for one that was there when the rows were checked.
        """
        self.changes  # noqa: B018 - built once, before threads ask
        return list(mapped(self._read, examples) if len(examples) > 1 else map(self._read, examples))

    def _read(self, example: Example) -> Moved:
        path = os.fsdecode(np.asarray(example.inputs[IMAGE]).tobytes())
        found = Moved(still(path), geometry.stay())
        if (said := example.inputs.get(DAMAGE)) is not None:
            found = found._replace(picture=damaged(found.picture, np.asarray(said).tobytes().decode()))
        for number, step in enumerate(self.changes if example.chance else ()):
            rng = Random(repr((*(example.chance or ()), number)))
            if rng.random() < step.rows:
                now = step.edit(found.picture, rng)
                found = Moved(now.picture, geometry.then(found.matrix_23, now.matrix_23))
        return found

    def texts_read(self, record: Record) -> list[tuple[str, ...]]:
        """Where its picture lies."""
        return [(record.values[IMAGE],)]

    def record(self, text: str) -> dict[str, Any]:
        """The columns of a picture of which nothing else is known, by its path."""
        return {IMAGE: text, self.shape.target: None} if self.shape.target else {IMAGE: text}
