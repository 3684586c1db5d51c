"""Rows that hold a picture and what it shows, in words or as a class: whoever is asked draws the picture.

{"image": "/toys/1.jpg", "text": "a photo of a red toy", ...}      {"image": "/pets/cat/1.jpg", "text": "cat", "label": "cat", ...}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.data.pairs import text_fault
from weitiao.data.pictured import IMAGE, OfPicture

TEXT = "text"


@dataclass(frozen=True)
class Captioned(OfPicture):
    """A picture that is learnt to be drawn, and by which words."""

    name: ClassVar[str] = "captioned"
    target: ClassVar[str] = IMAGE
    columns: ClassVar[Mapping[str, str]] = {
        IMAGE: "the path of a picture",
        TEXT: "what it shows: a prompt, or the name of a class",
    }
    formats: ClassVar[tuple[str, ...]] = ("captioned", "class_picture")

    def faults(self, values: Mapping[str, Any]) -> str:
        """A path and some words are needed."""
        return super().faults(values) or text_fault(values, TEXT)

    def key(self, values: Mapping[str, Any]) -> str:
        """The content of the file; of a row that is asked, its words."""
        return str(values.get("sha256") or values.get(IMAGE) or values[TEXT])

    def stratum(self, values: Mapping[str, Any]) -> str:
        """The class, where the row came with one; prompts have no shares to keep."""
        return str(values.get("label") or "")

    def texts(self, values: Mapping[str, Any]) -> dict[str, str]:
        """What it shows."""
        return {TEXT: values[TEXT]}
