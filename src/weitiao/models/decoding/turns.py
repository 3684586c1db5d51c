"""Prompts in, answers out, as many at a time as there is room for.

    decode(model, [[5, 6, 7], [8]], Decoding(...), way=Way.RAGGED)  ->  (1, Answer), (0, Answer)

    turns = Turns(model, way=Way.RAGGED, padding=0, rows=16, tokens=4096)
    turns.add(Row(0, [5, 6, 7], Decoding(...), 0))              a prompt, at any time
    turns.turn()                                            ->  what every row that was asked said: a token, or its end

The longest prompts go first, equal ones behind each other, so that one that is to be answered several times is read
once.  A row that has ended leaves, and when a quarter of the room is free others join.  Where
memory runs out, the rows that were there begin again where they stood, half as many at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from weitiao.models.decoding.alone import alone
from weitiao.models.decoding.answers import Answer, Decoding, Ending
from weitiao.models.decoding.draws import draw
from weitiao.models.decoding.grammar import Guide
from weitiao.models.decoding.prefixes import Prefixes
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
    beside: Callable[[int], Mapping[str, Any]] | None = None,
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
        beside: the place of a prompt -> tensors that the model reads beside its words, if any; such rows go one after the other.

    Raises:
        RuntimeError: or MemoryError, when there is not memory enough for a single row.
        WeitiaoError: `no_numbers`, where words are drawn by scores that are none.
    """
    todo = []
    for place, prompt in enumerate(prompts):
        own = place if numbers is None else numbers[place]
        if shown := beside(place) if beside and prompt and asked.room(len(prompt)) else {}:
            yield place, alone(model, prompt, asked, number=own, streamer=streamer, beside=shown)
        elif prompt and asked.room(len(prompt)):
            todo.append(Row(place, list(prompt), asked, own))
        else:
            yield place, Answer()
    if way is Way.ALONE:
        for each in todo:
            yield each.name, alone(model, each.ids, asked, number=each.number, streamer=streamer)
        return
    turns = Turns(model, way=way, padding=asked.padding, rows=asked.rows, tokens=asked.tokens)
    for each in sorted(todo, key=_turn):
        turns.add(each)
    while turns.busy:
        for said in turns.turn():
            if said.answer:
                yield said.row.name, said.answer


@dataclass
class Row:
    """A prompt, and what has been said after it."""

    name: int
    ids: list[int]
    """Prompt and answer so far."""
    asked: Decoding
    """How its answer is made; `rows`, `tokens` and `padding` are those of all."""
    number: int
    """What its draws depend on, beside the seed."""
    logps: list[float] = field(default_factory=list)
    prompt: int = field(init=False)
    """Tokens of the prompt."""
    guide: Guide | None = field(init=False)
    """Where its answer stands in its form, where it has one."""

    def __post_init__(self) -> None:
        self.prompt = len(self.ids)
        self.guide = Guide(self.asked.grammar) if self.asked.grammar else None

    @property
    def made(self) -> int:
        """Tokens of the answer so far."""
        return len(self.ids) - self.prompt

    @property
    def most(self) -> int:
        """Tokens that it may come to have."""
        return self.prompt + self.asked.room(self.prompt)


@dataclass(frozen=True)
class Said:
    """What a turn has brought a row."""

    row: Row
    token: int
    scores_V: Tensor
    """What it was chosen by."""
    answer: Answer | None
    """All of it, where this has ended it."""


class Turns:
    """Who is asked when: rows come at any time, and leave when they have ended or nobody listens any more.

    Args:
        model: a language model in evaluation mode.
        way: which rows may be continued together (`measure`), not `ALONE`.
        padding: what short rows are filled up with.
        rows: those that share a pass, at most.
        tokens: those that are kept at once, at most.
        waits: do rows wait until several of them can join together?  That takes the least time for all of them; else
            each has its first word soonest.
        remembered: tokens of ended rows that are kept for prompts that begin as they did (`Prefixes`), at most.
    """

    def __init__(
        self,
        model: Any,
        *,
        way: Way,
        padding: int,
        rows: int,
        tokens: int,
        waits: bool = True,
        remembered: int = 0,
    ) -> None:
        self.model, self.way, self.padding = model, way, padding
        self.rows, self.tokens, self.waits = rows, tokens, waits
        self.waiting: deque[Row] = deque()
        self.active: dict[int, Row] = {}
        # Rows of one length alone cannot go on beside one that was read in two parts.
        self._prefixes = Prefixes(remembered if way is Way.RAGGED else 0)
        self._together = Together(model, padding=padding, prefixes=self._prefixes)

    @property
    def busy(self) -> bool:
        """Is there anybody who has not ended?"""
        return bool(self.waiting or self.active)

    def add(self, row: Row) -> None:
        """One more, behind all others; its prompt is not empty, and there is room for an answer."""
        self.waiting.append(row)

    def drop(self, name: int) -> None:
        """Let a row go before it has ended."""
        if row := self.active.pop(name, None):
            self._together.keep({name: row.ids})
            self._together.leave([name])
        else:
            self.waiting = deque(row for row in self.waiting if row.name != name)

    def turn(self) -> list[Said]:
        """One pass: those that join, or one more token of all that are there; nothing where memory ran out, and the next
        turn asks fewer.

        Raises:
            RuntimeError: or MemoryError, when there is not memory enough for a single row.
            WeitiaoError: `no_numbers`, where words are drawn by scores that are none.
        """
        coming = self._coming()
        self.active |= {row.name: row for row in coming}
        try:
            if coming:
                names = [row.name for row in coming]
                scores_NV = self._together.join(names, [row.ids for row in coming])
            else:
                names = self._together.names
                scores_NV = self._together.step([self.active[name].ids[-1] for name in names])
            found = self._heard(names, scores_NV)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error) or len(self.active) == 1:
                raise
            self._begin_again()
            return []
        ended = {said.row.name: said.row.ids for said in found if said.answer}
        self._together.keep(ended)
        self._together.leave([*ended])
        return found

    def _heard(self, names: Sequence[int], scores_NV: Tensor) -> list[Said]:
        """Write down what is said; who has ended."""
        # Drawn before anything is written: who begins again must find every row as it was.
        chosen = self._chosen(names, scores_NV)
        found = []
        for place, name in enumerate(names):
            row, (token, logps) = self.active[name], chosen[name]
            row.logps += logps
            ending: Ending | None = "end"
            if token not in row.asked.stops:
                row.ids.append(token)
                if row.guide:
                    row.guide.took(token)
                ending = None
                if row.made >= row.asked.room(row.prompt):
                    ending = "length" if row.made == row.asked.max_new_tokens else "full"
            answer = None
            if ending:
                del self.active[name]
                end = token if ending == "end" else None
                answer = Answer(row.ids[row.prompt :], ending, end, row.logps)
            found.append(Said(row, token, scores_NV[place], answer))
        return found

    def _chosen(self, names: Sequence[int], scores_NV: Tensor) -> dict[int, tuple[int, list[float]]]:
        """The next token of each, and where it is drawn its log-probability."""
        scores_NV = self._narrowed(names, scores_NV)
        alike: dict[Decoding | None, list[int]] = {}
        for place, name in enumerate(names):
            asked = self.active[name].asked
            alike.setdefault(asked if asked.sample else None, []).append(place)
        chosen: dict[int, tuple[int, list[float]]] = {}
        for one, places in alike.items():
            theirs_NV = scores_NV if len(places) == len(names) else scores_NV[places]
            if one is None:
                told = [(token, list[float]()) for token in theirs_NV.argmax(-1).tolist()]
            else:
                rows = [self.active[names[place]] for place in places]
                drawn = draw(theirs_NV, one, [(row.number, row.made) for row in rows], self.model)
                told = [(token, [logp]) for token, logp in zip(*(d.tolist() for d in drawn), strict=True)]
            chosen |= zip([names[place] for place in places], told, strict=True)
        return chosen

    def _narrowed(self, names: Sequence[int], scores_NV: Tensor) -> Tensor:
        """The scores of words that may come next in an answer that has a form, -inf for others; as it was, where none has."""
        guides = {place: guide for place, name in enumerate(names) if (guide := self.active[name].guide)}
        if guides:
            scores_NV = scores_NV.clone()
        for place, guide in guides.items():
            scores_NV[place] = guide.narrowed(scores_NV[place])
        return scores_NV

    def _coming(self) -> list[Row]:
        """Those that join now; as long as little room is free they may wait, for each time costs a pass of its own."""
        if self.active and self.way is Way.ALIKE:
            return []
        found: list[Row] = []
        most = max((row.most for row in self.active.values()), default=0)
        for row in self.waiting:
            rows = len(self.active) + len(found) + 1
            most = max(most, row.most)
            if rows > self.rows or (rows > 1 and rows * most > self.tokens):
                break
            if self.way is Way.ALIKE and found and len(row.ids) != len(found[0].ids):
                break
            found.append(row)
        if self.waits and 3 * len(found) < len(self.active):
            return []
        for _ in found:
            self.waiting.popleft()
        return found

    def _begin_again(self) -> None:
        """Half as many, where they stood: what was being written for them may be half written."""
        self.rows = max(1, len(self.active) // 2)
        # What was said is read as if it had been asked.
        self.waiting = deque(sorted([*self.active.values(), *self.waiting], key=_turn))
        self.active = {}
        del self._together
        self._prefixes.forget()
        give_back(next(self.model.parameters()).device.type)
        self._together = Together(self.model, padding=self.padding, prefixes=self._prefixes)


def _turn(row: Row) -> tuple[int, list[int]]:
    """The longest first; equal ones behind each other."""
    return -len(row.ids), row.ids
