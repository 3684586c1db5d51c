"""What is the matter with a run, by name, each with the advice that follows.

    Evidence(results, log, references, systems, ...)  ->  findings  ->  [{"name": "over_fitting", "why": ..., "advice": ..., "numbers": ...}]

One function a finding: what it saw as numbers, or nothing.  Each asks for more than noise would show, so that a sound run
names none.  The words lie in `core/messages/reasons/findings.yaml`, under the same names, and are filled from the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from weitiao.core.errors import language
from weitiao.core.why import because, reason
from weitiao.evaluate.findings import answers, beside, labels, learning, preferences, rewards
from weitiao.evaluate.findings.evidence import Evidence, Numbers
from weitiao.evaluate.words import spelt

PARTS: dict[str, Callable[[Evidence], Numbers | None]] = {
    "nothing_moved": learning.nothing_moved,
    "no_gradient": learning.no_gradient,
    "seen_in_training": beside.seen_in_training,
    "near_training": beside.near_training,
    "known_by_heart": beside.known_by_heart,
    "swapped_labels": labels.swapped_labels,
    "unrelated_labels": labels.unrelated_labels,
    "nothing_said": labels.nothing_said,
    "one_class": labels.one_class,
    "missing_classes": labels.missing_classes,
    "template": answers.template,
    "forgot": answers.forgot,
    "likelihood_displacement": preferences.likelihood_displacement,
    "liked_answers_fell": preferences.liked_answers_fell,
    "reward_given_up": rewards.reward_given_up,
    "answers_drifted": rewards.answers_drifted,
    "over_fitting": learning.over_fitting,
    "barely_moved": learning.barely_moved,
    "still_falling": learning.still_falling,
    "never_taught": learning.never_taught,
    "baseline_better": beside.baseline_better,
    "got_worse": beside.got_worse,
    "untuned_level": beside.untuned_level,
}
"""In the order in which a reader should look at them."""
NOT_BEGUN = (
    "barely_moved",
    "untuned_level",
    "unrelated_labels",
    "nothing_said",
    "one_class",
    "missing_classes",
    "baseline_better",
)
"""What a model shows of which nothing was trained."""
EXPLAINS = {
    "no_gradient": ("nothing_moved", *NOT_BEGUN),
    "seen_in_training": ("known_by_heart",),
    "near_training": ("known_by_heart",),
    "nothing_moved": NOT_BEGUN,
    "unrelated_labels": ("barely_moved", "untuned_level", "got_worse"),
    "barely_moved": ("untuned_level",),
    "nothing_said": ("one_class", "missing_classes"),
    "one_class": ("missing_classes",),
}
"""What follows from a finding needs no name of its own."""
LESS = ("template", "forgot", "likelihood_displacement", "over_fitting", "got_worse")
"""Training went too far: their advice is less of it."""
MORE = (
    "nothing_said",
    "missing_classes",
    "barely_moved",
    "still_falling",
    "baseline_better",
    "untuned_level",
)
"""Their advice is more training, unless that went too far already."""


def findings(evidence: Evidence) -> list[dict[str, Any]]:
    """Everything that is the matter; empty for a sound run.

    Args:
        evidence: what lies in the run folder.
    """
    found = {name: numbers for name, part in PARTS.items() if (numbers := part(evidence)) is not None}
    explained = {other for name in found for other in EXPLAINS.get(name, ())}
    told = []
    for name, numbers in found.items():
        if name not in explained:
            words = because(name, **spelt(numbers, language()))
            advice = _instead(name, found) or words["way"]
            told.append({"name": name, "why": words["why"], "advice": advice, "numbers": numbers})
    return told


def _instead(name: str, found: Collection[str]) -> str:
    """Advice that does not contradict that of the other findings; empty where its own does."""
    if name == "got_worse" and "still_falling" in found:  # what the curves tell decides
        return reason("worse_while_falling")
    far = [
        other for other in LESS if other in found and not (other == "got_worse" and "still_falling" in found)
    ]
    return reason("went_too_far") if far and name in MORE else ""
