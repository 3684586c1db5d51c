"""Language modelling: every word of a text is learnt (continued pretraining on one's own texts).

{"text": "Once upon a time ..."}  ->  {"loss": 212.4, "tokens": 61}
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar

from weitiao.core.contracts import Example, Record, Shape
from weitiao.core.registry import register
from weitiao.data.chat import IGNORE
from weitiao.data.shapes import PLAIN
from weitiao.data.tokens import Tokens
from weitiao.tasks.parts import packed

SAMPLE = 512  # texts tokenised at once


@register("task", "language_modeling")
@dataclass(frozen=True)
class LanguageModeling(packed.PackedTask):
    """Go on as the texts do."""

    split_special_tokens: bool = True
    """Are special tokens that a text spells (`</s>`) read as characters?  With `false` they become the tokens."""

    metrics: ClassVar[tuple[str, ...]] = ("perplexity", "loss", "bits_per_byte")
    summary: ClassVar[str] = "every word of plain texts (continued pretraining)"
    shape: ClassVar[Shape] = PLAIN

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Ids of the text and an end token; the first token has nothing before it to be predicted from."""
        records, tokens = iter(records), Tokens(processor, plain=self.split_special_tokens)
        ends = [] if processor.eos_token_id is None else [processor.eos_token_id]
        while part := list(islice(records, SAMPLE)):
            for ids in tokens([record.values["text"] for record in part]):
                row = array("i", ids)
                row.extend(ends)
                learnt = row[:]
                learnt[:1] = array("i", [IGNORE])
                yield packed.cut(row, learnt, limit=limit)

    def opening(self, turns: Sequence[Mapping[str, Any]], processor: Any, *, tools: Any = None) -> list[int]:
        """The words alone: there are no turns in what was learnt."""
        text = "\n".join(turn["content"] for turn in turns)
        return Tokens(processor, plain=self.split_special_tokens)([text])[0]

    def answered(self, record: Record, answer: str) -> tuple[Record, str, int]:
        """The words, and those that follow behind a space."""
        begun = "\n".join(turn["content"] for turn in record.values["messages"]) + " "
        return replace(record, values={"text": begun + answer}), "text", len(begun)

    def reference(self, record: Record) -> dict[str, Any]:
        """The text's beginning as a prompt, and the rest."""
        text = record.values["text"]
        return {"prompt": [{"role": "user", "content": text[:80]}], "reference": text[80:]}
