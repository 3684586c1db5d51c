"""Pictures in turns: where a text says that they stand, and what is given for each.

    parts([{"type": "text", "text": "What is "}, {"type": "image_url", "image_url": {"url": "cat.png"}}])   OpenAI's
        ->  "What is <image>", ["cat.png"]
    given(turns, ["cat.png"])     for turns with marks alone, beside a column `images` (LLaMA-Factory, TRL)
        ->  [{"role": "user", "content": "What is <image>", "images": ["cat.png"]}, ...]

One mark a picture, in the turn that shows it.  A text that merely spells the mark, in a row without pictures, is a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from weitiao.core.why import reason
from weitiao.data.formats.spelt_list import begins, spelt_list
from weitiao.data.formats.unusable import Unusable

MARK = "<image>"
"""Stands in a text where a picture does, as LLaMA-Factory has it."""
IMAGES = "images"
"""Of a turn: its pictures, one a mark; of a row: those of all its turns."""
KINDS = {"image_url": ("image_url",), "input_image": ("image_url",), "image": ("image", "url", "path")}
"""Types of parts that are pictures (OpenAI's, those of its Responses, Hugging Face's), and where each says which one."""
Turn: TypeAlias = dict[str, Any]


def parts(content: Sequence[Any], number: int) -> tuple[str, list[Any]]:
    """The words of a turn's parts with a mark for each picture, and what is given for each; None where the row's `images` say.

    Raises:
        Unusable: a part is neither text nor picture; a text beside pictures spells the mark.
    """
    texts: list[str] = []
    shown: list[Any] = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in KINDS:
            shown.append(_given(part, KINDS[str(kind)]))
            texts.append(MARK)
            continue
        text = part.get("text") if isinstance(part, Mapping) else part
        if not isinstance(text, str):
            raise Unusable(reason("turn_parts", number=number))
        texts.append(text)
    if shown and sum(text.count(MARK) for text in texts) > len(shown):
        raise Unusable(reason("mark_among_parts", number=number, mark=MARK))
    return "".join(texts), shown


def _given(part: Mapping[str, Any], names: Sequence[str]) -> Any:
    found = next((part[name] for name in names if part.get(name) is not None), None)
    return found.get("url") if isinstance(found, Mapping) and "url" in found else found


def beside(content: Any, images: Any, kept: Turn) -> tuple[Any, Turn]:
    """The words of a turn that has pictures of its own, and what is kept of it; without any mark they stand first.

    Raises:
        Unusable: there are more marks than pictures, or fewer.
    """
    shown, words = _listed(images), content if isinstance(content, str) else ""
    words = words if MARK in words else MARK * len(shown) + words
    if words.count(MARK) != len(shown):
        raise Unusable(reason("marks_not_pictures", marks=words.count(MARK), pictures=len(shown), mark=MARK))
    return words, {**kept, IMAGES: shown}


def given(turns: Sequence[Turn], images: Any, repairs: list[str]) -> list[Turn]:
    """Turns with what is given for each of their pictures.

    Args:
        turns: as their format has them.
        images: the row's column, if it has one: a picture or several.
        repairs: hears where pictures without any mark were put.

    Raises:
        Unusable: there are more marks than pictures, or fewer.
    """
    beside = _listed(images)
    asked = sum(map(len, (_waiting(turn, beside) for turn in turns)))
    if beside and not asked:  # TRL's rows may leave the marks out
        first = next((n for n, turn in enumerate(turns) if turn["role"] == "user" and turn["content"]), None)
        if first is not None and not any(turn.get(IMAGES) for turn in turns):
            repairs.append(reason("pictures_put_first", count=len(beside)))
            marked = {**turns[first], "content": MARK * len(beside) + turns[first]["content"]}
            turns = [*turns[:first], marked, *turns[first + 1 :]]
            asked = len(beside)
    if asked != len(beside):
        raise Unusable(reason("marks_not_pictures", marks=asked, pictures=len(beside), mark=MARK))
    rest = iter(beside)
    found = []
    for turn in turns:
        waiting = _waiting(turn, beside)
        shown = [next(rest) if one is None else one for one in turn.get(IMAGES) or waiting]
        bare = {name: value for name, value in turn.items() if name != IMAGES}
        found.append({**bare, IMAGES: shown} if shown else bare)
    return found


def _waiting(turn: Turn, beside: Sequence[Any]) -> list[None]:
    """One for each of a turn's pictures that the row's `images` must give."""
    if turn.get(IMAGES):
        return [one for one in turn[IMAGES] if one is None]
    return [None] * (turn["content"] or "").count(MARK) if beside else []


def _listed(images: Any) -> list[Any]:
    if isinstance(images, str) and begins(images):  # a table's cell
        images = spelt_list(images)
        if images is None:
            raise Unusable(reason("text_of_no_list", column=IMAGES))
    if images is None or (isinstance(images, str) and not images.strip()):
        return []
    return list(images) if isinstance(images, list | tuple) else [images]


def local(picture: Any) -> Any:
    """What is given for a picture, a `file:` URL as its path.

    Raises:
        Unusable: it lies on another machine.
    """
    if not isinstance(picture, str):
        return picture
    scheme = urlsplit(picture[:16]).scheme.lower()
    if scheme in ("http", "https", "ftp", "s3", "gs", "hf"):
        raise Unusable(reason("picture_elsewhere", url=picture[:80]))
    return url2pathname(urlsplit(picture).path) if scheme == "file" else picture
