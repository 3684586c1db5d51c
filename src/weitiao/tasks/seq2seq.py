"""A text becomes another one: translation, summaries, anything that is read whole and then written (T5, BART, Marian ...).

    {"source": "Good morning", "target": "早上好"}  ->  {"loss": 3.1, "tokens": 4}; asked in words {"answer": "早上好"}

An example holds both sides, each of its own length: `input_ids`, which the encoder reads, and `labels`, which the decoder
writes.  The decoder reads what is to be written one step behind (`models.two_sides`), so labels are shifted once, and
what fills them up is never learnt.  Where the model is measured to keep them apart, rows lie end to end on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from weitiao.core.contracts import (
    BOUNDS,
    WRITTEN_BOUNDS,
    Batch,
    Categorical,
    Example,
    Record,
    Shape,
    Target,
    chosen_targets,
)
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.data.pack import pad
from weitiao.data.shapes import TRANSLATION
from weitiao.data.two_sides import IGNORE, Sides

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weitiao.models.decoding import Answer

SAMPLE = 1024  # rows tokenised at once
USUAL = 128
"""Tokens of a target where nothing is said."""


@register("task", "seq2seq")
@dataclass(frozen=True)
class SequenceToSequence(Categorical):
    """Write what the examples make of a text."""

    source_prefix: str = ""
    """Put before every source, as T5 wants it: `translate English to German: `, with the space at its end."""
    max_target_length: Annotated[int, Field(ge=2)] | None = None
    """Longest target in tokens, `data.max_length` being the source's; default: 128, or fewer where the model has fewer
    positions.  What is cut off is counted."""
    source_language: str = ""
    """The source's language, for tokenizers that mark it (mBART: `en_XX`, NLLB: `eng_Latn`); default: the tokenizer's."""
    target_language: str = ""
    """The target's language, with which answers of such models begin; default: the tokenizer's."""
    num_beams: Annotated[int, Field(ge=1)] = 1
    """Beginnings of an answer that are kept beside each other; 1: the likeliest word each time."""
    length_penalty: float = 1.0
    """With beams: above 1 longer answers are liked, below it shorter ones."""
    no_repeat_ngram_size: Annotated[int, Field(ge=0)] = 0
    """A run of so many tokens comes once in an answer, at most; 0: as often as it likes."""
    do_sample: bool = False
    """Draw words instead of taking the likeliest."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """With `do_sample`: what scores are divided by; below 1 is more certain."""
    top_k: Annotated[int, Field(ge=1)] | None = None
    """With `do_sample`: so many of the likeliest words take part; null: all."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """With `do_sample`: the likeliest words that together have this probability take part; null: all."""
    split_special_tokens: bool = True
    """Are special tokens that a text spells (`</s>`) read as characters?  With `false` they become the tokens."""

    summary: ClassVar[str] = "write another text: translation, summaries (T5, BART, Marian ...)"
    shape: ClassVar[Shape] = TRANSLATION
    auto_class: ClassVar[str] = "AutoModelForSeq2SeqLM"
    peft_task_type: ClassVar[str] = "SEQ_2_SEQ_LM"
    predicts: ClassVar[tuple[str, ...]] = ("loss", "tokens")
    metrics: ClassVar[tuple[str, ...]] = (
        "chrf",
        "bleu",
        "rouge_1",
        "rouge_2",
        "rouge_l",
        "exact_match",
        "perplexity",
        "loss",
        "bits_per_byte",
        "length_ratio",
        "repetition",
    )
    baselines: ClassVar[tuple[str, ...]] = ("nearest", "copy_source")
    generates: ClassVar[bool] = True
    packs: ClassVar[bool] = True

    def opened(self, model: Any, processor: Any, *, ref: str, limit: int) -> list[str]:
        """Where its decoder starts, and that its own settings of generation are off."""
        from weitiao.models import marks, two_sides, writing_settings

        if (self.max_target_length or 0) > limit:
            facts = {"model": ref, "has": limit, "most": limit}
            key, why = "task.max_target_length", reason("positions", **facts)
            raise fault("wrong_value", key=key, value=self.max_target_length, why=why)
        sides = self._sides(processor)
        started = two_sides.start(model, processor)
        off = writing_settings.take_over(
            model,
            begin=two_sides.begin(model, sides.before_target, sides.behind_target),
            stops=marks.ends(model, processor),
            max_new_tokens=self._longest(processor),
            **self._choice(),
        )
        notices = [reason("decoder_start", ref=ref, token=started)] if started else []
        return notices + ([reason("own_generation_off", ref=ref, settings="; ".join(off))] if off else [])

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Ids of both sides with the model's special tokens; the end of each is cut at its own limit."""
        records, sides, longest = iter(records), self._sides(processor), self._longest(processor)
        while part := list(islice(records, SAMPLE)):
            sources = sides.sources([self.source_prefix + record.values["source"] for record in part])
            known = [record.values.get("target") for record in part]
            written = iter(sides.targets([text for text in known if text is not None]))
            for source, text in zip(sources, known, strict=True):
                target = next(written) if text is not None else None
                yield self._example(sides, source, target, limit=limit, longest=longest)

    def _example(
        self, sides: Sides, source: list[int], target: list[int] | None, *, limit: int, longest: int
    ) -> Example:
        fewest, fewest_written = (len(sides.cut_source([], 0)), len(sides.cut_target([], 0)))
        if len(source) > limit and limit <= fewest:
            return Example({}, refused=reason("no_word_left", length=len(source), limit=limit))
        read = sides.cut_source(source, limit)
        lost = len(source) - len(read)
        if target is None:
            return Example({"input_ids": read}, tokens_lost=lost)
        if len(target) > longest and longest <= fewest_written:
            return Example({}, refused=reason("no_word_left", length=len(target), limit=longest))
        labels = sides.cut_target(target, longest)
        return Example(
            {"input_ids": read, "labels": labels},
            trained=len(labels),
            tokens_lost=lost,
            trained_lost=len(target) - len(labels),
            size=len(read) + len(labels),
        )

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Both sides filled up on the right: ids and mask (B, S), labels (B, T)."""
        sources = [example.inputs["input_ids"] for example in examples]
        mask_BS = pad([np.ones(len(ids), dtype=np.int64) for ids in sources], 0)
        inputs = {"input_ids": pad(sources, processor.pad_token_id or 0), "attention_mask": mask_BS}
        labels = [example.inputs["labels"] for example in examples]
        target_BT = pad(labels, IGNORE)
        trained = sum(map(len, labels))
        tokens = sum(map(len, sources)) + trained
        padding = mask_BS.numel() + target_BT.numel() - tokens
        return Batch(inputs, target_BT, trained, list(rows), tokens=tokens, padding=padding)

    def pack(self, examples: Sequence[Example], rows: Sequence[int], *, shared: bool = False) -> Batch:
        """Both sides end to end: ids (1, S), where rows begin on each side; labels (B, T) as they are learnt."""
        import torch

        sources = [np.asarray(example.inputs["input_ids"], dtype=np.int64) for example in examples]
        labels = [example.inputs["labels"] for example in examples]
        ends = {BOUNDS: sources, WRITTEN_BOUNDS: labels}
        inputs = {
            name: torch.from_numpy(np.cumsum([0, *map(len, side)], dtype=np.int64))
            for name, side in ends.items()
        }
        inputs["input_ids"] = torch.from_numpy(np.concatenate(sources))[None]
        trained = sum(map(len, labels))
        tokens = inputs["input_ids"].numel() + trained
        return Batch(inputs, pad(labels, IGNORE), trained, list(rows), tokens=tokens, padding=0)

    def loss(self, model: nn.Module, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy, summed over the tokens that are written."""
        return self.losses(self.logits(model, batch), batch, label_smoothing=label_smoothing).sum()

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """Scores of every token that is written (N, V)."""
        from weitiao.models import two_sides

        return two_sides.written_logits(model, batch.inputs, batch.target)

    def losses(self, logits_NC: Tensor, batch: Batch, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of every token that is written (N,)."""
        from torch.nn import functional as F

        target_N = batch.target[batch.target != IGNORE]
        return F.cross_entropy(logits_NC, target_N, label_smoothing=label_smoothing, reduction="none")

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """Summed loss and number of the tokens that are written of each row."""
        sums_B = self._row_losses(model, batch).tolist()
        counts_B = (batch.target != IGNORE).sum(1).tolist()
        return [{"loss": loss, "tokens": count} for loss, count in zip(sums_B, counts_B, strict=True)]

    def _row_losses(self, model: nn.Module, batch: Batch) -> Tensor:
        losses_N = self.losses(self.logits(model, batch), batch).double()
        owner_N = (batch.target != IGNORE).nonzero()[:, 0]
        return losses_N.new_zeros(len(batch.target)).index_add(0, owner_N, losses_N)

    def reference(self, record: Record) -> dict[str, Any]:
        """The source as what is asked, and the target."""
        asked = [{"role": "user", "content": record.values["source"]}]
        return {"prompt": asked, "reference": record.values["target"]}

    def explains(
        self, record: Record, prediction: Mapping[str, Any], *, asked: Sequence[str] = ()
    ) -> list[Target]:
        """How likely the answer is, as a whole."""
        return chosen_targets([Target(record.values["target"], "log_probability")], asked)

    def target_scores(self, model: nn.Module, batch: Batch, target: Target) -> Tensor:
        """The log-probability of what is written of each row (B,)."""
        return -self._row_losses(model, batch)

    def text_bytes(self, example: Example, processor: Any) -> int:
        """Those of the target, without special tokens."""
        return len(processor.decode(list(example.inputs["labels"]), skip_special_tokens=True).encode())

    def opening(self, turns: Sequence[Mapping[str, Any]], processor: Any, *, tools: Any = None) -> list[int]:
        """The ids of what the user has said last: every text is a source of its own."""
        said = [turn["content"] for turn in turns if turn["role"] == "user"]
        return self._sides(processor).sources([self.source_prefix + (said[-1] if said else "")])[0]

    def answer(
        self, loaded: Any, prompts: Sequence[Sequence[int]], *, notice: Any = None, **asked: Any
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """What is written of every source, as the settings say; sources are cut as those that were learnt from."""
        from weitiao.data.layout import Layout

        together = loaded.layout is not Layout.ALONE
        for place, one in self.written(loaded, prompts, together=together, **asked):
            said = loaded.processor.decode(one.ids, skip_special_tokens=True).strip()
            yield place, {"answer": said, "ending": one.ending}

    def written(
        self,
        loaded: Any,
        prompts: Sequence[Sequence[int]],
        *,
        together: bool,
        streamer: Any = None,
        sample: bool | None = None,
        **asked: Any,
    ) -> Iterator[tuple[int, Answer]]:
        """The same in tokens; `together`: may sources share a pass?"""
        from weitiao.models import decoding, marks, two_sides

        model, processor, sides = loaded.model, loaded.processor, self._sides(loaded.processor)
        if sample is None and self.do_sample:
            sample = True
            asked = {
                "temperature": self.temperature,
                "top_k": self.top_k,
                "top_p": self.top_p,
                "seed": 0,
            } | asked
        settings = decoding.Decoding(
            stops=marks.ends(model, processor),
            padding=processor.pad_token_id or 0,
            sample=bool(sample),
            **asked,
        )
        sources = [sides.cut_source(list(prompt), settings.limit) for prompt in prompts]
        begin = two_sides.begin(model, sides.before_target, sides.behind_target)
        search = decoding.Search(
            1 if sample else self.num_beams, self.length_penalty, self.no_repeat_ngram_size
        )
        settings = replace(settings, limit=loaded.limit)
        words = {"together": together, "streamer": streamer}
        yield from decoding.write(model, sources, begin, settings, search, **words)

    def answered(self, record: Record, answer: str) -> tuple[Record, str, int]:
        """The source and the answer as its target: no text that is read holds it."""
        (source,) = (turn["content"] for turn in record.values["messages"])
        return replace(record, values={"source": source, "target": answer}), "", 0

    def ends(self, processor: Any) -> list[int]:
        """What the tokenizer puts behind a target."""
        return self._sides(processor).behind_target[:1]

    def record(self, text: str) -> dict[str, Any]:
        """A source."""
        return {"source": text, "target": None}

    def _sides(self, processor: Any) -> Sides:
        return Sides.of(
            processor, self.source_language, self.target_language, plain=self.split_special_tokens
        )

    def _longest(self, processor: Any) -> int:
        return self.max_target_length or min(USUAL, processor.model_max_length)

    def _choice(self) -> dict[str, Any]:
        """How answers are looked for, as Transformers calls it."""
        if self.do_sample:
            drawn = {"temperature": self.temperature, "top_k": self.top_k or 0, "top_p": self.top_p or 1.0}
            return {"do_sample": True, "no_repeat_ngram_size": self.no_repeat_ngram_size, **drawn}
        beams = {"length_penalty": self.length_penalty} if self.num_beams > 1 else {}
        return {"num_beams": self.num_beams, "no_repeat_ngram_size": self.no_repeat_ngram_size, **beams}
