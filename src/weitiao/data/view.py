"""Rows as the model sees them: every token, what it is trained on, and what it only reads.

    view(record, task, processor, data, limit=...)  ->  View(pieces, tokens, trained, ...)
    page(views, ...)                          ->  a self-contained HTML page

A piece is one token, or several where one character is made of several (a Chinese character of three byte tokens).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from weitiao.core.contracts import Example, Record, Task
from weitiao.core.errors import language
from weitiao.core.page import render
from weitiao.core.recipe import Data
from weitiao.data.chat import IGNORE
from weitiao.data.chat.labels import special_tokens
from weitiao.data.overlong import as_read

SIDE = 320
"""Pixels of the longer side of a picture that is drawn on."""
BYTES = 4  # of the longest UTF-8 character
UNFINISHED = "\ufffd"  # what a part of a character decodes to

WORDS = {
    "en": {
        "title": "Rows as the model sees them",
        "trained": "trained",
        "seen": "seen",
        "special": "special token",
        "legend_trained": "the loss is on these tokens",
        "legend_seen": "read, not trained",
        "legend_special": "a mark of the model, not text",
        "shades": "Two shades set neighbouring tokens apart; ⏎ is a line feed, · a space that is a token of its own.",
        "tokens": "{tokens} tokens, {trained} trained",
        "tokens_seen": "{tokens} tokens",
        "lost": "{lost} more were cut off ({trained_lost} of them trained)",
        "label": "label",
        "unusable": "cannot be used",
    },
    "zh": {
        "title": "模型眼中的数据行",
        "trained": "训练",
        "seen": "仅阅读",
        "special": "特殊词元",
        "legend_trained": "损失只计算这些词元",
        "legend_seen": "读入，不训练",
        "legend_special": "模型的标记，不是文字",
        "shades": "相邻词元以深浅区分；⏎ 为换行，· 为单独成词元的空格。",
        "tokens": "{tokens} 个词元，其中训练 {trained} 个",
        "tokens_seen": "{tokens} 个词元",
        "lost": "另有 {lost} 个被截去（其中训练 {trained_lost} 个）",
        "label": "标签",
        "unusable": "无法使用",
    },
}


@dataclass(frozen=True)
class Piece:
    """One token, or the few that make one character."""

    text: str
    state: Literal["trained", "seen"]
    special: bool
    """Is it a mark of the model, such as an end token?"""
    ids: tuple[int, ...]


@dataclass(frozen=True)
class View:
    """One row."""

    file: str
    line: int
    pieces: tuple[Piece, ...] = ()
    tokens: int = 0
    trained: int = 0
    """Tokens that the loss counts; 0 where the row is learnt as a whole (a label)."""
    lost: int = 0
    """Tokens beyond the limit."""
    trained_lost: int = 0
    label: str | None = None
    why: str = ""
    """Why the row cannot be used; empty when it can."""
    picture: str = ""
    """A small copy of its picture, as a `data:` URL."""
    about: str = ""
    """What is known of the picture: its file, width and height."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def view(record: Record, task: Task, processor: Any, data: Data, *, limit: int) -> View:
    """A converted record, encoded by its task.

    Raises:
        WeitiaoError: what `task.encode` raises when no row can be encoded.
    """
    label = record.values.get("label")
    if task.shape.pictures and not task.reads_words:
        return _pictured(record, task, label=label)
    # Without its label: a row can be looked at before the label set is known.
    values = record.values if task.generates else task.shape.asks(record.values)
    bare = Record(record.file, record.line, values)
    trains = data.overlong != "split"
    ((_, example),) = as_read(task, [bare], processor, data, limit=limit, trains=trains)
    if example.refused:
        return View(record.file, record.line, why=example.refused)
    return View(
        record.file,
        record.line,
        tuple(pieces(example, processor)),
        tokens=len(example) if example.size is None else example.size,
        trained=sum(sum(counts) for _, counts in sides(example)),
        lost=example.tokens_lost,
        trained_lost=example.trained_lost,
        label=None if label is None else str(label),
        **_shown(task.shape.shown(record.values)),
    )


def _shown(pictures: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The pictures among the words of a row."""
    if not pictures:
        return {}
    from weitiao.data.pictures.thumbnail import strip

    named = [f"{Path(each['image']).name}  {each['width']} x {each['height']}" for each in pictures]
    return {"picture": strip([each["image"] for each in pictures]), "about": ", ".join(named)}


def _pictured(record: Record, task: Task, *, label: Any) -> View:
    """A row that is a picture: as it is read, before the model's processor makes it small."""
    from weitiao.data.pictures.thumbnail import thumbnail

    (column,) = task.shape.pictures
    path, values = record.values[column], record.values
    about = f"{Path(path).name}  {values['width']} x {values['height']}"
    label = values.get("text") if label is None else label
    said = None if label is None else str(label)
    drawn = partial(task.shape.drawn, there=values, side=SIDE) if task.shape.draws else None
    picture = thumbnail(path, drawn=drawn)
    return View(record.file, record.line, label=said, picture=picture, about=about)


def learnt(example: Example) -> list[bool]:
    """Of each token, whether the loss counts it; none of a row that is learnt as a whole."""
    ids, labels = example.inputs["input_ids"], example.inputs.get("labels", ())
    if len(labels) == len(ids):  # not those of another sequence
        return [label != IGNORE for label in labels]
    places = set(example.inputs.get("first", ()))  # of the tokens that speak for tagged words
    return [place in places for place in range(len(ids))]


def sides(example: Example) -> list[tuple[list[int], list[bool]]]:
    """The ids that stand one behind the other, and of each whether the loss counts it: one row of them, or what is read
    and what is written."""
    ids = list(example.inputs["input_ids"])
    if example.size is None or "labels" not in example.inputs:
        return [(ids, learnt(example))]
    written = list(example.inputs["labels"])
    return [(ids, [False] * len(ids)), (written, [True] * len(written))]


def pieces(example: Example, processor: Any) -> Iterator[Piece]:
    """The tokens of an example in order; their texts, put together, are what the tokenizer decodes of each side."""
    for ids, counts in sides(example):
        yield from _pieces(ids, counts, processor)


def _pieces(ids: list[int], counts: list[bool], processor: Any) -> Iterator[Piece]:
    specials = set(special_tokens(processor).values())

    def said(first: int, last: int) -> str:
        return processor.decode(
            ids[first:last], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )

    # Decoded with the piece before it, since the first token of a text may lose its space.
    before, start = 0, 0
    for end in range(1, len(ids) + 1):
        text = said(before, end)[len(said(before, start)) :]
        if text.endswith(UNFINISHED) and end < len(ids) and end - start < BYTES and ids[end] not in specials:
            continue
        trained = any(counts[start:end])
        yield Piece(text, "trained" if trained else "seen", ids[start] in specials, tuple(ids[start:end]))
        before, start = start, end


def page(views: Sequence[View], *, model: str, notices: Sequence[str] = ()) -> str:
    """An HTML page that needs nothing beside it, in the reader's language."""
    words: Mapping[str, str] = WORDS[language()]
    given = {"rows": views, "model": model, "notices": notices, "w": words, "lang": language()}
    return render(Path(__file__).parent, "view.html.j2", {**given, "parts": parts, "visible": visible})


def visible(piece: Piece) -> str:
    """The piece's text; a token of spaces alone as `·`, one that decodes to nothing as `∅`."""
    return piece.text if piece.text.strip(" ") else "·" * len(piece.text) or "∅"


def parts(piece: Piece) -> list[str]:
    """The visible text cut at its line feeds."""
    return visible(piece).split("\n")
