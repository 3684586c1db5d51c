"""The same rows written otherwise: typos, case, punctuation, synonyms, characters of another width.

    "Great film."  ->  keyboard  "Grwat film."     upper_case  "GREAT FILM."     no_punctuation  "Great film"

What typing and wording do comes from the shelf of augmentations; here stands what people do that makes no new training
rows.  What is changed is what is asked, never what is answered.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from weitiao.core import registry
from weitiao.core.contracts import Record, Shape, both
from weitiao.core.contracts.section import Both
from weitiao.core.why import reason
from weitiao.data.augment import Change, Changes, Helpers
from weitiao.data.augment.words import by_pieces, changeable, is_han, tagged

OTHER_MARKS = dict(zip(",.!?;:()\"'", "，。！？；：（）＂＇", strict=True))
OTHER_MARKS |= {wide: mark for mark, wide in OTHER_MARKS.items()} | {"“": '"', "”": '"', "‘": "'", "’": "'"}
WIDER = 0xFEE0  # from a letter or digit of ASCII to its full-width form


@dataclass(frozen=True, eq=False)
class Perturbation:
    """One way to write rows otherwise."""

    name: str
    title: Both
    rate: float | None = None
    """Share of the letters, or words, that is changed; None: all that can be."""
    whole: Callable[[str], str] | None = None
    """A text as it is written otherwise; None: the augmentation of that name changes it."""
    chinese: bool = False
    """Does it change Chinese alone?"""

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """What changes rows of this shape.

        Raises:
            WeitiaoError: what opening a dictionary raises.
        """
        if self.whole is not None:
            written = self.whole
            return by_pieces(lambda pieces, rng: [written(piece) for piece in pieces], shape)
        step: Changes = registry.build("augmentation", {"name": self.name, "share": self.rate})
        return step.ready(shape, helpers)


def no_punctuation(text: str) -> str:
    """Without its marks; words that only a mark kept apart stay apart."""
    found = []
    for place, char in enumerate(text):
        if unicodedata.category(char)[0] != "P":
            found.append(char)
        elif char not in "'’" and 0 < place < len(text) - 1:
            around = text[place - 1], text[place + 1]
            found.append(" " if all(each.isalnum() and not is_han(each) for each in around) else "")
    return "".join(found)


def other_punctuation(text: str) -> str:
    """Marks of ASCII in full width, and the other way round; a point inside a number stays."""
    return "".join(
        char if text[place + 1 : place + 2].isalnum() and char in ".,:'’" else OTHER_MARKS.get(char, char)
        for place, char in enumerate(text)
    )


def other_width(text: str) -> str:
    """Letters and digits beside Chinese in full width, and the other way round."""
    if not any(map(is_han, text)):
        return text
    return "".join(
        chr(ord(char) + WIDER)
        if char.isascii() and char.isalnum()
        else chr(ord(char) - WIDER)
        if (narrow := chr(max(0, ord(char) - WIDER))).isascii() and narrow.isalnum()
        else char
        for char in text
    )


PERTURBATIONS = (
    Perturbation("keyboard", both("typos", "打字错误"), 0.05),
    Perturbation("char_noise", both("wrong letters", "漏字与错字"), 0.05),
    Perturbation("homophones", both("homophones", "同音字"), 0.05, chinese=True),
    Perturbation("synonyms", both("synonyms", "同义词"), 0.1),
    Perturbation("lower_case", both("lower case", "全部小写"), whole=str.lower),
    Perturbation("upper_case", both("capitals", "全部大写"), whole=str.upper),
    Perturbation("no_punctuation", both("no punctuation", "没有标点"), whole=no_punctuation),
    Perturbation("other_punctuation", both("other punctuation", "其他标点"), whole=other_punctuation),
    Perturbation("other_width", both("other width", "其他字宽"), whole=other_width),
)


def perturbations(rate: float | None = None) -> list[Perturbation]:
    """All of them.

    Args:
        rate: of those that have one; None: their own.
    """
    return [replace(one, rate=rate) if one.rate is not None and rate else one for one in PERTURBATIONS]


def spared(shape: Shape, records: Sequence[Record]) -> str:
    """Why rows of this shape have nothing that could be written otherwise and still be the same rows; empty where they do."""
    if "image" in shape.columns:
        return reason("no_texts_in_rows")
    if tagged(shape):
        return ""
    own = [(changeable(shape, record.values), shape.texts(record.values)) for record in records[:1]]
    answers = shape.target or any(len(asked) < len(all_) for asked, all_ in own)
    return "" if answers else reason("asked_is_answered")


def chinese(shape: Shape, records: Sequence[Record]) -> bool:
    """Does any row hold Chinese?"""
    texts = (text for record in records for text in shape.texts(record.values).values())
    return any(any(map(is_han, text)) for text in texts)


def perturbed(
    change: Change, records: Sequence[Record], shape: Shape, *, seed: int, name: str
) -> list[Record | None]:
    """Each row as it is written otherwise; None where nothing in it could be, or nothing would be left.

    What becomes of a row depends on no other row.
    """
    made = change(records, [chance(record, shape, seed, name) for record in records])
    return [
        replace(record, values=copies[0]) if copies and not shape.faults(copies[0]) else None
        for record, copies in zip(records, made, strict=True)
    ]


def chance(record: Record, shape: Shape, seed: int, name: str) -> Random:
    """The generator of a row, which depends on no other row."""
    words = f"{seed}\0{name}\0{shape.key(record.values)}"
    return Random(int.from_bytes(hashlib.sha256(words.encode("utf-8", "surrogatepass")).digest(), "big"))
