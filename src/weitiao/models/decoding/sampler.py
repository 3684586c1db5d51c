"""Who draws answers: this engine, or another that gives the log-probability of every token it drew.

OwnSampler.of(model, processor, longest=512).sample(prompts, Decoding(sample=True, seed=0, ...))  ->  (row, Answer) as rows end
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from weitiao.models.decoding.answers import Answer, Decoding
from weitiao.models.decoding.turns import decode
from weitiao.models.decoding.ways import Way, measure


class Sampler(Protocol):
    """Draws answers.  What it draws is a matter of the seed and each row's number: a run that is resumed asks again."""

    def sample(
        self, prompts: Sequence[Sequence[int]], asked: Decoding, *, numbers: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """An answer to every prompt, with its place among them, in any order; `logps` of each as `Answer` says.

        Args:
            prompts: token ids; one that is wanted several times stands there several times.
            asked: how answers are drawn.
            numbers: of the rows, on which draws depend; default: their places.
        """


@dataclass(frozen=True)
class OwnSampler:
    """The model as it stands now, in the precision of the caller; it is to be in evaluation mode."""

    model: Any
    way: Way
    """Which rows may be continued together."""

    @classmethod
    def of(cls, model: Any, processor: Any, *, longest: int) -> OwnSampler:
        """Measures what a model can do (`ways`), once; its weights may change.

        Args:
            model: on its device, with whatever a method has put into it.
            processor: its tokenizer.
            longest: tokens of the longest row that it will read, answer included.
        """
        return cls(model, measure(model, processor, longest=longest))

    def sample(
        self, prompts: Sequence[Sequence[int]], asked: Decoding, *, numbers: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """As `Sampler`.

        Raises:
            RuntimeError: or MemoryError, when there is not memory enough for a single row.
            WeitiaoError: `no_numbers`, where scores are none.
        """
        return decode(self.model, prompts, asked, way=self.way, numbers=numbers)
