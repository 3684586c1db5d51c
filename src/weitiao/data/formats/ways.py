"""Ways to read a file whose rows then have a format of another name.

format_of("coco", known=("mask", "outlines"))  ->  "outlines"
"""

from __future__ import annotations

from collections.abc import Collection

READ_AS: dict[str, tuple[str, ...]] = {
    "conll": ("tags",),
    "imagefolder": ("image",),
    "maskfolder": ("mask",),
    "coco": ("objects", "outlines"),
    "voc": ("objects",),
    "yolo": ("objects",),
}
"""A way -> the formats that its rows may be taken for; which of them, the task decides."""


def format_of(asked: str, known: Collection[str]) -> str:
    """The format of rows that are read in a way, of those that would do."""
    named = READ_AS.get(asked, (asked,))
    return next((name for name in named if name in known), named[0])
