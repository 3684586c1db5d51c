"""Why a run says what it says of a text: its words, and what each adds to the number.

    explain(run, ["A dull film."])                    ->  [Explanation(...)]: the predicted label
    explain(run, ["A dull film."], asked=["good"])    another label; a span or its type; words of an answer

The row is encoded as ever; what is explained, and how that number is computed, the task says (`Task.explains`,
`Task.target_scores`).  A task that generates answers first, and its answer is explained by the words of the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import Batch, Example, Record, Target, Task, no_such_target
from weitiao.core.errors import fault, need
from weitiao.core.why import because, reason
from weitiao.data.overlong import ENDLESS, FITTED
from weitiao.evaluate.explain.explanation import (
    AttendedWord,
    Attention,
    ExplainedTarget,
    ExplainedWord,
    Explanation,
)
from weitiao.evaluate.explain.words import Word, moved, spelt
from weitiao.models.precision import autocast
from weitiao.stages.events import labelling
from weitiao.stages.explained import Explained
from weitiao.stages.similar_rows import TrainingRows

if TYPE_CHECKING:
    from torch import Tensor

    from weitiao.evaluate.explain.vectors import Followed
    from weitiao.models.precision import Half

AGREES = 0.5
"""A rank correlation of both ways below this is said."""
LONG = 8
"""Tokens from which an answer is long."""
OWN = 1 << 40
"""Added to the places of a row's own tokens, to know them from those of special tokens that stand around each pass."""


def explain(
    run: Explained,
    texts: Any,
    *,
    asked: Sequence[str] = (),
    similar: int = 0,
    steps: int | None = None,
    attention: bool = False,
    columns: Mapping[str, str] | None = None,
    max_new_tokens: int = 200,
) -> list[Explanation]:
    """One explanation a row.

    Args:
        run: whose predictions.
        texts: as `Run.predict` takes them.
        asked: what is explained: labels; spans by type or words; words of the answer.  Default: what is predicted.
        similar: so many training rows that the model sees as most alike stand beside each.
        steps: of the integral, at most.  Default: 256, and fewer where model and row are large.
        attention: show where the model looks, too.
        columns: which of their columns to read.
        max_new_tokens: longest answer, where the task generates.

    Raises:
        WeitiaoError: `missing_extra`; `not_followed`, `no_such_target`, `nothing_to_explain`; `no_similar_rows`; as
            `Run.predict`.
    """
    need("captum", extra="explain")
    questions = run.asked(texts, columns)
    questions.count()
    records = [record for _, record in questions]
    words: dict[str, Any] = {"steps": steps, "attention": attention, "max_new_tokens": max_new_tokens}
    return explain_records(run, records, asked=asked, similar=similar, **words)


def explain_records(
    run: Explained,
    records: Sequence[Record],
    *,
    asked: Sequence[str] = (),
    similar: int = 0,
    steps: int | None = None,
    attention: bool = False,
    max_new_tokens: int = 200,
    strict: bool = True,
) -> list[Explanation]:
    """The same of rows as the task reads them, without their answers.

    Args:
        run, asked, similar, steps, attention, max_new_tokens: as `explain`.
        records: the rows.
        strict: refuse a row without a word that is read; else its warnings say so.

    Raises:
        WeitiaoError: as `explain`.
    """
    need("captum", extra="explain")
    from weitiao.evaluate.explain.full_precision import full_precision
    from weitiao.stages.explain_pictures import explain_pictures

    if run.task.paints:
        raise fault("wrong_usage", **because("paints_pictures"))
    if run.task.shape.pictures:
        words: dict[str, Any] = {"asked": asked, "similar": similar, "steps": steps, "attention": attention}
        with labelling(run.recipe) as heard:
            return explain_pictures(run, records, **words, heard=heard)
    said = [_said(run, record, max_new_tokens) for record in records]
    rows = TrainingRows(run) if similar else None
    near = [rows.nearest(one.example, count=similar) if rows else [] for one in said]
    found = []
    with labelling(run.recipe) as heard:
        for done, one in enumerate(said, start=1):
            with full_precision(run.tuned.model) if one.exact(asked) else nullcontext(False) as whole:
                half = None if whole else run.recipe.train.half
                found.append(
                    _explained(run, one, asked, half, steps=steps, attention=attention, strict=strict)
                )
            heard(done, len(said))
    for explanation, alike in zip(found, near, strict=True):
        explanation.similar = alike
        explanation.warnings += [rows.notice] if rows and rows.notice else []
    return found


@dataclass
class _Said:
    """A row with what the model says of it."""

    record: Record
    """With the answer in it, where it was answered."""
    example: Example
    length: int
    """Tokens, before any were cut."""
    prediction: dict[str, Any]
    column: str = ""
    """Where the answer stands; empty where it was not answered, or is no part of what is read."""
    start: int = 0
    """Where it begins there."""

    def answers(self, word: Word) -> bool:
        """Is it a word of the answer?"""
        return bool(self.column) and word.column == self.column and word.start >= self.start

    def exact(self, asked: Sequence[str]) -> bool:
        """Would the rounding of half precision show?  The log-probability of a long answer moves by tens, so it does not, and
        what is explained is what was answered; other numbers move by a few."""
        return not self.column or bool(asked) or self.example.trained < LONG


def _said(run: Explained, record: Record, max_new_tokens: int) -> _Said:
    from weitiao.evaluate.predict import predict

    task, column, start, told = run.task, "", 0, []
    if task.generates:
        turns, tools = record.values["messages"], record.values.get("tools")
        told = run.speaker.answers([turns], tools=[tools], max_new_tokens=max_new_tokens)
        record, column, start = task.answered(record, told[0]["answer"])
    ((length, example),) = run.read([record])
    if example.refused:
        raise fault("bad_given", count=1, total=1, rows=f"  {record.line}: {example.refused}")
    if not task.generates:
        half: Any = run.recipe.train.half
        told = predict(run.tuned, task, [example], longest=run.limit, device=run.device, half=half)
    return _Said(record, example, length, told[0], column, start)


def _explained(
    run: Explained,
    said: _Said,
    asked: Sequence[str],
    half: Half | None,
    *,
    steps: int | None,
    attention: bool,
    strict: bool,
) -> Explanation:
    from weitiao.evaluate.explain.vectors import Followed

    task, record = run.task, said.record
    row = _Row(run, Followed(run.tuned.model), said.example, half)
    words = row.words(record)
    spoken = [word for word in words if not said.answers(word)]
    if not spoken and strict:
        raise fault("nothing_to_explain", row=record.line)
    if not spoken:
        targets = []
    elif said.column:
        targets = _of_answer([word for word in words if said.answers(word)], asked)
    else:
        targets = task.explains(record, said.prediction, asked=asked)
    cut = run.recipe.data.overlong not in FITTED and not task.reads_whole
    lost = said.length - len(said.example) if cut else said.example.tokens_lost
    warnings = [reason("explained_cut", lost=lost, length=said.length)] if lost > 0 else []
    warnings += [] if targets else [reason("nothing_predicted" if spoken else "no_word_read")]
    return Explanation(
        _texts(task, record),
        said.prediction if task.generates else dict(task.shown(record, said.prediction)),
        [row.explained(target, spoken, steps=steps) for target in targets],
        row.baseline_name,
        half or "float32",
        warnings,
        place=record.id if record.file else "",
        attention=row.attention(spoken) if attention else None,
    )


def _of_answer(said: Sequence[Word], asked: Sequence[str]) -> list[Target]:
    """The words of an answer that are asked for, or all together."""
    if not said:
        return []
    known = [word.text for word in said]
    if not asked:
        places = [place for word in said for place in word.tokens]
        return [Target(" ".join(known), "log_probability", places)]
    for name in asked:
        if name not in known:
            raise no_such_target(name, known)
    return [Target(word.text, "log_probability", word.tokens) for word in said if word.text in asked]


def _texts(task: Task, record: Record) -> dict[str, str]:
    """What is read of a row: the text that it came as, or everything in it that a person wrote."""
    values = record.values
    if "text" not in task.shape.columns and isinstance(values.get("text"), str):
        return {"text": values["text"]}
    return task.shape.texts(task.shape.asks(values))


class _Row:
    """A row that is explained: its vectors, and where its words are among them."""

    def __init__(self, run: Explained, followed: Followed, example: Example, half: Half | None):
        self._run, self._followed, self._example, self._half = run, followed, example, half
        self._batches: dict[int, Batch] = {}
        model, self._device = run.tuned.model, run.device
        import torch

        model.eval()
        with torch.no_grad(), self._cast(), followed.seen():
            run.task.predict(model, self._batch(1))
        if followed.vectors is None:
            raise fault("not_followed", why=reason("no_word_table"))
        self.x_PTD = followed.vectors.float()
        vector_D, self.baseline_name = followed.baseline(run.tuned.processor)
        self.none_PTD = vector_D.to(self.x_PTD.device).expand_as(self.x_PTD)

    def _cast(self) -> Any:
        return autocast(self._device, self._half)

    def _batch(self, count: int) -> Batch:
        if count not in self._batches:
            examples, rows = [self._example] * count, list(range(count))
            batch = self._run.task.collate(examples, rows, self._run.tuned.processor)
            self._batches[count] = batch.to(self._device)
        return self._batches[count]

    def words(self, record: Record) -> list[Word]:
        """The words that the user wrote, each with the places of its tokens in P x T laid flat."""
        run, task = self._run, self._run.task
        processor = run.tuned.processor
        (whole,) = task.encode([record], processor, limit=ENDLESS)
        asks = task.shape.texts(task.shape.asks(record.values))
        found = spelt(asks, list(whole.inputs["input_ids"]), processor)
        if (texts := _texts(task, record)) != asks:
            found = moved(found, texts)
        length = self.x_PTD.shape[1]
        at: dict[int, list[int]] = {}
        for place, own in enumerate(self._places(record, whole)):
            window = int(np.searchsorted(self._ends, place, side="right"))
            start = self._ends[window - 1] if window else 0
            at.setdefault(own, []).append(window * length + place - int(start))
        kept = []
        for word in found:
            if tokens := [flat for token in word.tokens for flat in at.get(token, [])]:
                kept.append(replace(word, tokens=tokens))
        return kept

    @property
    def _ends(self) -> Any:
        return np.cumsum(self._example.inputs.get("windows", [len(self._example)]))

    def _places(self, record: Record, whole: Example) -> list[int]:
        """Of each token of the row as it is read its place in the whole row; -1 of special ones that were put in."""
        run, task = self._run, self._run.task
        processor, data, limit = run.tuned.processor, run.recipe.data, run.limit
        numbered = replace(whole, inputs={**whole.inputs, "input_ids": [OWN + i for i in range(len(whole))]})
        if data.overlong in FITTED:
            words: dict[str, Any] = {"overlong": data.overlong, "max_windows": data.max_windows}
            numbered = task.fitted(record, numbered, processor, limit=limit, **words)
        elif len(whole) > limit and task.reads_whole:
            numbered = task.in_windows(numbered, processor, limit=limit)
        elif len(whole) > limit:
            return _kept(list(whole.inputs["input_ids"]), list(self._example.inputs["input_ids"]))
        return [max(-1, int(place) - OWN) for place in numbered.inputs["input_ids"]]

    def explained(self, target: Target, words: Sequence[Word], *, steps: int | None) -> ExplainedTarget:
        """What each word adds to a number."""
        import torch

        from weitiao.evaluate.explain.attribute import SMALL, affordable, agreement, shares, without

        own = [self._mask(word.tokens) for word in words]
        every = torch.from_numpy(np.logical_or.reduce(own)).to(self.x_PTD.device)
        baseline = torch.where(every[..., None], self.none_PTD, self.x_PTD)
        score = self._score(target)
        size = sum(weight.numel() for weight in self._run.tuned.model.parameters())
        most = steps or affordable(size, self.x_PTD.shape[0] * self.x_PTD.shape[1])
        found = shares(score, self.x_PTD, baseline, most=most)
        each = [float(found.token_PT[mask].sum()) for mask in own]
        falls = without(score, self.x_PTD, baseline, own, value=found.value)
        agree = agreement(each, falls)
        warnings = []
        if found.gap is None or found.gap >= SMALL:
            gap = "-" if found.gap is None else f"{100 * found.gap:.1f}"
            warnings.append(reason("gap_large", gap=gap, steps=found.steps))
        if agree is not None and agree < AGREES:
            warnings.append(reason("ways_disagree", agreement=f"{agree:.2f}"))
        return ExplainedTarget(
            target.name,
            target.what,
            found.value,
            found.baseline,
            [
                ExplainedWord(word.column, word.text, word.start, word.end, share, fall)
                for word, share, fall in zip(words, each, falls, strict=True)
            ],
            found.steps,
            found.gap,
            agree,
            warnings,
        )

    def attention(self, words: Sequence[Word]) -> Attention:
        """Where the model looks among these words."""
        from weitiao.evaluate.explain.attention import attended

        with self._cast():
            weight_PT, why = attended(self._run.tuned.model, self._batch(1).inputs)
        if why or weight_PT.shape != self.x_PTD.shape[:2]:
            return Attention([], why or reason("no_attention_told"))
        flat = weight_PT.reshape(-1)
        each = [float(flat[word.tokens].sum()) for word in words]
        total = sum(each) or 1.0
        return Attention(
            [
                AttendedWord(word.column, word.text, word.start, word.end, weight / total)
                for word, weight in zip(words, each, strict=True)
            ],
            reason("attention_is_a_picture"),
        )

    def _mask(self, tokens: Sequence[int]) -> Any:
        flat = np.zeros(self.x_PTD.shape[0] * self.x_PTD.shape[1], dtype=bool)
        flat[list(tokens)] = True
        return flat.reshape(self.x_PTD.shape[:2])

    def _score(self, target: Target) -> Callable[[Tensor], Tensor]:
        import torch

        task, model = self._run.task, self._run.tuned.model

        def score(rows_NPTD: Tensor) -> Tensor:
            count = len(rows_NPTD)
            with self._cast(), self._followed.given(rows_NPTD.flatten(0, 1)):
                said = task.target_scores(model, self._batch(count), target).float()
            if len(said) == count:
                return said
            # A task that sums over its rows is asked one by one.
            return torch.cat([score(rows_NPTD[place : place + 1]) for place in range(count)])

        return score


def _kept(whole: list[int], cut: list[int]) -> list[int]:
    """Of each token of a row that was cut its place in the whole one."""
    from difflib import SequenceMatcher

    found = [-1] * len(cut)
    for a, b, size in SequenceMatcher(None, whole, cut, autojunk=False).get_matching_blocks():
        found[b : b + size] = range(a, a + size)
    return found
