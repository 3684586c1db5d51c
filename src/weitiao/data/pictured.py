"""Rows that hold a picture: how they are told apart, whatever is learnt from it.

    {"image": "/pets/cat/1.jpg", "sha256": "4f1c...", "phash": "c3a1...", "label": "cat"}  ->  PICTURED.key(...)  ->  "4f1c..."

A shape of pictures with boxes or masks is another subclass of `OfPicture`, which says what is learnt and nothing of pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core.contracts import Shape
from weitiao.core.why import reason
from weitiao.data.pairs import text_fault

IMAGE = "image"
"""The column that says where the picture lies."""
KNOWN = ("width", "height", "light", "contrast", "colour")
"""What is known of a picture beside its file, by which judged rows are sliced."""
SEEN = (IMAGE, "sha256", "phash", *KNOWN)
"""What every row with a picture holds of it (`pictures.looks`)."""


@dataclass(frozen=True)
class OfPicture(Shape):
    """A picture, and what is to be learnt of it."""

    pictures: ClassVar[tuple[str, ...]] = (IMAGE,)

    def faults(self, values: Mapping[str, Any]) -> str:
        """A path is needed."""
        return text_fault(values, IMAGE)

    def key(self, values: Mapping[str, Any]) -> str:
        """The content of the file, as its hash: copies under other names are the same picture."""
        return str(values.get("sha256") or values[IMAGE])

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """None: a path is no text."""
        return {}

    def moved(self, values: Mapping[str, Any], matrix_23: Any, size: tuple[int, int]) -> dict[str, Any]:
        """What is to be learnt of the picture once its points went elsewhere (`pictures.geometry`).

        Args:
            values: the row.
            matrix_23: (x, y, 1) before -> (x, y) now.
            size: width and height of the changed picture.
        """
        return dict(values)


@dataclass(frozen=True)
class Pictured(OfPicture):
    """A picture and its label."""

    name: ClassVar[str] = "pictured"
    target: ClassVar[str] = "label"
    columns: ClassVar[Mapping[str, str]] = {IMAGE: "the path of a picture", "label": "its label"}
    formats: ClassVar[tuple[str, ...]] = ("image",)

    def faults(self, values: Mapping[str, Any]) -> str:
        """A path and a label are needed."""
        return super().faults(values) or (reason("label_missing") if values["label"] is None else "")

    def stratum(self, values: Mapping[str, Any]) -> str:
        """The label; none of a picture that is asked."""
        label = values.get("label")
        return "" if label is None else str(label)
