"""A reward model that was learnt here: what a run of the task `reward` says of an answer.

    task.rewards: [{name: reward_model, run: runs/kinder}]

Prompt and answer are read as in that run, in its precision, and the number is the one that its `predict` gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.core import registry
from weitiao.core.contracts import Answered, Rate, Record, Reward
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.run import RunFolder, open_run
from weitiao.core.why import reason
from weitiao.data.formats import Unusable
from weitiao.data.pack import in_order

if TYPE_CHECKING:
    from weitiao.core.contracts import Method, Task
    from weitiao.models.load import Loaded

ROWS = 32
"""Answers that share a pass, at most."""


@register("reward", "reward_model")
@dataclass(frozen=True)
class RewardModel(Reward):
    """What a reward model says."""

    run: str
    """The folder of a finished run of the task `reward`."""

    summary: ClassVar[str] = "what a run of the task `reward` says of the answer"

    def ready(self) -> Rate:
        """Weights are read when the first answer is rated.  Raises `wrong_value` for a run of another task, `no_run`,
        `unfinished_run`."""
        from weitiao.models.store import read_card

        folder = open_run(self.run)
        named = read_card(folder.model)["task"]
        if named["name"] != "reward":
            why = reason("no_reward_model", task=named["name"])
            raise fault("wrong_value", key="task.rewards.run", value=self.run, why=why)
        return _Model(folder, registry.build("task", named)).rate


@dataclass
class _Model:
    """The model of a run, opened when it is first asked."""

    folder: RunFolder
    task: Task

    def rate(self, answers: Sequence[Answered]) -> list[float]:
        """The reward of each.

        Raises:
            Unusable: where a prompt leaves no room for an answer.
        """
        import torch

        from weitiao.models.precision import autocast

        loaded, limit = self._loaded, self._limit
        rows = (Record("", nth, {"messages": _turns(one)}) for nth, one in enumerate(answers, start=1))
        examples = list(self.task.encode(rows, loaded.processor, limit=limit))
        for example in examples:
            if example.refused or not example.trained:
                length = len(example) + example.tokens_lost
                raise Unusable(example.refused or reason("no_word_left", length=length, limit=limit))
        found: dict[int, float] = {}
        device, collate = loaded.model.device.type, loaded.collate(self.task)
        with torch.inference_mode(), autocast(device, self.folder.recipe.train.half):
            for batch in in_order(
                examples, collate, batch_size=ROWS, max_tokens=ROWS * limit, layout=loaded.layout
            ):
                told = self.task.predict(loaded.model, batch.to(device))
                found |= {row: one["reward"] for row, one in zip(batch.rows, told, strict=True)}
        return [found[place] for place in range(len(answers))]

    @cached_property
    def _method(self) -> Method:
        from weitiao.models.store import read_card

        return registry.build("method", read_card(self.folder.model)["method"])

    @property
    def _limit(self) -> int:
        asked = self.folder.recipe.data.max_length or self._loaded.limit
        return min(self._loaded.limit, asked) - self._method.positions

    @cached_property
    def _loaded(self) -> Loaded:
        from weitiao.models.anatomy import cast_frozen
        from weitiao.models.load import pick_device
        from weitiao.models.store import load_tuned

        recipe = self.folder.recipe
        words: dict[str, Any] = {"half": recipe.train.half, "device": pick_device(), "seed": recipe.seed}
        words["longest"] = recipe.data.max_length
        loaded = load_tuned(self.folder.model, ref=recipe.model, task=self.task, method=self._method, **words)
        loaded.model.requires_grad_(False).eval()
        if recipe.train.half:
            cast_frozen(loaded.model, recipe.train.half)
        return loaded


def _turns(one: Answered) -> list[dict[str, Any]]:
    """Of the prompt no answer is judged."""
    asked = [{**turn, "weight": 0} if turn["role"] == "assistant" else {**turn} for turn in one.prompt]
    return [*asked, {"role": "assistant", "content": one.answer}]
