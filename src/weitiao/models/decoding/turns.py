"""Prompts in, answers out, as many at a time as there is room for.

    decode(model, [[5, 6, 7], [8]], Decoding(...), way=Way.RAGGED)  ->  (1, Answer), (0, Answer)

The longest prompts go first, equal ones behind each other, so that one that is to be answered several times is read
once.  A row that has ended leaves, and when a quarter of the room is free others join.  Where
memory runs out, the rows that were there begin again where they stood, half as many at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from weitiao.models.decoding.alone import alone
from weitiao.models.decoding.answers import Answer, Decoding, Ending
from weitiao.models.decoding.draws import draw
from weitiao.models.decoding.together import Together
from weitiao.models.decoding.ways import Way
from weitiao.models.memory_ran_out import give_back, ran_out


@torch.no_grad()
def decode(
    model: Any,
    prompts: Sequence[Sequence[int]],
    asked: Decoding,
    *,
    way: Way,
    numbers: Sequence[int] | None = None,
    streamer: Any = None,
) -> Iterator[tuple[int, Answer]]:
    """The answer to every prompt, with its place among them, in the order in which they end.

    Without gradients, in the precision of the caller.  What is drawn for a row depends on the seed and its number alone.

    Args:
        model: a language model in evaluation mode.
        prompts: token ids.
        asked: how answers are made.
        way: which rows may be continued together (`measure`).
        numbers: of the rows, on which draws depend; default: their places.
        streamer: hears the tokens of rows that are answered one after the other.

    Raises:
        RuntimeError: or MemoryError, when there is not memory enough for a single row.
        WeitiaoError: `no_numbers`, where words are drawn by scores that are none.
    """
    todo = []
    for row, prompt in enumerate(prompts):
        if prompt and asked.room(len(prompt)):
            todo.append(_Row(row, list(prompt), len(prompt), row if numbers is None else numbers[row]))
        else:
            yield row, Answer()
    if way is Way.ALONE:
        for each in todo:
            yield each.row, alone(model, each.ids, asked, number=each.number, streamer=streamer)
        return
    yield from _Turns(model, asked, way, todo).run()


@dataclass
class _Row:
    row: int
    ids: list[int]
    """Prompt and answer so far."""
    prompt: int
    """Tokens of the prompt."""
    number: int
    """What its draws depend on."""
    logps: list[float] = field(default_factory=list)

    @property
    def made(self) -> int:
        """Tokens of the answer so far."""
        return len(self.ids) - self.prompt

    def most(self, asked: Decoding) -> int:
        """Tokens that it may come to have."""
        return self.prompt + asked.room(self.prompt)


class _Turns:
    """Who is asked when."""

    def __init__(self, model: Any, asked: Decoding, way: Way, todo: list[_Row]):
        self.model, self.asked, self.way = model, asked, way
        self.waiting = deque(sorted(todo, key=_turn))
        self.active: dict[int, _Row] = {}

    def run(self) -> Iterator[tuple[int, Answer]]:
        """Rows as they end."""
        together = Together(self.model, padding=self.asked.padding)
        while self.waiting or self.active:
            coming = self._coming()
            self.active |= {row.row: row for row in coming}
            try:
                if coming:
                    names = [row.row for row in coming]
                    scores = together.join(names, [row.ids for row in coming])
                else:
                    names = [int(str(name)) for name in together.names]
                    scores = together.step([self.active[name].ids[-1] for name in names])
                tokens, logps = self._chosen(names, scores)
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error) or len(self.active) == 1:
                    raise
                self._begin_again()
                del together
                give_back(next(self.model.parameters()).device.type)
                together = Together(self.model, padding=self.asked.padding)
                continue
            ended = list(self._heard(names, tokens, logps))
            together.leave([row for row, _ in ended])
            yield from ended

    def _chosen(self, names: Sequence[int], scores_NV: Tensor) -> tuple[list[int], list[list[float]]]:
        """The next token of each, and where it is drawn its log-probability."""
        if not self.asked.sample:
            return scores_NV.argmax(-1).tolist(), [[]] * len(names)
        places = [(self.active[name].number, self.active[name].made) for name in names]
        tokens_N, logps_N = draw(scores_NV, self.asked, places, self.model)
        return tokens_N.tolist(), logps_N[:, None].tolist()

    def _heard(
        self, names: Sequence[int], tokens: Sequence[int], logps: Sequence[list[float]]
    ) -> Iterator[tuple[int, Answer]]:
        """Write down what was said; who has ended."""
        for name, token, logp in zip(names, tokens, logps, strict=True):
            row = self.active[name]
            row.logps += logp
            ending: Ending = "end"
            if token not in self.asked.stops:
                row.ids.append(token)
                if row.made < self.asked.room(row.prompt):
                    continue
                ending = "length" if row.made == self.asked.max_new_tokens else "full"
            del self.active[name]
            end = token if ending == "end" else None
            yield name, Answer(row.ids[row.prompt :], ending, end, row.logps)

    def _coming(self) -> list[_Row]:
        """Those that join now: none as long as little room is free, for each time costs a pass of its own."""
        if self.active and self.way is Way.ALIKE:
            return []
        found: list[_Row] = []
        most = max((row.most(self.asked) for row in self.active.values()), default=0)
        for row in self.waiting:
            rows = len(self.active) + len(found) + 1
            most = max(most, row.most(self.asked))
            if rows > self.asked.rows or (rows > 1 and rows * most > self.asked.tokens):
                break
            if self.way is Way.ALIKE and found and len(row.ids) != len(found[0].ids):
                break
            found.append(row)
        if 3 * len(found) < len(self.active):
            return []
        for _ in found:
            self.waiting.popleft()
        return found

    def _begin_again(self) -> None:
        """Half as many, where they stood: what was being written for them may be half written."""
        self.asked = replace(self.asked, rows=max(1, len(self.active) // 2))
        # What was said is read as if it had been asked.
        self.waiting = deque(sorted([*self.active.values(), *self.waiting], key=_turn))
        self.active = {}


def _turn(row: _Row) -> tuple[int, list[int]]:
    """The longest first; equal ones behind each other."""
    return -len(row.ids), row.ids
