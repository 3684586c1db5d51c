"""A classifier as a reward: how likely it thinks that the answer has a label.

    task.rewards: [{name: classifier, path: runs/sentiment, label: positive}]

The answer alone is read (behind the prompt, where the run has learnt pairs of texts), as in that run, in its precision; or by
any model that Transformers opens for sequence classification, with the labels of its `config.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.core import registry
from weitiao.core.contracts import AskedModel, Rate, Reward
from weitiao.core.errors import did_you_mean, fault
from weitiao.core.registry import register
from weitiao.core.run import RunFolder, open_run
from weitiao.core.why import reason
from weitiao.tasks.parts.rating_model import ROWS, Open, RatingModel, texts, tuned

if TYPE_CHECKING:
    from weitiao.models.load import Loaded


@register("reward", "classifier")
@dataclass(frozen=True)
class Classifier(Reward):
    """What a classifier says."""

    path: str
    """A finished run that learnt one label a text (task `text_classification`), or a folder, name or hub id of a model with
    labels."""
    label: str
    """The label that is wanted: its probability is the reward."""

    summary: ClassVar[str] = "how likely a classifier finds a label of the answer, 0 to 1"

    def ready(self) -> Rate:
        """Weights are read when the first answer is rated.  Raises `wrong_value` for a model without that label, or a run of
        another task; `unfinished_run`, and what opening raises."""
        return RatingModel(*self._model(), self._worth).rate

    def asks(self) -> AskedModel:
        """The model."""
        return self._model()[0]

    def _worth(self, told: Mapping[str, Any]) -> float:
        return float(told["scores"][self.label])

    def _model(self) -> tuple[AskedModel, Open]:
        if (Path(self.path) / "recipe.yaml").is_file():
            return self._of_run(open_run(self.path))
        from weitiao.models import labels

        task = registry.build(
            "task", {"name": "text_classification", "labels": self._known(labels.outputs(self.path))}
        )

        def opened() -> Loaded:
            from weitiao.models import stored
            from weitiao.models.load import pick_device
            from weitiao.models.store import open_base

            loaded = open_base(self.path, task, device=pick_device())
            # Outputs that the files do not hold are drawn at random, and say anything.
            if drawn := sorted(loaded.head - stored.kinds(loaded.source).keys()):
                why = reason("outputs_not_saved", names=", ".join(drawn[:3]))
                raise fault("wrong_value", key="task.rewards.path", value=self.path, why=why)
            return loaded

        return AskedModel(self.path, task, None, None, ROWS, None, texts(task, pair=False)), opened

    def _of_run(self, folder: RunFolder) -> tuple[AskedModel, Open]:
        from weitiao.models.store import read_card

        card = read_card(folder.model)
        named = card["task"]
        if named["name"] != "text_classification":
            why = reason("no_label_model", task=named["name"])
            raise fault("wrong_value", key="task.rewards.path", value=self.path, why=why)
        self._known(named["labels"])
        task = registry.build("task", named)
        return tuned(folder, task, texts(task, pair="text_pair" in card["columns"]))

    def _known(self, labels: Sequence[str]) -> list[str]:
        if self.label not in labels:
            hint, known = did_you_mean(self.label, labels), ", ".join(labels) or "-"
            why = reason("not_its_label", model=self.path, known=known, hint=hint)
            raise fault("wrong_value", key="task.rewards.label", value=self.label, why=why)
        return list(labels)
