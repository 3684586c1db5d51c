"""Tags of words: named entities, parts of speech.

    {"tokens": ["Ada", "lived", "in", "London"], "tags": ["B-PER", "O", "O", "B-LOC"]}
        ->  {"tags": [...], "spans": [{"type": "PER", "start": 0, "end": 3, "text": "Ada", "score": 0.98}, ...]}

Words become tokens in `tasks.parts.pieces`, tags become spans in `data.tags`; this file is what lies between: which token is
asked for a word, what is learnt of it, and rows that are longer than the model reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Categorical, Example, Record, Shape, Target
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.section_values import Once
from weitiao.core.why import reason
from weitiao.data import segment, tags
from weitiao.data.pack import pad
from weitiao.data.shapes import TAGGED
from weitiao.tasks.parts import label_sets, tag_odds
from weitiao.tasks.parts.losses import balanced, chosen, refuse_unknown
from weitiao.tasks.parts.pieces import NONE, Pieces, pieces
from weitiao.tasks.parts.viterbi import likeliest, moves
from weitiao.tasks.parts.windows import starts, widest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weitiao.tasks.parts.losses import RowLosses

NAMED = 3  # faults of one row that its reason names


@register("task", "token_classification")
@dataclass(frozen=True)
class TokenClassification(Categorical):
    """Which tag does each word of a text carry?"""

    labels: Annotated[tuple[str, ...], Once] = ()
    """The tags, in the order of the model's outputs; default: all that can be written of the types in the data."""
    scheme: Literal["auto"] | tags.Scheme = "auto"
    """How tags are written: bio, iob1, io, bioes (IOBES), bilou, bmes; `types` without a letter before the type, `words`
    where each word has a tag of its own (parts of speech); `auto` goes by the tags."""
    faulty_tags: Literal["repair", "refuse"] = "repair"
    """Rows with an I- that begins a span, or a B- without its end: read them as the usual scorers do, counted, or set them
    aside like any other bad row."""
    words: Literal["auto"] | segment.How = "auto"
    """How a text is cut where its words are not given: at white space, at punctuation too, or into characters; `auto`:
    in the finest way that gives the words of the training rows back."""
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0)]] = "none"
    """What words of each tag count for in the loss: the same, inversely to how often the tag comes among the training
    rows, or as in `{O: 0.2}` (tags left out: 1)."""

    summary: ClassVar[str] = "a tag for each word (named entities, parts of speech)"
    shape: ClassVar[Shape] = TAGGED
    auto_class: ClassVar[str] = "AutoModelForTokenClassification"
    peft_task_type: ClassVar[str] = "TOKEN_CLS"
    predicts: ClassVar[tuple[str, ...]] = ("tags", "spans", "loss", "tokens")
    metrics: ClassVar[tuple[str, ...]] = ("span_f1", "span_precision", "span_recall", "token_accuracy")
    baselines: ClassVar[tuple[str, ...]] = ("dictionary",)
    overlong: ClassVar[tuple[str, ...]] = ("split",)
    reads_whole: ClassVar[bool] = True
    training_only: ClassVar[tuple[str, ...]] = ("class_weights",)

    def learn(self, records: Sequence[Record]) -> TokenClassification:
        """How tags are written, which there are, and how words were cut; or a check against what was given.

        Raises:
            WeitiaoError: `numbered_tags`; `too_few_labels`; `unknown_label`; `unknown_class` for a weight of a tag that
                is none.
        """
        rows = [record.values["tags"] for record in records]
        scheme = tags.scheme(rows) if self.scheme == "auto" else self.scheme
        if scheme is None:
            raise fault("too_few_labels", labels=tags.OUTSIDE, rows=len(records))
        words = self.words
        if words == "auto":
            words = segment.how_cut(record.values["tokens"] for record in records)
        learnt = replace(self, scheme=scheme, words=words)
        learnt = learnt._checked(records) if self.labels else learnt._with_labels(rows)
        if isinstance(learnt.class_weights, dict):
            refuse_unknown(learnt.class_weights, learnt.labels)
        return learnt

    def _with_labels(self, rows: Sequence[Sequence[str]]) -> TokenClassification:
        types = {span.type for row in rows for span in self._spans(row)}
        if all(map(str.isdecimal, types)):
            raise fault("numbered_tags", tags=", ".join(sorted(types, key=int)[:8]))
        labels = tags.tag_set(types, self._scheme)
        if len(labels) < 2:
            raise fault("too_few_labels", labels=", ".join(labels), rows=len(rows))
        return replace(self, labels=tuple(labels))

    def _checked(self, records: Iterable[Record]) -> TokenClassification:
        for record in records:
            label_sets.refuse_unknown(record, self._meant(record.values["tags"]), self.labels)
        return self

    @property
    def _scheme(self) -> tags.Scheme:
        return "bio" if self.scheme == "auto" else self.scheme

    @property
    def _words(self) -> segment.How:
        return "whitespace" if self.words == "auto" else self.words

    def _spans(self, row: Sequence[str]) -> list[tags.Span]:
        return [] if tags.foreign(row, self._scheme) else tags.spans(row, self._scheme)

    def _meant(self, row: Sequence[str]) -> list[str]:
        return [] if tags.foreign(row, self._scheme) else tags.repaired(row, self._scheme)

    def learn_training(
        self, examples: Sequence[Example], weights: Sequence[float] | None
    ) -> TokenClassification:
        """Balanced class weights, from how often the tags come in an epoch."""
        if self.class_weights != "balanced":
            return self
        targets = [self._targets(example) for example in examples]
        times = None if weights is None else np.repeat(weights, list(map(len, targets)))
        found = balanced(np.concatenate(targets), times, self.labels)
        return replace(self, class_weights=found)

    def classes(self) -> tuple[str, ...]:
        """The types of spans."""
        return tuple(dict.fromkeys(span.type for tag in self.labels for span in self._spans([tag])))

    def known(self, record: Record) -> tuple[Record, tuple[str, ...]]:
        """With the words outside whose spans are of types that are none of these."""
        row = record.values["tags"]
        types = {tag: {span.type for span in self._spans([tag])} - {*self.classes()} for tag in {*row}}
        strange = tuple(sorted(set().union(*types.values())))
        if not strange:
            return record, ()
        ours = [tags.OUTSIDE if types[tag] else tag for tag in row]
        return replace(record, values={**record.values, "tags": ours}), strange

    def follow(self, outputs: Sequence[str]) -> TokenClassification:
        """The base's order, when its outputs are these tags but for case: then its head knows them."""
        return replace(self, labels=label_sets.in_order_of(self.labels, outputs))

    def model_options(self) -> dict[str, Any]:
        """The size of the head and the names of its outputs."""
        return label_sets.outputs(self.labels)

    # ------------------------------------------------------------------ rows to examples

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Token ids with the model's special tokens, and the token that speaks for each word; the end of a long row is
        cut, and a word that goes with it has none."""
        records = iter(records)
        if self.words == "auto":  # before the data have told it, the rows themselves do
            sample = list(islice(records, segment.SAMPLE))
            how = segment.how_cut(self._tokens(record.values) for record in sample)
            yield from replace(self, words=how).encode(chain(sample, records), processor, limit=limit)
            return
        read = self._pieces(processor)
        before, behind = read.around
        room = limit - len(before) - len(behind)
        for record in records:
            words, row = self._tokens(record.values), record.values.get("tags")
            refused = "" if row is None else self._refused(row)
            ids, first = read(words)
            if not refused and len(ids) > room < 1:
                refused = reason("no_word_left", length=len(ids) + limit - room, limit=limit)
            if refused:
                yield Example({}, refused=refused)
                continue
            kept = [place if place < room else NONE for place in first]
            trained = sum(place != NONE for place in kept)
            whole = [*before, *ids[:room], *behind] or [processor.pad_token_id or 0]
            yield Example(
                {
                    "input_ids": whole,
                    "first": [place + len(before) if place != NONE else NONE for place in kept],
                    "windows": [len(whole)],
                },
                target=None if row is None else [self._index[tag] for tag in self._meant(row)],
                trained=trained,
                tokens_lost=max(0, len(ids) - room),
                trained_lost=sum(place != NONE for place in first) - trained,
                repaired="" if row is None else self._repairs(row, first),
            )

    def _tokens(self, values: Mapping[str, Any]) -> list[str]:
        """The words of a row; a table's cell holds them set apart by spaces."""
        given = values["tokens"]
        return given.split() if isinstance(given, str) else list(given)

    def _pieces(self, processor: Any) -> Pieces:
        return pieces(processor, spaced=self._words != "characters")

    @cached_property
    def _index(self) -> dict[str, int]:
        return {tag: place for place, tag in enumerate(self.labels)}

    def _refused(self, row: Sequence[str]) -> str:
        if strange := tags.foreign(row, self._scheme):
            return reason("foreign_tag", tag=strange, scheme=self._scheme)
        found = next(tags.faults(row, self._scheme), None) if self.faulty_tags == "refuse" else None
        return reason("faulty_tag", place=found[0] + 1, tag=found[1], meant=found[2]) if found else ""

    def _repairs(self, row: Sequence[str], first: Sequence[int]) -> str:
        """What the ledger says of a row that was not taken as it stood."""
        found = list(tags.faults(row, self._scheme))
        said = [
            reason("faulty_tag_read_as", place=n + 1, tag=tag, meant=meant) for n, tag, meant in found[:NAMED]
        ]
        said += [reason("more_tags", count=len(found) - NAMED)] if len(found) > NAMED else []
        unseen = list(first).count(NONE)
        said += [reason("words_left_out", count=unseen)] if unseen else []
        return "; ".join(said)

    # ------------------------------------------------------------------ rows that are too long

    def windows(self, record: Record, whole: Example, processor: Any, *, limit: int) -> list[Example]:
        """The row in windows that overlap; each word is learnt once, where it has most context."""
        found = []
        for ids, first, words in self._cut(whole, processor, limit=limit):
            if len(words):
                target = None if whole.target is None else [whole.target[word] for word in words]
                inputs = {"input_ids": ids, "first": first, "windows": [len(ids)]}
                found.append(Example(inputs, target=target, trained=len(words)))
        return found

    def in_windows(self, whole: Example, processor: Any, *, limit: int) -> Example:
        """The row as one example of several windows, one behind the other."""
        ids: list[int] = []
        sizes = []
        first = np.full(len(whole.inputs["first"]), NONE)
        for own, places, words in self._cut(whole, processor, limit=limit):
            first[words] = np.asarray(places, dtype=np.int64) + len(ids)
            ids += own
            sizes.append(len(own))
        return replace(whole, inputs={"input_ids": ids, "first": first.tolist(), "windows": sizes})

    def _cut(self, whole: Example, processor: Any, *, limit: int) -> Iterator[tuple[list[int], Any, Any]]:
        """Of every window its ids, the words that are judged in it, and the places of their tokens in it."""
        before, behind = self._pieces(processor).around
        room = limit - len(before) - len(behind)
        ids = list(whole.inputs["input_ids"])
        own = ids[len(before) : len(ids) - len(behind)]
        first = np.asarray(whole.inputs["first"])
        words = np.flatnonzero(first != NONE)
        places = first[words] - len(before)
        begins = starts(len(own), room=room)
        which = widest(places, begins, room=room, length=len(own))
        for number, begin in enumerate(begins):
            here = which == number
            inside = (places[here] - begin + len(before)).tolist()
            yield [*before, *own[begin : begin + room], *behind], inside, words[here]

    # ------------------------------------------------------------------ examples to answers

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Right-padded ids (B, T) and mask (B, T), a window a row; of the N words that have a token their tags (N,), and
        the places of these tokens in B x T laid flat (N,)."""
        import torch

        sizes_B = np.concatenate([np.asarray(example.inputs["windows"]) for example in examples])
        ids_S = np.concatenate([np.asarray(example.inputs["input_ids"]) for example in examples])
        ends_B = np.cumsum(sizes_B)
        ids_BT = pad(np.split(ids_S, ends_B[:-1]), processor.pad_token_id or 0)
        mask_BT = pad([np.ones(size, dtype=np.int64) for size in sizes_B], 0)
        begins = np.cumsum([0, *map(len, examples)])
        first = [np.asarray(example.inputs["first"], dtype=np.int64) for example in examples]
        flat_N = np.concatenate([own[own != NONE] + begin for own, begin in zip(first, begins, strict=False)])
        window_N = np.searchsorted(ends_B, flat_N, side="right")
        places_N = flat_N + window_N * ids_BT.shape[1] - (ends_B - sizes_B)[window_N]
        target = None
        if all(example.target is not None for example in examples):
            target = np.concatenate([self._targets(example) for example in examples])
        weights = None if target is None or not self._weights else np.asarray(self._weights)[target]
        tokens = len(ids_S)
        return Batch(
            {"input_ids": ids_BT, "attention_mask": mask_BT},
            None if target is None else torch.from_numpy(target),
            trained=len(flat_N) if weights is None else float(weights.sum()),
            rows=list(rows),
            tokens=tokens,
            padding=ids_BT.numel() - tokens,
            extra={"places": torch.from_numpy(places_N), "first": first},
            weights=None if weights is None else torch.from_numpy(weights).float(),
        )

    def _targets(self, example: Example) -> Any:
        """Of the words that have a token."""
        readable = np.asarray(example.inputs["first"]) != NONE
        return np.asarray(example.target, dtype=np.int64)[readable]

    def loss(self, model: nn.Module, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy, summed over the words."""
        return self.losses(self.logits(model, batch), batch, label_smoothing=label_smoothing).sum()

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """Scores (N, L) of the words."""
        logits_BTL = model(**batch.inputs).logits
        return logits_BTL.flatten(0, 1)[batch.extra["places"].to(logits_BTL.device)].float()

    def losses(self, logits_NC: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Of each word (N,), times the weight of its tag."""
        weights_L = logits_NC.new_tensor(self._weights) if self._weights else None
        return self._losses(logits_NC, batch.target, weights_L, label_smoothing)

    @cached_property
    def _losses(self) -> RowLosses:
        return chosen("cross_entropy", focal_gamma=0)

    @cached_property
    def _weights(self) -> list[float]:
        """Of each tag, in order; empty when all count the same."""
        given = self.class_weights
        return [given.get(label, 1.0) for label in self.labels] if isinstance(given, dict) else []

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """The tags of each row, the likeliest that can be written, with the probability of each, and the spans that they
        spell, their places in words; the loss of a row whose tags are known."""
        logs = self.logits(model, batch).double().log_softmax(-1)
        losses_N = None
        if batch.target is not None:
            losses_N = (-logs.gather(1, batch.target[:, None])[:, 0]).tolist()
        logs_NL = logs.detach().cpu().numpy()
        found, start = [], 0
        for first in batch.extra["first"]:
            readable = np.flatnonzero(first != NONE)
            end = start + len(readable)
            row, scores = [tags.OUTSIDE] * len(first), [0.0] * len(first)
            # A word without a token is outside, so what stands before it and behind it is written apart.
            apart = np.flatnonzero(np.diff(readable) > 1) + 1
            parts = zip(np.split(readable, apart), np.split(logs_NL[start:end], apart), strict=True)
            for words, own_NL in parts if len(readable) else ():
                for word, label, log_L in zip(words, likeliest(own_NL, self._moves), own_NL, strict=True):
                    row[word], scores[word] = self.labels[label], float(np.exp(log_L[label]))
            told: dict[str, Any] = {"tags": row, "scores": scores, "spans": self._told(row, scores)}
            if losses_N is not None:
                told |= {"loss": sum(losses_N[start:end]), "tokens": len(readable)}
            found.append(told)
            start = end
        return found

    @cached_property
    def _moves(self) -> Any:
        return moves(self.labels, self._scheme)

    def _told(self, row: Sequence[str], scores: Sequence[float] = ()) -> list[dict[str, Any]]:
        """Spans as dicts; the score of one is the mean of its words'."""
        return [
            {"type": kind, "start": start, "end": end}
            | ({"score": sum(scores[start:end]) / (end - start)} if scores else {})
            for start, end, kind in tags.spans(row, self._scheme)
        ]

    def explains(
        self, record: Record, prediction: Mapping[str, Any], *, asked: Sequence[str] = ()
    ) -> list[Target]:
        """The log-odds of the tags of each span, summed."""
        words = self._tokens(record.values)
        return tag_odds.targets(words, prediction, self._index, asked=asked, how=self._words)

    def target_scores(self, model: nn.Module, batch: Batch, target: Target) -> Tensor:
        """The log-odds of the tags of some words of a row, summed (B,); all rows are the same one."""
        return tag_odds.odds(self.logits(model, batch), batch, target)

    def expected(self, example: Example) -> dict[str, Any]:
        """The tags and their spans, as `predict` gives them."""
        row = [self.labels[label] for label in example.target]
        return {"tags": row, "spans": self._told(row)}

    def reference(self, record: Record) -> dict[str, Any]:
        """Text, words, tags and spans, as `shown` gives them."""
        row = self._meant(record.values["tags"])
        text, _ = self._text(record.values)
        return {"text": text, **self.shown(record, {"tags": row, "spans": self._told(row)})}

    def shown(self, record: Record, prediction: Mapping[str, Any]) -> dict[str, Any]:
        """Spans with their text and their places in it, in characters, and the words that the tags are of."""
        text, places = self._text(record.values)
        spans = [segment.in_text(span, text, places) for span in prediction["spans"]]
        return {"spans": spans, "tokens": self._tokens(record.values)} | {**prediction, "spans": spans}

    def _text(self, values: Mapping[str, Any]) -> tuple[str, list[segment.Place]]:
        """A row as a text, and where its words stand: the text that was cut, or the words side by side."""
        if text := values.get("text"):
            return text, segment.places(text, self._words)
        return segment.joined(self._tokens(values), self._words)

    def record(self, text: str) -> dict[str, Any]:
        """A text and its words."""
        words = [text[start:end] for start, end in segment.places(text, self._words)]
        return {"text": text, "tokens": words, "tags": None}
