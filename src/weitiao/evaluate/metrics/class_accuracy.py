"""How often a classifier takes a drawn picture for what it was to show.

drawn pictures whose classifier says the words that they were asked for / drawn pictures
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from weitiao.core import registry
from weitiao.core.contracts import Record, Summed, Task, Told
from weitiao.core.errors import fault
from weitiao.core.registry import register
from weitiao.core.run import open_run
from weitiao.core.why import reason
from weitiao.evaluate.arrays import ratio

if TYPE_CHECKING:
    from weitiao.models.finished import Finished


@register("metric", "class_accuracy")
@dataclass(frozen=True)
class ClassAccuracy(Summed):
    """Of rows whose words are one of the classifier's labels."""

    classifier: str = ""
    """A finished run that learnt what is in pictures (task `image_classification`), of the same labels."""

    summary: ClassVar[str] = "share of drawn pictures that a classifier takes for what they were to show"
    source: ClassVar[str] = (
        "Ravuri and Vinyals 2019, arXiv 1905.10887 (classifiers that judge drawn pictures)"
    )
    needs: ClassVar[tuple[str, ...]] = ("drawn",)
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    undefined: ClassVar[tuple[str, str]] = (
        "the classifier knows no label that was drawn",
        "分类器不认识所绘的任何标签",
    )

    def refuses(self, labels: Sequence[str]) -> str:
        """Where no classifier is named, or one that knows none of them."""
        if not self.classifier:
            return reason("classifier_missing")
        known = _known(self.classifier)[1].classes()
        if {*labels} & {*known}:
            return ""
        return reason("not_its_label", model=self.classifier, known=", ".join(known), hint="")

    def rows(self, references: Told, predictions: Told, labels: Sequence[str]) -> Any:
        """Right (1 or 0), and 1; both 0 of words that are no label of the classifier: (N, 2)."""
        known = {*_known(self.classifier)[1].classes()}
        asked = [row["text"] for row in references]
        seen = _seen_as(self.classifier, tuple(told["drawn"] for told in predictions))
        counts = np.array([text in known for text in asked], dtype=float)
        hits = np.array([text == label for text, label in zip(asked, seen, strict=True)], dtype=float)
        return np.stack([hits, counts], axis=1)

    def value(self, sums_K: Any) -> Any:
        """The share."""
        return ratio(sums_K[..., 0], sums_K[..., 1])


def _known(path: str) -> tuple[Finished, Task]:
    """The classifier, not opened yet, and what it has learnt.

    Raises:
        WeitiaoError: `no_run`, `unfinished_run`; `wrong_value` for a run of another task.
    """
    from weitiao.models.finished import finished

    found = finished(open_run(path))
    named = found.card["task"]
    if named["name"] != "image_classification":
        why = reason("no_picture_classifier", task=named["name"])
        raise fault("wrong_value", key="evaluate.metrics.class_accuracy.classifier", value=path, why=why)
    return found, registry.build("task", named)


@lru_cache(maxsize=4)  # the numbers of a system and each of its tests ask for the same rows
def _seen_as(path: str, drawn: tuple[str, ...]) -> list[str]:
    """The label that the classifier gives each picture, handed to it as files are."""
    from weitiao.data.pictures import uri
    from weitiao.evaluate.predict import predict

    known, task = _known(path)
    loaded = known.opened(task)
    (column,) = task.shape.pictures
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder, f"{number}.png") for number in range(len(drawn))]
        for place, one in zip(places, drawn, strict=True):
            uri.read(one).save(place)
        records = [Record("", nth, {column: str(place)}) for nth, place in enumerate(places, start=1)]
        examples = list(task.encode(records, loaded.processor, limit=loaded.limit))
        device = loaded.model.device.type
        told = predict(loaded, task, examples, device=device, half=known.half)
    return [str(one["label"]) for one in told]
