"""Pictures with what they show: in words, or as the label that they lie under.

{"image": "toys/1.jpg", "text": "a red toy"}  ->  the same, and what was seen of the picture;    {"image": ..., "label": "cat"}  ->  text: cat, too
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weitiao.data.formats.convert import Repairs, as_text, image
from weitiao.data.pictured import SEEN


def captioned(row: Mapping[str, Any], repairs: Repairs) -> dict[str, Any]:
    """A picture, what was seen of it (`formats.pictured`), and what it shows in words."""
    return {**{name: row[name] for name in SEEN}, "text": as_text(row["text"])}


def class_picture(row: Mapping[str, Any], repairs: Repairs) -> dict[str, Any]:
    """The same of a picture with a label, which says what it shows."""
    found = image(row, repairs)
    return {**found, "text": found["label"]}
