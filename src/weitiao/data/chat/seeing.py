"""Pictures among the words of a conversation: what stands for one in a text, and what a model is called with.

    Seeing(reader)                         a tokenizer that knows pictures, too, made of a processor of Transformers'
    parts(turns)                           turns as the templates of such models take them
    expanded(text, spans, pictures, ...)   the text with as many tokens for each picture as the model makes of it

A turn says by MARK in its content where its `images` stand, one mark a picture; each of these says where it lies and how large it
is, from which its number of tokens follows: no picture is opened before a batch is stacked.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from weitiao.core.files import write_json
from weitiao.core.why import reason
from weitiao.data.chat.spans import Span, Turns
from weitiao.data.formats import Unusable
from weitiao.data.formats.turned import IMAGES, MARK
from weitiao.data.pictured import IMAGE
from weitiao.data.pictures.opening import still
from weitiao.data.plain import Twin, any_of
from weitiao.data.prefetch import mapped

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

OF_TOKENS = ("mm_token_type_ids", "token_type_ids")
"""What families call the input that says of each token whether it stands for a picture."""
OF_TEXT = ("input_ids", "attention_mask", "text_replacement_offsets", *OF_TOKENS)
HUNG_ON_ROWS = ("cross_attention_mask", "image_attention_mask", "qformer_input_ids")
"""What says which row of a batch sees which picture: such models do not read pictures among the words."""


PICTURES = "pictures"
"""Of an example: where its pictures lie (`as_array`)."""


class Seeing:
    """A tokenizer that knows pictures, too: whoever asks for one gets the tokenizer's own.

    Args:
        reader: a processor of Transformers'.
        beside: files of its folder that it cannot write itself: name -> what lies in it, JSON.

    Raises:
        ValueError: it cannot say what stands for a picture, or its pictures hang on their rows.
    """

    def __init__(self, reader: Any, beside: Mapping[str, Any] | None = None) -> None:
        self.reader, self.tokenizer, self.beside = reader, reader.tokenizer, dict(beside or {})
        self._known: dict[tuple[int, int], str] = {}
        if reader.chat_template:
            self.tokenizer.chat_template = reader.chat_template
        if getattr(reader, "image_token", None) is None:
            raise ValueError(reason("no_word_for_a_picture", kind=type(reader).__name__))
        given = self._read([_blank((48, 32))])
        if hung := [name for name in HUNG_ON_ROWS if name in given]:
            raise ValueError(
                reason("pictures_hang_on_rows", kind=type(reader).__name__, names=", ".join(hung))
            )
        self.stands_for((48, 32))

    def __getattr__(self, name: str) -> Any:
        # Asked for only where there is none of that name here; without one of its own a copy would ask for ever.
        if name.startswith("__") or name == "tokenizer":
            raise AttributeError(name)
        return getattr(self.tokenizer, name)

    def __call__(self, *texts: Any, **options: Any) -> Any:
        """As the tokenizer."""
        return self.tokenizer(*texts, **options)

    def __len__(self) -> int:
        return len(self.tokenizer)

    def __copy__(self) -> Any:
        """A copy of the tokenizer, for those who ask for the ids of texts and nothing else (`data.plain`)."""
        return copy.copy(self.tokenizer)

    @property
    def pad_token(self) -> Any:
        """The tokenizer's."""
        return self.tokenizer.pad_token

    @pad_token.setter
    def pad_token(self, token: Any) -> None:
        self.tokenizer.pad_token = token

    def save_pretrained(self, folder: str | Path) -> Any:
        """Tokenizer and processor, as Transformers reads them."""
        for name, content in self.beside.items():
            write_json(Path(folder) / name, content)
        return self.reader.save_pretrained(folder)

    @property
    def mark(self) -> str:
        """What its template writes for a picture."""
        return str(self.reader.image_token)

    def stands_for(self, size: tuple[int, int]) -> str:
        """What stands in a text for a picture of that width and height.

        Raises:
            ValueError: the processor takes no such picture, or does not say.
        """
        if size not in self._known:
            words = {"text": [self.mark], "images": [_blank(size)], "return_text_replacement_offsets": True}
            found = self.reader(**words).get("text_replacement_offsets")
            if not found:
                raise ValueError(reason("no_word_for_a_picture", kind=type(self.reader).__name__))
            self._known[size] = str(found[0][0]["replacement"])
        return self._known[size]

    def kinds(self, ids: Sequence[int]) -> dict[str, list[int]]:
        """Of each token whether it stands for a picture, by the model's name for that; nothing where it does not ask."""
        asked = getattr(self.reader, "return_mm_token_type_ids", False)
        name = next((name for name in OF_TOKENS if name in self.reader.model_input_names), "")
        return {name: list(self.reader.create_mm_token_type_ids([ids])[0])} if asked and name else {}

    def pixels(self, paths: Sequence[str]) -> dict[str, Tensor]:
        """What a model is called with beside its tokens, for the pictures of a batch in their order; read by threads.

        Raises:
            WeitiaoError: `picture_gone` where one is not there any more.
        """
        return self._read(list(mapped(still, paths) if len(paths) > 1 else map(still, paths)))

    def _read(self, pictures: Sequence[Image]) -> dict[str, Tensor]:
        import torch

        # One text that holds them all: how many rows there are is no matter to what is made of them.  Numbers are needed where
        # models are made of shapes alone, too.
        with torch.device("cpu"):
            found = self.reader(text=[self.mark * len(pictures)], images=list(pictures), return_tensors="pt")
        return {n: each for n, each in found.items() if isinstance(each, torch.Tensor) and n not in OF_TEXT}


class Prompt(list[int]):
    """Token ids of a prompt, and the pictures among them."""

    def __init__(self, ids: Iterable[int], pictures: Sequence[str]) -> None:
        super().__init__(ids)
        self.pictures = tuple(pictures)
        """Where they lie."""


class Shown(NamedTuple):
    """A conversation as tokens, and its pictures."""

    ids: list[int]
    labels: list[int]
    places: list[Span]
    """Where the tokens of each picture stand."""
    pictures: list[str]
    """Where each lies."""


def pictures(turns: Turns) -> list[Mapping[str, Any]]:
    """What turns show, in order."""
    return [each for turn in turns for each in turn.get(IMAGES) or ()]


def parts(turns: Turns) -> list[dict[str, Any]]:
    """Turns whose content is a list of texts and of places for pictures."""
    return [_part(turn) for turn in turns]


def _part(turn: Mapping[str, Any]) -> dict[str, Any]:
    content, kept = turn.get("content"), {name: value for name, value in turn.items() if name != IMAGES}
    if not isinstance(content, str):
        return kept
    texts = content.split(MARK) if turn.get(IMAGES) else [content]
    found: list[dict[str, Any]] = [{"type": "text", "text": texts[0]}]
    for text in texts[1:]:
        found += [{"type": "image"}, {"type": "text", "text": text}]
    return {**kept, "content": [part for part in found if part.get("text") != "" or len(found) == 1]}


def expanded(
    text: str,
    spans: Sequence[Span],
    shown: Sequence[Mapping[str, Any]],
    seeing: Seeing,
    twin: Twin | None,
) -> tuple[str, list[Span], list[Span]]:
    """The text with what stands for each picture, where the answers stand in it, and where the pictures do.

    Args:
        text: as the template writes it, with one mark a picture.
        spans: of the answers in it; a picture within one is no part of it.
        shown: the pictures, in order.
        seeing: what stands for them.
        twin: as which the text is spelt.

    Raises:
        Unusable: there are more pictures than marks, or fewer; the processor does not take one of them.
    """
    mark = twin.names.get(seeing.mark, seeing.mark) if twin else seeing.mark
    # A name may begin as a longer one does.
    names = any_of({mark, *(twin.names.values() if twin else ())})
    marks = [found.span() for found in names.finditer(text) if found[0] == mark]
    if len(marks) != len(shown):
        raise Unusable(reason("template_shows", marks=len(marks), pictures=len(shown)))
    pieces: list[str] = []
    places: list[Span] = []
    last = end = 0
    for (first, behind), picture in zip(marks, shown, strict=True):
        stands = _stands_for(picture, seeing)
        pieces += [text[last:first], twin.spelt(stands) if twin else stands]
        start = end + first - last
        end, last = start + len(pieces[-1]), behind
        places.append((start, end))
    pieces.append(text[last:])
    return "".join(pieces), _moved(spans, marks, places), places


def _stands_for(picture: Mapping[str, Any], seeing: Seeing) -> str:
    try:
        return seeing.stands_for((int(picture["width"]), int(picture["height"])))
    except ValueError as error:  # of the processor: too small, too long and thin
        raise Unusable(reason("picture_not_taken", path=picture[IMAGE], why=error)) from None


def _moved(spans: Sequence[Span], marks: Sequence[Span], places: Sequence[Span]) -> list[Span]:
    def now(place: int) -> int:
        before = next((i for i in range(len(marks) - 1, -1, -1) if marks[i][1] <= place), None)
        return place if before is None else place - marks[before][1] + places[before][1]

    found = []
    for start, end in spans:
        within = [mark for mark in marks if start <= mark[0] and mark[1] <= end]
        cuts = [start, *(edge for mark in within for edge in mark), end]
        pieces = zip(cuts[::2], cuts[1::2], strict=True)
        found += [(now(first), now(first) + last - first) for first, last in pieces if first < last]
    return found


def cut(row: Shown, *, limit: int) -> tuple[int, list[str]]:
    """How many tokens of a row are within a limit that leaves no picture in halves, and the pictures among them."""
    whole = [end <= limit for _, end in row.places]
    if all(whole):
        return min(limit, len(row.ids)), row.pictures
    first = whole.index(False)
    return min(limit, row.places[first][0]), row.pictures[:first]


def as_array(paths: Sequence[str]) -> np.ndarray:
    """Paths as the bytes that an example holds."""
    return np.frombuffer("\0".join(paths).encode("utf-8", "surrogateescape"), dtype=np.uint8)


def as_paths(array: Any) -> list[str]:
    """The way back."""
    said = np.asarray(array, dtype=np.uint8).tobytes().decode("utf-8", "surrogateescape")
    return said.split("\0") if said else []


def _blank(size: tuple[int, int]) -> Image:
    from weitiao.core.errors import need

    need("PIL", extra="vision")
    from PIL import Image as pillow

    return pillow.new("RGB", size)
