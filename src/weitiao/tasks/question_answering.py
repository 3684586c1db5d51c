"""Extractive question answering: the part of a text that answers a question, or that none does.

    {"question": "Where?", "context": "Ada lived in London."}
        ->  {"answer": "London", "start": 13, "end": 19, "score": 11.2, "null_score": -3.1}

The model scores every token as the first and as the last of the answer (Devlin et al. 2019, arXiv 1810.04805); an answer
scores what both of its tokens do, no answer what the first token of the row (`[CLS]`) does as both.

    loss of a window     (cross-entropy of the first token + that of the last) / 2, over all of its tokens
    no answer            where null_score - score > threshold, chosen on the validation rows (arXiv 1806.03822)

A context that is longer than the model reads is read in windows that overlap, each behind the whole question; what a
window does not hold is no answer there, and the row's answer is the best of all windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from weitiao.core.contracts import Batch, Example, Record, Shape, Target, Task, no_such_target
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.data import answer_words
from weitiao.data.pack import pad
from weitiao.data.shapes import QUESTIONED
from weitiao.tasks.parts.answer_spans import likeliest, text_of, tokens_of
from weitiao.tasks.parts.context_windows import cut, held, pairs, question_tokens, seen
from weitiao.tasks.parts.questions import Sides, sides

if TYPE_CHECKING:
    from torch import Tensor, nn

SAMPLE = 1024
"""Rows whose contexts are tokenised at once."""
LONGEST = 30
"""Tokens of an answer, at most, where no training row has a longer one; as in Transformers' example of this task."""


@register("task", "question_answering")
@dataclass(frozen=True)
class QuestionAnswering(Task):
    """Which part of a text answers a question?"""

    doc_stride: Annotated[int, Field(ge=0)] = 128
    """Tokens that two windows of a long context share, at most the half of one."""
    max_answer_length: Annotated[int, Field(ge=1)] | None = None
    """Tokens of an answer, at most; default: 30, or as many as the longest answer of the rows that train."""
    no_answer: Literal["auto"] | bool = "auto"
    """May it say that a question has no answer?  `auto`: where there are rows without one."""
    null_score_diff_threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """By how much the score of no answer must be above that of the best one; default: chosen on the validation rows for the
    best F1, when the model is trained."""
    n_best_size: Annotated[int, Field(ge=1)] = 1
    """How many answers a prediction holds (`n_best`), where it is more than one."""

    summary: ClassVar[str] = "the part of a text that answers a question (SQuAD)"
    shape: ClassVar[Shape] = QUESTIONED
    auto_class: ClassVar[str] = "AutoModelForQuestionAnswering"
    peft_task_type: ClassVar[str] = "QUESTION_ANS"
    predicts: ClassVar[tuple[str, ...]] = ("start", "end", "score", "null_score", "loss", "tokens")
    metrics: ClassVar[tuple[str, ...]] = ("squad_f1", "squad_exact_match")
    baselines: ClassVar[tuple[str, ...]] = ("nearby_words", "whole_context")
    overlong: ClassVar[tuple[str, ...]] = ("split", "windows")
    reads_whole: ClassVar[bool] = True
    training_only: ClassVar[tuple[str, ...]] = (
        "max_answer_length",
        "no_answer",
        "null_score_diff_threshold",
        "n_best_size",
    )

    @property
    def settles(self) -> bool:  # type: ignore[override]
        """Where it may say that there is no answer."""
        return self.no_answer is True and self.null_score_diff_threshold is None

    def learn(self, records: Sequence[Record]) -> QuestionAnswering:
        """Whether there are questions without an answer."""
        if self.no_answer != "auto":
            return self
        return replace(self, no_answer=any(not record.values["answers"] for record in records))

    def learn_training(
        self, examples: Sequence[Example], weights: Sequence[float] | None
    ) -> QuestionAnswering:
        """How long an answer may be."""
        if self.max_answer_length is not None:
            return self
        longest = LONGEST
        for example in examples:
            begins, ends = (np.asarray(example.inputs[name]) for name in ("begins", "ends"))
            for first, last in tokens_of(pairs(example.target or ()), begins, ends):
                longest = max(longest, last - first + 1)
        return replace(self, max_answer_length=longest)

    def settle(
        self, examples: Sequence[Example], predictions: Sequence[Mapping[str, Any]]
    ) -> QuestionAnswering:
        """The threshold with the best F1 of the validation rows."""
        right = [self.expected(example)["answers"] for example in examples]
        said = [told["n_best"][0]["answer"] for told in predictions]
        gaps = [told["null_score"] - told["score"] for told in predictions]
        answered = [answer_words.f1(*pair) for pair in zip(said, right, strict=True)]
        none = [answer_words.f1("", one) for one in right]
        return replace(self, null_score_diff_threshold=answer_words.threshold(gaps, answered, none))

    def restated(self, predictions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """By this threshold."""
        return [self._said(told) for told in predictions]

    def unsettled(self) -> QuestionAnswering:
        """Without a threshold."""
        return replace(self, null_score_diff_threshold=None)

    def model_options(self) -> dict[str, Any]:
        """Two scores a token."""
        return {"num_labels": 2}

    def of_logits(self) -> str:
        """The likeliest first token, and the likeliest last one behind it."""
        return (
            "# each token is scored as the first and as the last of the answer\n"
            'row = tokenizer("...", "...", return_tensors="pt")  # question and context\n'
            "said = model(**row)\n"
            "first = int(said.start_logits.argmax())\n"
            "last = first + int(said.end_logits[0, first:].argmax())\n"
            "answer = tokenizer.decode(row.input_ids[0, first : last + 1])  # [CLS]: no answer"
        )

    # ------------------------------------------------------------------ rows to examples

    def encode(self, records: Iterable[Record], processor: Any, *, limit: int) -> Iterator[Example]:
        """Question and context with the model's special tokens, and where in the context each token stands; the end of a
        long context is cut."""
        records, read = iter(records), sides(processor)
        while part := list(islice(records, SAMPLE)):
            contexts = read.contexts([record.values["context"] for record in part])
            questions = read.questions([record.values["question"] for record in part])
            for record, question in zip(part, questions, strict=True):
                context = record.values["context"]
                yield self._encoded(record, question, contexts[context], read, limit=limit)

    def _encoded(
        self, record: Record, question: Sequence[int], context: tuple[Any, Any], read: Sides, *, limit: int
    ) -> Example:
        ids, places = context
        room = read.room(len(question), limit=limit)
        if room < len(ids) and room < read.least(limit):
            return Example({}, refused=reason("question_fills", tokens=len(question), limit=limit))
        answers = record.values.get("answers")
        spans = [(one["start"], one["start"] + len(one["text"])) for one in answers or ()]
        said = [one["text"] for one in answers or ()]
        golds = tokens_of(spans, places[:, 0], places[:, 1])
        if spans and not golds:
            return Example({}, refused=reason("answer_no_token", answer=said[0]))
        inputs, before = read.joined(question, ids[:room], places[:room])
        inside = held([(a + before, b + before) for a, b in golds], before, before + room)
        lost = bool(golds) and inside is None
        gold = inside or (read.null(inputs["input_ids"]),) * 2
        return Example(
            {
                **inputs,
                "windows": [len(inputs["input_ids"])],
                "gold": list(gold),
                "text": [ord(char) for char in record.values["context"]],
            },
            target=None if answers is None else [place for span in spans for place in span],
            trained=int(not lost),
            tokens_lost=max(0, len(ids) - room),
            trained_lost=int(lost),
        )

    # ------------------------------------------------------------------ rows that are too long

    def windows(self, record: Record, whole: Example, processor: Any, *, limit: int) -> list[Example]:
        """The context in windows that overlap, each an example of its own; empty when the question leaves no room."""
        return [
            replace(whole, inputs=one, trained=1)
            for one in cut(whole, sides(processor), limit=limit, shared=self.doc_stride)
        ]

    def in_windows(self, whole: Example, processor: Any, *, limit: int) -> Example:
        """The context in windows that overlap, one behind the other."""
        return self._beside(
            whole, cut(whole, sides(processor), limit=limit, shared=self.doc_stride), limit=limit
        )

    def fitted(
        self, record: Record, whole: Example, processor: Any, *, limit: int, overlong: str, max_windows: int
    ) -> Example:
        """The same of the first `max_windows`."""
        if len(whole) <= limit:
            return whole
        parts = cut(whole, sides(processor), limit=limit, shared=self.doc_stride)
        kept = self._beside(whole, parts[:max_windows], limit=limit)
        if kept.refused or len(parts) <= max_windows:
            return kept
        return replace(kept, tokens_lost=seen(parts) - seen(parts[:max_windows]))

    def _beside(self, whole: Example, parts: Sequence[Mapping[str, Any]], *, limit: int) -> Example:
        if not parts:
            return Example({}, refused=reason("question_fills", tokens=question_tokens(whole), limit=limit))
        inputs = {
            name: [value for one in parts for value in one[name]] for name in parts[0] if name != "text"
        }
        return replace(whole, inputs={**inputs, "text": whole.inputs["text"]}, trained=len(parts))

    # ------------------------------------------------------------------ examples to answers

    def collate(self, examples: Sequence[Example], rows: Sequence[int], processor: Any) -> Batch:
        """Right-padded ids (W, T) and mask (W, T), a window a row; first and last token of their answers (W, 2)."""
        import torch

        sizes_W = np.concatenate([np.asarray(example.inputs["windows"]) for example in examples])
        cuts = np.cumsum(sizes_W)[:-1]

        def parts(name: str) -> list[Any]:
            return np.split(np.concatenate([np.asarray(one.inputs[name]) for one in examples]), cuts)

        ids = parts("input_ids")
        inputs = {"input_ids": pad(ids, processor.pad_token_id or 0)}
        inputs["attention_mask"] = pad([np.ones(size, dtype=np.int64) for size in sizes_W], 0)
        if "token_type_ids" in examples[0].inputs:
            inputs["token_type_ids"] = pad(parts("token_type_ids"), 0)
        gold = np.concatenate([np.asarray(one.inputs["gold"], dtype=np.int64) for one in examples])
        known = all(one.target is not None for one in examples)
        tokens, null = int(sizes_W.sum()), sides(processor).null
        return Batch(
            inputs,
            torch.from_numpy(gold.reshape(-1, 2)) if known else None,
            trained=sum(one.trained for one in examples),
            rows=list(rows),
            tokens=tokens,
            padding=inputs["input_ids"].numel() - tokens,
            extra={
                "counts": [len(one.inputs["windows"]) for one in examples],
                "places": [*zip(parts("begins"), parts("ends"), strict=True)],
                "null": [null(own) for own in ids],
                "texts": ["".join(map(chr, one.inputs["text"])) for one in examples],
            },
        )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of every window, summed."""
        return self._losses(self._logs(model, batch), batch).sum()

    def _scores(self, model: nn.Module, batch: Batch) -> Tensor:
        """Scores (2, W, T) of every token as the first and the last, float32; minus infinity where nothing is."""
        import torch

        from weitiao.models.inputs import takes

        known = dict(batch.inputs)
        kinds = getattr(model.config, "type_vocab_size", None)
        if kinds == 1 or not takes(model, "token_type_ids"):  # whatever the tokenizer gives
            known.pop("token_type_ids", None)
        said = model(**known)
        scores_2WT = torch.stack([said.start_logits, said.end_logits]).float()
        return scores_2WT.masked_fill(batch.inputs["attention_mask"] == 0, float("-inf"))

    def _logs(self, model: nn.Module, batch: Batch) -> Tensor:
        return self._scores(model, batch).log_softmax(-1)

    def _losses(self, logs_2WT: Tensor, batch: Batch) -> Tensor:
        """Of each window (W,)."""
        return -logs_2WT.gather(2, batch.target.T[..., None])[..., 0].mean(0)

    def predict(self, model: nn.Module, batch: Batch) -> list[dict[str, Any]]:
        """The best answer of each row, its place in the context, its score and that of none; the loss of a row whose answer
        is known."""
        scores_2WT = self._scores(model, batch).double()
        losses_W = [] if batch.target is None else self._losses(scores_2WT.log_softmax(-1), batch).tolist()
        start_WT, end_WT = scores_2WT.detach().cpu().numpy()
        found, window = [], 0
        for count, context in zip(batch.extra["counts"], batch.extra["texts"], strict=True):
            own = range(window, window + count)
            window += count
            told = self._said(self._told(own, start_WT, end_WT, batch, context))
            if losses_W:
                told |= {"loss": sum(losses_W[one] for one in own), "tokens": count}
            found.append(told)
        return found

    def _told(
        self, own: Sequence[int], start_WT: Any, end_WT: Any, batch: Batch, context: str
    ) -> dict[str, Any]:
        """The best answers of a row, and the least of its windows' scores for none."""
        best: dict[tuple[int, int], float] = {}
        longest = self.max_answer_length or LONGEST
        for one in own:
            begins, ends = batch.extra["places"][one]
            size = len(begins)
            spans = likeliest(
                start_WT[one, :size],
                end_WT[one, :size],
                ends > begins,
                longest=longest,
                count=self.n_best_size,
            )
            for score, first, last in spans:
                place = text_of(int(begins[first]), int(ends[last]), context)
                best[place] = max(score, best.get(place, -np.inf))
        ranked = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[: self.n_best_size]
        n_best = [
            {"answer": context[start:end], "start": start, "end": end, "score": score}
            for (start, end), score in ranked
        ]
        nulls = [float(side[one, batch.extra["null"][one]]) for one in own for side in (start_WT, end_WT)]
        null = min(map(sum, zip(nulls[::2], nulls[1::2], strict=True)))
        return {"null_score": null, "n_best": n_best or [{"answer": "", "start": 0, "end": 0, "score": null}]}

    def _said(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """What is said by these scores."""
        first, null = told["n_best"][0], told["null_score"]
        none = self.no_answer is True and null - first["score"] > (self.null_score_diff_threshold or 0.0)
        answer = {"answer": "", "start": None, "end": None} if none else first
        said = {name: answer[name] for name in ("answer", "start", "end")}
        return {**said, "score": first["score"], "null_score": null, **told}

    def expected(self, example: Example) -> dict[str, Any]:
        """The answers that are right."""
        text = example.inputs["text"]
        return {"answers": ["".join(map(chr, text[start:end])) for start, end in pairs(example.target)]}

    def reference(self, record: Record) -> dict[str, Any]:
        """Question, context, and the answers that are right, the first of them apart."""
        answers = record.values["answers"]
        texts = [answer["text"] for answer in answers]
        return {
            **self.shape.texts(record.values),
            "answers": texts,
            "starts": [answer["start"] for answer in answers],
            "reference": texts[0] if texts else "",
        }

    def shown(self, record: Record, prediction: Mapping[str, Any]) -> dict[str, Any]:
        """Without the other answers, where none were asked for."""
        hidden = () if self.n_best_size > 1 else ("n_best",)
        return {name: value for name, value in prediction.items() if name not in hidden}

    def record(self, text: str) -> dict[str, Any]:
        """A text alone is neither a question nor a context."""
        return {"answers": None}

    # ------------------------------------------------------------------ what an answer hangs on

    def explains(
        self, record: Record, prediction: Mapping[str, Any], *, asked: Sequence[str] = ()
    ) -> list[Target]:
        """How likely the answer is, or that there is none; or another part of the context."""
        context, found = record.values["context"], []
        for name in asked:
            start = context.find(name)
            if not name or start < 0:
                raise no_such_target(name, [one["answer"] for one in prediction["n_best"]])
            found.append(Target(name, "log_probability", (start, start + len(name))))
        if asked:
            return found
        none = prediction["start"] is None
        of = None if none else (prediction["start"], prediction["end"])
        return [Target(prediction["answer"] or reason("no_answer"), "log_probability", of)]

    def target_scores(self, model: nn.Module, batch: Batch, target: Target) -> Tensor:
        """The log-probability of an answer, of the first token and of the last, in the windows that hold it (B,)."""
        import torch

        logs_2WT, count = self._logs(model, batch), batch.extra["counts"][0]
        start_BWT, end_BWT = logs_2WT.unflatten(1, (-1, count))
        found = []
        for window, (begins, ends) in enumerate(batch.extra["places"][:count]):
            null = (batch.extra["null"][window],) * 2
            held = [null] if target.of is None else tokens_of([target.of], begins, ends)
            found += [start_BWT[:, window, first] + end_BWT[:, window, last] for first, last in held]
        if not found:
            raise fault("nothing_to_explain", row=batch.rows[0])
        together = torch.stack(found)
        return together.mean(0) if target.of is None else together.logsumexp(0)
