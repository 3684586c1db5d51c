"""The model of a run that is finished, for whoever asks it something of their own: a reward, a metric.

finished(run)  ->  Finished(ref, method, ...)  ->  opened(task)  ->  Loaded, as the run itself reads it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Method, Task
from weitiao.core.run import RunFolder
from weitiao.models import bases, store

if TYPE_CHECKING:
    from weitiao.models.load import Loaded
    from weitiao.models.precision import Half


@dataclass(frozen=True)
class Finished:
    """What is known of it before it is opened."""

    folder: RunFolder
    ref: str
    """What is opened: the tuned model where it is whole, else its base."""
    method: Method
    card: Mapping[str, Any]
    """Of its model (`store.read_card`)."""

    @property
    def half(self) -> Half | None:
        """What it computes in, where that is not float32."""
        half: Half | None = self.folder.recipe.train.half
        return half

    @property
    def longest(self) -> int | None:
        """Tokens of a row that it reads, where the recipe says so."""
        longest: int | None = self.folder.recipe.data.max_length
        return longest

    def opened(self, task: Task) -> Loaded:
        """Its model, where this machine computes.

        Raises:
            WeitiaoError: what opening raises.
        """
        from weitiao.models.load import pick_device

        return store.load_tuned(
            self.folder.model,
            ref=self.folder.recipe.model,
            task=task,
            method=self.method,
            half=self.half,
            device=pick_device(),
            seed=self.folder.recipe.seed,
            longest=self.longest,
        )


def finished(folder: RunFolder) -> Finished:
    """The model of a finished run.

    Raises:
        WeitiaoError: `base_gone`, `wrong_base`, `unfinished_run`, `broken_model`.
    """
    card = store.read_card(folder.model)
    method = registry.build("method", card["method"])
    whole = method.layout == "pretrained"
    ref = str(folder.model) if whole else bases.found(folder.path, card["base"], ref=folder.recipe.model)
    return Finished(folder, ref, method, card)
