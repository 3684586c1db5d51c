"""What every task shares that learns something of a whole text, or of a pair: its way from rows to padded batches.

    {"text": "Great film.", "label": ...}  ->  encode  ->  Example(input_ids, target)  ->  collate  ->  Batch

A task says what the target of a row is (`goal`), how targets are stacked, and what they count for.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from weitiao.core.contracts import Batch, Example, Record, Task
from weitiao.core.why import reason
from weitiao.data.pack import pad
from weitiao.data.plain import plain
from weitiao.data.tokens import Tokens
from weitiao.tasks.parts import passes

if TYPE_CHECKING:
    from torch import Tensor, nn

SAMPLE = 4096  # texts tokenised at once


@dataclass(frozen=True)
class OfTexts(Task):
    """What a text, or a pair of texts, is."""

    split_special_tokens: bool = True
    """Are special tokens that a text spells (`</s>`) read as characters?  With `false` they become the tokens."""
    pooling: passes.Pooling = "mean"
    """How the scores of a row's windows become one (`data.overlong: windows`): their mean, or the largest of each."""

    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    peft_task_type: ClassVar[str] = "SEQ_CLS"
    overlong: ClassVar[tuple[str, ...]] = ("split", "windows", "head_tail")

    @abstractmethod
    def goal(self, label: Any) -> Any:
        """What an example is to give, of what its row is labelled with."""

    def unknown(self, label: Any) -> str:
        """Why nothing can be given for it, as for a label that the model does not know; empty when something can."""
        return ""

    @abstractmethod
    def stacked(self, targets: Sequence[Any]) -> Tensor:
        """The targets of examples as one tensor (B, ...)."""

    def counts(self, targets: Sequence[Any]) -> list[float] | None:
        """What rows with these targets count for in the loss; None where all count the same."""
        return None

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Token ids with the model's special tokens; the end of a long text (of the longer, in a pair) is cut."""
        records, paired, tokens = iter(records), None, Tokens(processor, plain=self.split_special_tokens)
        read = self._reader(processor)
        while part := list(islice(records, SAMPLE)):
            for record, inputs in zip(part, _encoded(part, read, tokens), strict=True):
                paired = paired if paired is not None else "text_pair" in record.values
                if paired != ("text_pair" in record.values):
                    yield Example({}, refused=reason("first_is_pair" if paired else "first_is_one"))
                    continue
                label = record.values.get("label")
                if strange := "" if label is None else self.unknown(label):
                    yield Example({}, refused=strange)
                    continue
                target = None if label is None else self.goal(label)
                length = len(inputs["input_ids"])
                lost = max(0, length - limit)
                if lost and limit <= processor.num_special_tokens_to_add(pair=paired):
                    yield Example({}, refused=reason("no_word_left", length=length, limit=limit))
                    continue
                if lost and not paired and (short := tokens.cut(inputs["input_ids"], limit)):
                    inputs = {"input_ids": short}
                elif lost:  # the tokenizer knows what of a pair goes first
                    cut = read(*_texts(record), truncation=True, max_length=limit)
                    inputs = {name: cut[name] for name in inputs}
                yield Example(inputs, target=target, tokens_lost=lost)

    def windows(self, record: Record, whole: Example, processor: Any, *, limit: int) -> list[Example]:
        """The text in consecutive pieces, each with the label; of a pair it is the second that goes on, beside the
        whole of the first.  Empty when the first leaves no room.
        """
        texts, read = _texts(record), self._reader(processor)
        cut = "longest_first" if len(texts) == 1 else "only_second"
        room = limit - processor.num_special_tokens_to_add(pair=len(texts) == 2)
        if (
            len(texts) == 2
            and len(read(texts[0], add_special_tokens=False, verbose=False)["input_ids"]) >= room
        ):
            return []
        found = read(*texts, truncation=cut, max_length=limit, return_overflowing_tokens=True)
        names = (
            ["input_ids", "token_type_ids"]
            if len(texts) == 2 and "token_type_ids" in found
            else ["input_ids"]
        )
        return [
            Example(dict(zip(names, piece, strict=True)), target=whole.target)
            for piece in zip(*(found[name] for name in names), strict=True)
        ]

    def fitted(
        self, record: Record, whole: Example, processor: Any, *, limit: int, overlong: str, max_windows: int
    ) -> Example:
        """The text in windows, or its beginning and end; of a pair the longer one, beside the whole of the shorter."""
        one, *more = _texts(record)
        first = None
        if more and len(whole) > limit:
            first = len(self._reader(processor)(one, add_special_tokens=False, verbose=False)["input_ids"])
        words: dict[str, Any] = {"first": first, "overlong": overlong, "max_windows": max_windows}
        return passes.fitted(whole, processor, limit=limit, **words)

    def _reader(self, processor: Any) -> Any:
        return plain(processor) if self.split_special_tokens else processor

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Right-padded ids (K, T), attention mask (K, T), targets (B, ...); K > B where rows are read in windows."""
        import torch

        parts, counts = passes.passes(examples)
        inputs = {
            name: pad(
                [part.inputs[name] for part in parts],
                (processor.pad_token_id or 0) if name == "input_ids" else 0,
            )
            for name in parts[0].inputs
        }
        inputs["attention_mask"] = pad([np.ones(len(part), dtype=np.int64) for part in parts], 0)
        targets = [example.target for example in examples]
        known = all(target is not None for target in targets)
        weights = self.counts(targets) if known else None
        tokens = sum(map(len, examples))
        return Batch(
            inputs,
            self.stacked(targets) if known else None,
            trained=len(examples) if weights is None else sum(weights),
            rows=list(rows),
            tokens=tokens,
            padding=inputs["input_ids"].numel() - tokens,
            extra={passes.SIZES: counts},
            weights=None if weights is None else torch.tensor(weights),
        )

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """Scores (B, L), float32; of a row that is read in windows, what they say together."""
        scores_KL = model(**batch.inputs).logits.float()
        return passes.pooled(scores_KL, batch.extra.get(passes.SIZES), how=self.pooling)

    def texts_read(self, record: Record) -> list[tuple[str, ...]]:
        """The text, or both."""
        return [_texts(record)]

    def record(self, text: str) -> dict[str, Any]:
        """The columns of an unlabelled text."""
        return {"text": text, "label": None}


def _encoded(records: Sequence[Record], read: Any, tokens: Tokens) -> list[dict[str, list[int]]]:
    """Whatever the tokenizer gives for texts of any length, at once; token types only where there are two."""
    texts = [_texts(record) for record in records]
    paired = all(len(text) == 2 for text in texts)
    if not paired and any(len(text) == 2 for text in texts):
        return [found for record in records for found in _encoded([record], read, tokens)]
    if not paired:
        return [{"input_ids": ids} for ids in tokens.whole([text for (text,) in texts])]
    options = {"truncation": False, "verbose": False, "return_attention_mask": False}
    found = read([list(text) for text in texts], **options)
    return [{name: found[name][place] for name in found} for place in range(len(texts))]


def _texts(record: Record) -> tuple[str, ...]:
    texts = record.values
    return (texts["text"], texts["text_pair"]) if "text_pair" in texts else (texts["text"],)
