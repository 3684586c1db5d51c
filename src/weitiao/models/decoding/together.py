"""Rows that are continued together: each joins with its prompt, gets a token a step, and leaves when it has ended.

    rows = Together(model, padding=0)
    rows.join(["a", "b"], [[5, 6, 7], [8]])     ->  scores (2, V) of what follows each
    rows.step([9, 4])                           ->  scores (2, V), in the order of `rows.names`
    rows.leave(["a"])

What was read of rows that end may be kept (`Prefixes`); a prompt that begins as one of them reads only what is new.
Shorter rows are filled up on the left and masked; every token keeps the position that it has when the row is alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache

from weitiao.models import inputs
from weitiao.models.decoding.prefixes import Layers, Prefixes
from weitiao.models.decoding.slots import Slots


class Together:
    """The rows that share a pass, and what is kept of them."""

    def __init__(self, model: Any, *, padding: int, prefixes: Prefixes | None = None):
        self.model, self.padding, self.prefixes = model, padding, prefixes or Prefixes()
        self.names: list[Any] = []
        """Whose rows these are, in the order of their scores."""
        self.sizes: list[int] = []
        """Tokens of each."""
        self._cache = Cache(layer_class_to_replicate=Slots)
        self._slots: list[Slots] = []
        """Its layers."""
        self._before = 0
        """Columns that a method has put before every row (a learnt prompt)."""
        self._counts = inputs.takes(model, "position_ids")
        self._last = {"logits_to_keep": 1} if inputs.takes(model, "logits_to_keep") else {}
        self._device = next(model.parameters()).device

    @property
    def kept(self) -> int:
        """Bytes of keys and values."""
        return sum(slots.held_bytes for slots in self._slots)

    def join(self, names: Sequence[Hashable], prompts: Sequence[Sequence[int]]) -> Tensor:
        """Take in further rows; scores (N, V) of the token that follows each.  Equal prompts are read once."""
        begun = [self.prefixes.found(prompt) for prompt in prompts]
        parts = [[place] for place, (size, _) in enumerate(begun) if size]
        if fresh := [place for place, (size, _) in enumerate(begun) if not size]:
            parts.append(fresh)
        found: list[Tensor] = []
        for part in parts:
            size, layers = begun[part[0]]
            asked = [prompts[place] for place in part]
            found += self._go_on(asked[0], size, layers) if size else self._all(asked)
            self.names += [names[place] for place in part]
            self.sizes += [len(prompt) for prompt in asked]
        order = [place for part in parts for place in part]
        return torch.stack([found[order.index(place)] for place in range(len(prompts))])

    def _all(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Prompts of which nothing is known."""
        places_of: dict[tuple[int, ...], int] = {}
        of = [places_of.setdefault(tuple(prompt), len(places_of)) for prompt in prompts]
        return self._read([*places_of], of)

    def _go_on(self, prompt: Sequence[int], size: int, layers: Layers) -> Tensor:
        """A prompt of which so many tokens have been read before."""
        fresh = DynamicCache()
        for place, (keys, values) in enumerate(layers):
            fresh.update(keys, values, place)
        scores = self._ask([prompt[size:]], [[*range(size, len(prompt))]], [len(prompt)], fresh)
        self._take_in(fresh, [len(prompt)], [0])
        return scores

    def keep(self, rows: Mapping[Any, Sequence[int]]) -> None:
        """What was read of rows that are about to leave, by their tokens; a learnt prompt before them is not kept."""
        if self._before or not self.prefixes.most:
            return
        for name, ids in rows.items():
            place = self.names.index(name)
            size = self.sizes[place]
            self.prefixes.keep(ids[:size], [slots.kept(place, size) for slots in self._slots])

    def _read(self, prompts: Sequence[Sequence[int]], of: Sequence[int]) -> Tensor:
        """Prompts that differ; every row takes what is kept of one `of` them."""
        sizes = [len(prompt) for prompt in prompts]
        longest = max(sizes)
        ids = [[self.padding] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        places = [[max(0, t - longest + size) for t in range(longest)] for size in sizes]
        # Without a configuration every layer keeps all that it has seen, those with a window too.
        fresh = DynamicCache()
        scores = self._ask(ids, places, sizes, fresh)
        self._before = fresh.get_seq_length() - longest
        self._take_in(fresh, [size + self._before for size in sizes], of)
        return scores if len(of) == len(prompts) else scores[list(of)]

    def _take_in(self, fresh: DynamicCache, held: Sequence[int], of: Sequence[int]) -> None:
        if not self._slots:
            self._slots = [Slots() for _ in fresh.layers]
            self._cache.layers = [*self._slots]
        prefilled: list[Any] = fresh.layers
        for slots, new in zip(self._slots, prefilled, strict=True):
            slots.take_in(new.keys, new.values, held, of)

    def step(self, tokens: Sequence[int]) -> Tensor:
        """One more token in every row; scores (B, V) of the one that follows."""
        places, self.sizes = self.sizes, [size + 1 for size in self.sizes]
        return self._ask([[each] for each in tokens], [[each] for each in places], self.sizes, self._cache)

    def leave(self, names: Sequence[Hashable]) -> None:
        """Let rows go; the last ones take their places."""
        going = set(names)
        staying = [place for place, name in enumerate(self.names) if name not in going]
        if not staying:
            self.names, self.sizes, self._slots = [], [], []
            self._cache = Cache(layer_class_to_replicate=Slots)
            return
        holes = [place for place in range(len(staying)) if self.names[place] in going]
        moves = list(zip([place for place in staying if place >= len(staying)], holes, strict=True))
        for source, goal in moves:
            self.names[goal], self.sizes[goal] = self.names[source], self.sizes[source]
        del self.names[len(staying) :], self.sizes[len(staying) :]
        for slots in self._slots:
            slots.leave(moves, len(staying), self._before + max(self.sizes))

    def _ask(
        self,
        ids: Sequence[Sequence[int]],
        places: Sequence[Sequence[int]],
        sizes: Sequence[int],
        cache: Cache,
    ) -> Tensor:
        words: dict[str, Any] = {"input_ids": torch.tensor(ids, device=self._device)}
        if self._counts:
            words["position_ids"] = torch.tensor(places, device=self._device)
        columns = max(sizes)
        if min(sizes) < columns:  # else nothing is masked, and attention is faster without a mask
            unused = columns - torch.tensor(sizes, device=self._device)
            words["attention_mask"] = (torch.arange(columns, device=self._device) >= unused[:, None]).long()
        said = self.model(**words, **self._last, past_key_values=cache, use_cache=True)
        return said.logits[:, -1].float()
