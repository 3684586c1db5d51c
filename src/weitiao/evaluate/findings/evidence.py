"""What findings go by: everything lies in the run folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from weitiao.core.contracts import Told
from weitiao.evaluate.noise import standing

Numbers: TypeAlias = dict[str, Any]
"""What a finding saw."""
BEYOND = 3.0
"""So many standard errors are more than noise: of a thousand differences by chance three are as large."""
FEWEST = 6
"""Steps of which a mean and its error are taken."""


@dataclass(frozen=True)
class Evidence:
    """One judged run."""

    results: Mapping[str, Any]
    """Metrics and comparisons, as `results.json` holds them."""
    log: Sequence[Mapping[str, Any]]
    """Lines of `log.jsonl`."""
    references: Told
    """What was expected of the test rows."""
    systems: Mapping[str, Told]
    """By name what each said of them; `tuned` among them."""
    seen: int = 0
    """Test rows that are equal, or nearly so, to a training row."""
    confidence: float = 0.95
    """Of the verdict."""
    test_loss: tuple[float, float] | None = None
    """Loss of the test rows and its standard error, measured as that of the validation rows."""
    vocabulary: int = 0
    """How many words a model that writes has to choose from; 0 for one that writes nothing."""

    @cached_property
    def steps(self) -> Any:
        """Losses of the optimiser steps that were taken, in order (S,)."""
        losses = [line["loss"] for line in self.log if line["event"] == "step"]
        return np.array([loss for loss in losses if math.isfinite(loss)])

    @cached_property
    def looks(self) -> list[tuple[int, float, float]]:
        """Step, loss and standard error of every look at the validation rows behind the first step."""
        found = []
        for line in self.log:
            loss, error = line.get("validation/loss"), line.get("validation/loss_se")
            if line["event"] == "evaluate" and line["step"] and loss is not None and error is not None:
                found.append((line["step"], loss, error))
        return [one for one in found if math.isfinite(one[1]) and math.isfinite(one[2])]

    @property
    def kept(self) -> tuple[int, float, float] | None:
        """The last look at the validation rows that the kept weights had behind them."""
        step = next((line["best_step"] for line in reversed(self.log) if line["event"] == "end"), 0)
        return next((look for look in reversed(self.looks) if look[0] <= step), None)

    def told(self, key: str) -> bool:
        """Do the rows hold that key, expected as well as said?"""
        return bool(self.references) and key in self.references[0] and key in self.systems["tuned"][0]

    def against(self, other: str) -> str:
        """How the tuned model stands to another system, as `standing` says it."""
        return standing(self.results, other, confidence=self.confidence)


def apart(first: Any, second: Any) -> float:
    """By how many standard errors the mean of the first losses is above that of the second; 0 where they are too few."""
    if min(len(first), len(second)) < FEWEST:
        return 0.0
    error = math.sqrt(first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second))
    return float((first.mean() - second.mean()) / error) if error else 0.0
