"""Back-translation: there with one translation model and back with another.

text  -> there ->  the text in another language  -> back ->  the text in other words
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar, cast

from pydantic import Field

from weitiao.core.contracts import Record, Shape
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.data.augment import Change, Changes, Helpers, Kind, Translate, Values
from weitiao.data.augment.words import changeable, tagged

Model = Annotated[str, Field(min_length=1)]


@register("augmentation", "back_translation")
@dataclass(frozen=True, kw_only=True)
class BackTranslation(Changes):
    """Texts said in other words by way of another language, with two translation models that you name.

    No translation model comes along.  A model must translate one way when it is given a text and nothing else, as
    the Marian models do; models that want a language code or a prefix are not served.  Both decode by beam search
    without chance, so that more than one copy of a row would be the same text again.
    """

    there: Model
    """Folder or hub id of the model that translates the rows."""
    back: Model
    """Folder or hub id of the model that translates back."""

    summary: ClassVar[str] = "texts translated there and back"
    source: ClassVar[str] = "Sennrich et al. 2016, arXiv 1511.06709; Yu et al. 2018, arXiv 1804.09541"
    works_on: ClassVar[Kind] = "texts"

    def refuses(self, shape: Shape) -> str:
        """A translation has no tags."""
        return reason("needs_running_text") if tagged(shape) else ""

    def needs(self) -> tuple[str, ...]:
        """What opens the models."""
        return ("translator",)

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """Both models are loaded here."""
        translator = cast(Callable[[str], Translate], helpers.translator)  # `needs` has asked for it
        there, back = translator(self.there), translator(self.back)

        def change(records: Sequence[Record], rngs: Sequence[Random]) -> list[list[Values]]:
            asked = [
                (row, address, text)
                for row, record in enumerate(records)
                for address, text in changeable(shape, record.values).items()
                if text.strip()
            ]
            changed: list[dict[str, str]] = [{} for _ in records]
            told = back(there([text for _, _, text in asked])) if asked else []
            for (row, address, text), again in zip(asked, told, strict=True):
                if again.strip() and again.strip() != text.strip():
                    changed[row][address] = again
            return [
                [shape.with_texts(record.values, texts)] if texts else []
                for record, texts in zip(records, changed, strict=True)
            ]

        return change
