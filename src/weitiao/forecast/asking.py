"""What is asked on the way beside the loss, of shapes: what it holds, and what it computes.

    look(one, batch)                      a pass over a batch without gradients: a reference, a model that rates
    Rollout(forecast, prompts).phases     drawing, scoring and rating the answers of a rollout, one after the other

Answers are taken to be as long as they may become.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from weitiao.core.contracts import Answered, Batch, Example, Sampling, Task
from weitiao.core.recipe import Train
from weitiao.forecast.fake_model import FakeModel
from weitiao.forecast.others import Other, Others
from weitiao.models.precision import Half
from weitiao.stages.speaker import KEPT_PER_TRAINED

if TYPE_CHECKING:
    from weitiao.train.pace import Work

TABLES = 3
"""Tables of all words' scores in float32 that are there while words are drawn."""


@dataclass(frozen=True)
class Phase:
    """Something that is done once a rollout."""

    activations: int
    """Bytes that are alive at its highest point, beside all weights."""
    work: Work
    """What it computes for all answers of a rollout."""
    half: Half | None
    """What products are computed in."""


def look(fake: FakeModel, task: Task, batch: Batch, half: Half | None, *, times: float = 1.0) -> Phase:
    """A pass over a batch, and so many like it."""
    from weitiao.forecast.step_memory import gone_through

    model = fake.loaded.model
    alive = gone_through(
        fake, half, lambda: task.loss(model, batch) if task.generates else model(**batch.inputs)
    )
    return Phase(alive.peak["activations"] + alive.peak["copies"], alive.work.times(times, calls=times), half)


@dataclass
class Rollout:
    """One process's part of a rollout."""

    settings: Train
    task: Sampling
    fake: FakeModel
    others: Others
    prompts: Sequence[Example]
    """That are looked at."""

    @property
    def answers(self) -> int:
        """How many are drawn, given or rated."""
        settings = self.settings
        return settings.per_device_train_batch_size * settings.gradient_accumulation_steps

    @cached_property
    def phases(self) -> list[Phase]:
        """All that a rollout asks, in order."""
        return [self.drawing, *self.scoring, *self.rating]

    @cached_property
    def drawing(self) -> Phase:
        """Words one after the other, with what is kept of all before them."""
        return self._drawn(each=self.task.draws)

    @cached_property
    def answering(self) -> Phase:
        """The same of validation rows, of which no two are equal."""
        return self._drawn(each=1)

    def _drawn(self, *, each: int) -> Phase:
        from weitiao.forecast.step_memory import gone_through
        from weitiao.models.decoding.together import Together
        from weitiao.train.pace import Work

        loaded, settings = self.fake.loaded, self.settings
        new, begun = self.task.drawing()["max_new_tokens"], self._longest
        tokens = KEPT_PER_TRAINED * settings.per_device_train_batch_size
        rows = max(1, min(self.answers, settings.per_device_eval_batch_size, tokens))
        prompts = [[place // each] * begun for place in range(rows)]
        kept, words = 0, 0
        together = Together(loaded.model, padding=0)

        def join() -> None:
            nonlocal words
            words = together.join(range(rows), prompts).shape[-1]

        def step() -> None:
            nonlocal kept
            together.step([0] * rows)
            kept = together.kept

        reading = gone_through(self.fake, settings.half, join)
        # Half of the answer is there on average.
        together = Together(loaded.model, padding=0)
        prompts = [[*prompt, *[0] * (new // 2)] for prompt in prompts]
        gone_through(self.fake, settings.half, join)
        speaking = gone_through(self.fake, settings.half, step)
        tables = Work(moved=4 * 4 * TABLES * rows * words)
        most = speaking.peak["activations"] + kept * (begun + new) // (begun + new // 2)
        share = self.task.own_share
        calls = share * self.answers / rows
        work = reading.work.times(calls * self._usual / begun, calls=calls)
        work += (speaking.work + tables).times(calls * new, calls=calls * new)
        peak = max(reading.peak["activations"], most + 4 * TABLES * rows * words)
        return Phase(peak + speaking.peak["copies"], work, settings.half)

    @cached_property
    def scoring(self) -> list[Phase]:
        """How likely answers are, to everybody who is asked."""
        task, settings = self.task, self.settings
        narrowed = bool(task.drawing()["top_k"] or task.drawing()["top_p"])
        known = not narrowed and settings.half is None and {*task.says} == {"logps"}
        found = []
        for voice in task.asks:
            if voice == "policy" and known:
                continue
            other = (self.others.helper or self.others.start) if voice == "reference" else None
            fake, half = (other.fake, other.half) if other else (self.fake, settings.half)
            rows = min(self.answers, settings.per_device_eval_batch_size)
            batch = self._written(fake, rows)
            size = (self._usual + self._new) / (self._longest + self._new)
            found.append(look(fake, task, batch, settings.half, times=size * self.answers / rows))
        return found

    @cached_property
    def rating(self) -> list[Phase]:
        """What answers are worth, to models that say so."""
        return [self._rated(other) for other in self.others.raters]

    def _rated(self, other: Other) -> Phase:
        known, loaded = other.known, other.fake.loaded
        assert known  # whoever rates says how it reads
        rows = min(self.answers, known.rows)
        read, most = self.fake.loaded.processor, min(loaded.limit, known.longest or loaded.limit)
        limit = most - (known.method.positions if known.method else 0)
        prompt = read.decode(self.task.prompt(self._heaviest), skip_special_tokens=True)
        words = read.decode(self._answer(self._heaviest), skip_special_tokens=True)
        one = Answered([{"role": "user", "content": prompt}], words)
        batch = loaded.collate(known.task)(known.read([one] * rows, loaded.processor, limit), range(rows))
        return look(other.fake, known.task, batch, other.half, times=self.answers / rows)

    def _written(self, fake: FakeModel, rows: int) -> Batch:
        examples = [self.task.stand_in(self._heaviest, place) for place in range(rows)]
        return fake.loaded.collate(self.task)(examples, range(rows))

    def _answer(self, prompt: Example) -> list[int]:
        example = self.task.stand_in(prompt, 0)
        return [int(token) for token in example.inputs["input_ids"]][-self._new :]

    @property
    def _new(self) -> int:
        longest: int = self.task.drawing()["max_new_tokens"]
        return longest

    @cached_property
    def _heaviest(self) -> Example:
        return self.prompts[max(range(len(self.prompts)), key=self._sizes.__getitem__)]

    @property
    def _longest(self) -> int:
        return max(1, *self._sizes)

    @property
    def _usual(self) -> float:
        return sum(self._sizes) / len(self._sizes)

    @cached_property
    def _sizes(self) -> list[int]:
        return [len(self.task.prompt(prompt)) for prompt in self.prompts]
