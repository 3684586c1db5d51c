"""What a form is asked, and what the judged model says of it: rows of the run, read, scored and answered.

    asked(run)  ->  Asked(rows, batches, passes, predictions ...)

Rows are real ones: those that validated, else those that tested, else those that trained; up to `ROWS`.  Beside them stand a
few that are made of one: in Chinese, longer than the model reads, a single word, spelling special tokens; pictures that are grey,
turned, clear in parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from weitiao.core.contracts import Batch, Example, Record
from weitiao.core.errors import fault
from weitiao.data.ledger import Ledger
from weitiao.data.pictured import IMAGE
from weitiao.data.rows import Rows
from weitiao.export import pictures, speech
from weitiao.export.heard import Pass, hearing
from weitiao.stages.kept_rows import kept
from weitiao.stages.to_judge import encoder

if TYPE_CHECKING:
    from weitiao.stages.run import Run

ROWS = 1000
"""Real rows that are compared, where there are so many."""
BATCH = 7
"""Rows of a batch: a number that no exporter takes for another."""
NUMBERS = 1 << 27
"""Numbers, given and said, that are kept to be compared, 512 MB; where one row has very many (a language model, vectors of long texts,
large pictures), fewer rows are compared number by number."""
LARGE = 1 << 29
"""Numbers of outputs of one batch, 2 GB; a language model that reads so long rows that there were more is asked none that is made
as long as it can read."""
WORK = 1 << 42
"""Parameters times tokens: a small language model reads some ten thousand tokens, some minutes on one core."""
CHINESE = "这部电影的结尾出人意料，演员的表演也很自然；不过中间有些拖沓。"
ODD = "Naïve café 🙂 №5 — “ok”\u200b e\u0301"


@dataclass
class Asked:
    """Rows, and what the judged model says of them."""

    side: str
    """Which rows of the run these are."""
    records: list[Record]
    examples: list[Example]
    real: int
    """So many of the rows are the run's own; the others are made."""
    batches: list[list[int]]
    """Rows of each batch, in the order in which they are asked; the first ones are of three lengths, alone and by sevens."""
    passes: list[Pass] = field(default_factory=list)
    """Of all batches, one behind the other."""
    counts: list[int] = field(default_factory=list)
    """Passes of each batch."""
    predictions: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Of each row what the judged model says, in the batch of seven that it was in last."""
    whole: int = 0
    """So many of the passes have kept their outputs."""
    learnt: dict[int, Batch] = field(default_factory=dict)
    """Of a model that writes the batch of each pass, of whose tokens the losses are compared where outputs are not kept."""

    def lengths(self) -> list[int]:
        """The shortest, the middle and the longest row in tokens."""
        sizes = sorted(len(self.examples[row]) for batch in self.batches for row in batch)
        return [sizes[0], sizes[len(sizes) // 2], sizes[-1]]

    def batch(self, number: int, run: Run) -> Batch:
        """Stacked as the task stacks rows."""
        rows = self.batches[number]
        examples = [self.examples[row] for row in rows]
        if run.task.generates:
            return speech.of(run).stacked(run, examples, rows)
        batch = run.task.collate(examples, rows, run.tuned.processor)
        # Of pictures an answer is asked alone: what it costs is the model's own loss, which no form has.
        return batch if run.task.reads_words else replace(batch, target=None)

    def keep(self, batch: Batch, before: int, *, learns: bool) -> None:
        """Look at the passes that a batch has made, and let go what is too much to be kept."""
        self.counts.append(len(self.passes) - before)
        if learns:
            self.learnt[before] = batch
        fits = sum(one.numbers for one in self.passes) <= NUMBERS
        if fits and self.whole == before:
            self.whole = len(self.passes)
        elif before in self.learnt:
            self.passes[before] = replace(self.passes[before], said={})


def asked(run: Run, *, room: Path, most: int = ROWS) -> Asked:
    """Rows of a run and what its model, on the CPU and in float32, says of them.

    Args:
        run: with its model.
        room: an empty folder, for pictures that are made; it must be there as long as the rows are asked.
        most: rows.

    Raises:
        WeitiaoError: `broken_rows`; `nothing_to_compare` where no row can be asked.
    """
    import torch

    side, records, examples = _real(run, most)
    real = len(records)
    for record, example in _made(run, records, room):
        records.append(record)
        examples.append(example)
    if run.task.generates:
        pairs = zip(records, examples, strict=True)
        examples = [speech.of(run).as_learnt(run, record, example) for record, example in pairs]
    first, others = _batches(examples)
    found = Asked(side, records, examples, real, [*first, *others])
    model, spent = run.tuned.model, 0
    size = sum(weight.numel() for weight in model.parameters())
    predict = speech.of(run).predicted if run.task.generates else run.task.predict
    model.eval()
    with torch.inference_mode():
        for number, rows in enumerate(found.batches):
            before, batch = len(found.passes), found.batch(number, run)
            told = predict(hearing(model, found.passes), batch)
            found.keep(batch, before, learns=run.task.generates)
            if len(rows) > 1 or rows[0] not in found.predictions:
                found.predictions |= dict(zip(rows, told, strict=True))
            spent += size * (batch.tokens + batch.padding)
            full = not found.learnt and found.whole < len(found.passes)
            if number >= len(first) and (spent > WORK or full):
                found.batches = found.batches[: number + 1]
                break
    if not found.learnt:  # what is not kept is not compared
        found.passes = found.passes[: found.whole]
        found.counts, found.batches = _within(found.counts, found.batches, found.whole)
        seen = {row for batch in found.batches for row in batch}
        found.predictions = {row: told for row, told in found.predictions.items() if row in seen}
    return found


def _within(counts: list[int], batches: list[list[int]], whole: int) -> tuple[list[int], list[list[int]]]:
    """The batches all of whose passes are kept."""
    number = 0
    while number < len(counts) and sum(counts[: number + 1]) <= whole:
        number += 1
    return counts[:number], batches[:number]


def _real(run: Run, most: int) -> tuple[str, list[Record], list[Example]]:
    for side in ("validation", "test", "train"):
        rows = Rows()
        for record, _ in kept(run.folder, side):
            rows.append(record)
        if not len(rows):
            continue
        encoded = encoder(run)(rows, Ledger(total=len(rows)), side="validation")
        chosen = sorted(Random(run.recipe.seed).sample(range(len(encoded)), min(most, len(encoded))))
        if chosen:
            return side, [rows[int(encoded.rows[at])] for at in chosen], [encoded[at] for at in chosen]
    raise fault("nothing_to_compare", path=run.path)


def _made(run: Run, records: Sequence[Record], room: Path) -> Iterator[tuple[Record, Example]]:
    """Rows as they may come in use and need not be among those of the run."""
    shape, record = run.task.shape, records[0]
    if shape.pictures:
        changes = [{**record.values, IMAGE: path} for path in pictures.made(record, room)]
    else:
        changes = list(_written(run, record))
    for values in changes:
        changed = replace(record, values=values)
        for _, example in run.read([changed]):
            if not example.refused and example.inputs:
                yield changed, example


def _written(run: Run, record: Record) -> Iterator[dict[str, Any]]:
    """A row's values with other texts."""
    shape = run.task.shape
    questions = shape.asks(record.values)
    places = [at for at in shape.texts(record.values) if at.partition(".")[0] in questions]
    marks = " ".join(list(getattr(run.tuned.processor, "all_special_tokens", ()))[:4])
    longest = max(shape.texts(record.values).values(), key=len, default="a")
    texts = [CHINESE, ODD, "a", f"{marks} {CHINESE}"]
    if not run.task.generates or run.limit * BATCH * _vocabulary(run) <= LARGE:
        # A word is a token at least.
        texts.append(" ".join([longest or "a"] * (run.limit // max(1, len(longest.split())) + 1)))
    for text in texts:
        yield dict(shape.with_texts(record.values, dict.fromkeys(places, text)))


def _vocabulary(run: Run) -> int:
    return int(run.tuned.model.config.get_text_config().vocab_size)


def _batches(examples: Sequence[Example]) -> tuple[list[list[int]], list[list[int]]]:
    """The shortest rows, the middle ones and the longest, alone and by sevens; all others by sevens, as they come."""
    order = sorted(range(len(examples)), key=lambda row: len(examples[row]))
    middle = max(0, len(order) // 2 - BATCH // 2)
    groups = [order[:BATCH], order[middle : middle + BATCH], order[-BATCH:]]
    seen = dict.fromkeys(row for group in groups for row in group)
    others = [row for row in range(len(examples)) if row not in seen]
    return [*([row] for row in seen), *groups], [
        others[at : at + BATCH] for at in range(0, len(others), BATCH)
    ]
