"""Pictures with boxes drawn on them, for whoever looks: what is there, and what was found.

picture, [{"label", "box"}] there, [{"label", "box", "score"}] found  ->  outlined(...)  ->  a picture with both on it

Whole lines are around what is there, broken ones around what was found; their two colours are told apart by everybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

THERE, FOUND = (0, 114, 178), (213, 94, 0)
"""Blue and vermilion (Okabe & Ito 2008)."""
LEAST = 288
"""Pixels of the longer side from which lines and names can be read."""
DASH = 5
"""Widths of a line, of a piece of a broken one."""


def outlined(
    picture: Image,
    there: Sequence[Mapping[str, Any]] = (),
    found: Sequence[Mapping[str, Any]] = (),
    *,
    side: int | None = None,
) -> Image:
    """A copy with boxes on it; of a small picture an enlarged one.

    Args:
        picture: RGB.
        there: boxes [x, y, width, height] in its pixels, with labels.
        found: the same, with scores.
        side: pixels of the copy's longer side, at most; None: as many as the picture has.
    """
    from PIL import Image, ImageDraw

    longest = max(picture.size)
    if longest < LEAST:
        times = -(-LEAST // longest)
        copy = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    else:
        copy = picture.copy()
        if side:
            copy.thumbnail((side, side))
    across, down = copy.width / picture.width, copy.height / picture.height
    pen, width = ImageDraw.Draw(copy), max(2, max(copy.size) // 250)
    for things, colour, whole in ((there, THERE, True), (found, FOUND, False)):
        for number, one in enumerate(things, start=1):
            x, y, w, h = one["box"]
            box = x * across, y * down, (x + w) * across, (y + h) * down
            _outline(pen, box, colour, width, whole=whole)
            # Names stand above the boxes that are there, and below those that were found.
            _name(pen, named(one, number), box, colour, above=whole, size=copy.size)
    return copy


def named(thing: Mapping[str, Any], number: int) -> str:
    """What stands beside a box: its label, or its number where the one font that always is there has no such letters; and its
    score."""
    label = str(thing["label"])
    told = label if label.isascii() and label.isprintable() else str(number)
    return f"{told} {thing['score']:.2f}" if "score" in thing else told


def _outline(
    pen: ImageDraw, box: tuple[float, ...], colour: tuple[int, ...], width: int, *, whole: bool
) -> None:
    x, y, right, bottom = box
    # A white line around it is seen on any ground.
    if whole:
        pen.rectangle((x - 1, y - 1, right + 1, bottom + 1), outline="white", width=width + 2)
        pen.rectangle(box, outline=colour, width=width)
        return
    for line in ((x, y, right, y), (right, y, right, bottom), (right, bottom, x, bottom), (x, bottom, x, y)):
        pen.line(line, fill="white", width=width)
        for piece in _pieces(line, DASH * width):
            pen.line(piece, fill=colour, width=width)


def _pieces(line: tuple[float, float, float, float], length: float) -> Iterator[tuple[float, ...]]:
    """Every other piece of a line."""
    x, y, right, bottom = line
    whole = abs(right - x) + abs(bottom - y)
    for at in range(max(1, int(whole // length) + 1))[::2]:
        begin, end = (min(1.0, part * length / whole) if whole else 0.0 for part in (at, at + 1))
        yield (
            x + begin * (right - x),
            y + begin * (bottom - y),
            x + end * (right - x),
            y + end * (bottom - y),
        )


def _name(
    pen: ImageDraw,
    text: str,
    box: tuple[float, ...],
    colour: tuple[int, ...],
    *,
    above: bool,
    size: tuple[int, int],
) -> None:
    from PIL import ImageFont

    font = ImageFont.load_default(max(12, max(size) // 45))
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    wide, high = right - left + 4, bottom - top + 4
    x = min(max(0, box[0]), max(0, size[0] - wide))
    y = box[1] - high if above else box[3]
    y = min(max(0, y), max(0, size[1] - high))
    pen.rectangle((x, y, x + wide, y + high), fill=colour)
    pen.text((x + 2 - left, y + 2 - top), text, fill="white", font=font)
