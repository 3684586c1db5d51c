"""A reward model that was learnt here: what a run of the task `reward`, or one that learnt ratings, says of an answer.

    task.rewards: [{name: reward_model, run: runs/kinder}]

Prompt and answer are read as in that run, in its precision, and the number is the one that its `predict` gives.  Ratings are
learnt by `text_regression`: the prompt is its `text`, the answer its `text_pair`; or the answer alone, where it learnt that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from weitiao.core import registry
from weitiao.core.contracts import Answered, AskedModel, Example, Rate, Record, Reward
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.run import open_run
from weitiao.core.why import reason
from weitiao.data.formats import Unusable
from weitiao.tasks.parts.rating_model import Open, RatingModel, texts, tuned


@register("reward", "reward_model")
@dataclass(frozen=True)
class RewardModel(Reward):
    """What a reward model says."""

    run: str
    """The folder of a finished run of the task `reward`, or of `text_regression` on ratings."""

    summary: ClassVar[str] = "what a run of the task `reward`, or one that learnt ratings, says of the answer"

    def ready(self) -> Rate:
        """Weights are read when the first answer is rated.  Raises `wrong_value` for a run of another task, `no_run`,
        `unfinished_run`."""
        known, opened = self._model()
        said = "number" if "number" in known.task.predicts else "reward"
        return RatingModel(known, opened, lambda told: float(told[said])).rate

    def asks(self) -> AskedModel:
        """The model of the run."""
        return self._model()[0]

    def _model(self) -> tuple[AskedModel, Open]:
        from weitiao.models.store import read_card

        folder = open_run(self.run)
        card = read_card(folder.model)
        named = card["task"]
        if named["name"] not in ("reward", "text_regression"):
            why = reason("no_reward_model", task=named["name"])
            raise fault("wrong_value", key="task.rewards.run", value=self.run, why=why)
        task = registry.build("task", named)
        if named["name"] == "text_regression":
            return tuned(folder, task, texts(task, pair="text_pair" in card["columns"]))

        def read(answers: Sequence[Answered], processor: Any, limit: int) -> list[Example]:
            rows = (Record("", nth, {"messages": _turns(one)}) for nth, one in enumerate(answers, start=1))
            examples = list(task.encode(rows, processor, limit=limit))
            for example in examples:
                if example.refused or not example.trained:
                    length = len(example) + example.tokens_lost
                    raise Unusable(example.refused or reason("no_word_left", length=length, limit=limit))
            return examples

        return tuned(folder, task, read)


def _turns(one: Answered) -> list[dict[str, Any]]:
    """Of the prompt no answer is judged."""
    asked = [{**turn, "weight": 0} if turn["role"] == "assistant" else {**turn} for turn in one.prompt]
    return [*asked, {"role": "assistant", "content": one.answer}]
