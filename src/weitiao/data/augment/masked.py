"""Masked-model replacement: the base model itself says what else could stand in a word's place.

n = max(1, share * words) words are masked at once; each is drawn from the `top_k` likeliest tokens at its place
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any, ClassVar, cast

from pydantic import Field

from weitiao.core.contracts import Record, Shape
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.data.augment import Change, Changes, Helpers, Kind, Share, Values
from weitiao.data.augment.words import RUN, Text, Words, changeable, is_han, some, tagged


@dataclass
class _Gap:
    """A text with some words masked."""

    row: int
    address: str
    text: Text
    places: list[int]
    masked: str


@register("augmentation", "masked")
@dataclass(frozen=True, kw_only=True)
class Masked(Changes):
    """Words that fit the place, from the base model's own masked-word head; Chinese character by character.

    The words are likely, not alike in meaning: "a great film" may become "a bad film".  Keep `share` small where
    single words decide the label.
    """

    share: Share = 0.1
    """Share of the words that are masked; at least one."""
    top_k: Annotated[int, Field(ge=1)] = 20
    """Among how many of the likeliest tokens one is drawn, by their probabilities."""

    summary: ClassVar[str] = "words replaced by what the base model expects there"
    source: ClassVar[str] = "Kobayashi 2018, arXiv 1805.06201; Wu et al. 2018, arXiv 1812.06705"
    works_on: ClassVar[Kind] = "texts"

    def refuses(self, shape: Shape) -> str:
        """Single words with tags are no text."""
        return reason("needs_running_text") if tagged(shape) else ""

    def needs(self) -> tuple[str, ...]:
        """The base model with its masked-word head."""
        return ("masked_model",)

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """The model is loaded here; texts are masked and filled many at once."""
        opens = cast(Callable[[], tuple[Any, Any]], helpers.masked_model)  # `needs` has asked for it
        model, processor = opens()

        def change(records: Sequence[Record], rngs: Sequence[Random]) -> list[list[Values]]:
            gaps = [
                gap
                for row, (record, rng) in enumerate(zip(records, rngs, strict=True))
                for gap in self._mask(row, record, shape, processor, rng)
            ]
            if not gaps:
                return [[] for _ in records]
            changed: list[dict[str, str]] = [{} for _ in records]
            for gap, found in zip(gaps, _expected(model, processor, gaps, top_k=self.top_k), strict=True):
                filled = _fill(gap, found, rngs[gap.row])
                if filled != str(gap.text):
                    changed[gap.row][gap.address] = filled
            return [
                [shape.with_texts(record.values, texts)] if texts else []
                for record, texts in zip(records, changed, strict=True)
            ]

        return change

    def _mask(self, row: int, record: Record, shape: Shape, processor: Any, rng: Random) -> list[_Gap]:
        gaps = []
        for address, whole in changeable(shape, record.values).items():
            text = Text.cut(whole, segment="characters")
            # A text that speaks of the mask itself would mix up which gap is which.
            if text.words and processor.mask_token not in whole:
                places = some(range(len(text.words)), self.share, rng)
                words: Words = [
                    (place, processor.mask_token if place in places else word)
                    for place, word in enumerate(text.words)
                ]
                gaps.append(_Gap(row, address, text, places, text.edited(words)))
        return gaps


def _expected(
    model: Any, processor: Any, gaps: Sequence[_Gap], *, top_k: int
) -> list[list[list[tuple[str, float]]]]:
    """For each text, for each mask in it that the model could see: likely words and their probabilities."""
    import torch

    # On the right whatever the tokenizer says: BERT counts positions from the first token, padding or not.
    words = {"padding": True, "padding_side": "right", "truncation": True, "return_tensors": "pt"}
    inputs = processor([gap.masked for gap in gaps], **words).to(model.device)
    with torch.inference_mode():
        logits_BTV = model(**inputs).logits.float()
    found = []
    for ids_T, logits_TV in zip(inputs["input_ids"], logits_BTV, strict=True):
        masks = (ids_T == processor.mask_token_id).nonzero().flatten()
        likely = logits_TV[masks].softmax(-1).topk(min(top_k, logits_TV.shape[-1]))
        found.append(
            [
                # Rounded, because the last digits depend on what else is in the batch.
                [
                    (processor.convert_ids_to_tokens(int(i)), round(float(p), 3))
                    for p, i in zip(ps, ids, strict=True)
                ]
                for ps, ids in zip(likely.values, likely.indices, strict=True)
            ]
        )
    return found


def _fill(gap: _Gap, found: Sequence[Sequence[tuple[str, float]]], rng: Random) -> str:
    """The text with a drawn word in each gap; the old word stays where nothing else is likely."""
    words = dict(enumerate(gap.text.words))
    # Fewer masks than places: the text was longer than the model, and its end keeps its words.
    for place, candidates in zip(gap.places, found, strict=False):
        old = words[place]
        weights: dict[str, float] = {}
        for token, p in sorted(candidates):
            word = _word(token)
            if p > 0 and word and word.lower() != old.lower() and is_han(word) == is_han(old):
                weights[word] = weights.get(word, 0.0) + p
        if weights:
            drawn = rng.choices(list(weights), list(weights.values()))[0]
            words[place] = drawn[:1].upper() + drawn[1:] if old[:1].isupper() else drawn
    return gap.text.edited([(place, words[place]) for place in sorted(words)])


def _word(token: str) -> str:
    """The whole word that a token stands for; empty for a part of a word, a sign or a special token."""
    # Words begin with a mark in SentencePiece and byte-level vocabularies; in WordPiece their continuations do.
    word = token.removeprefix("\u2581").removeprefix("\u0120")
    return word if RUN.fullmatch(word) else ""
