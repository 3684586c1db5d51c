"""Which metrics a task is judged by: those that it names, and those that the recipe adds.

judged(task, [{"name": "f1_micro"}, {"name": "my.py:mine"}])  ->  {"accuracy": Accuracy(), ..., "mine": ...}
watched(task, [...])                                          ->  {"loss": LogLoss(), "accuracy": Accuracy(), ...}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weitiao.core import registry
from weitiao.core.contracts import Baseline, Metric, Task
from weitiao.core.errors import WeitiaoError, did_you_mean, fault
from weitiao.core.unfit import together
from weitiao.core.why import reason
from weitiao.evaluate import own

ANSWER = "answer"
PAINTED = ("drawn", "seen_drawn", "seen_true")
"""What it holds where a picture was drawn for it."""
LATE = (ANSWER, *PAINTED)
"""What only those rows hold that were answered at length: in words, or by a picture."""
SPOKEN = (ANSWER, "bytes")
"""What a prediction of a test row holds besides where a task's model answers in words: its answer, and how many bytes of
text its loss is of."""


def judged(task: Task, added: Sequence[Mapping[str, Any]] = ()) -> dict[str, Metric]:
    """The metrics of the test rows by name, the primary one first.

    Args:
        task: names its own; where it knows its labels already, metrics must suit them.
        added: `evaluate.metrics` of the recipe.

    Raises:
        WeitiaoError: `unknown_name`, `unknown_key`, `wrong_value`, `no_such_function`, `bad_metric`; `unfit_metric` for
            one that makes no sense with this task; `unfit_recipe` for several of these.
    """
    found = {name: registry.build("metric", {"name": name}) for name in task.metrics}
    holds = _held(task)
    wrong = []
    for asked in added:
        try:
            name, metric = _built(asked)
        except WeitiaoError as error:
            wrong.append(error)
            continue
        why = metric.lacks(holds)
        why = reason("predictions_hold_no", name=why) if why else _refuses(metric, task)
        if why:
            wrong.append(fault("unfit_metric", metric=name, why=why, known=", ".join(suiting(task))))
        elif name in found and (found[name] == metric or name not in task.metrics):
            wrong.append(fault("wrong_value", key=own.KEY, value=name, why=reason("metric_there")))
        else:
            found[name] = metric
    if wrong:
        raise together(wrong)
    return found


def watched(task: Task, added: Sequence[Mapping[str, Any]] = ()) -> dict[str, Metric]:
    """The metrics of the validation rows by name: `loss`, and those of `judged` for which a prediction suffices, and of which
    more or less is better: any of them may choose the step that is kept."""
    loss: Metric = registry.build("metric", {"name": task.loss_metric})
    others = {
        name: metric
        for name, metric in judged(task, added).items()
        if metric.ideal is None and not metric.lacks(task.predicts)
    }
    return {"loss": loss, **{name: metric for name, metric in others.items() if name != "loss"}}


def baselines(task: Task, asked: str) -> dict[str, Baseline]:
    """What stands beside the model, by name, the strongest first.

    Args:
        task: names its own.
        asked: `evaluate.baseline` of the recipe: `auto` for all of them, `none`, or the strongest one that is wanted.

    Raises:
        WeitiaoError: `unfit_baseline` for one that the task does not name.
    """
    # What a reader may write -> the first of the task's baselines that is wanted.
    first = {"auto": 0, "none": len(task.baselines)} | {name: at for at, name in enumerate(task.baselines)}
    if asked not in first:
        raise fault("unfit_baseline", name=asked, hint=did_you_mean(asked, [*first]), known=", ".join(first))
    return {name: registry.build("baseline", {"name": name}) for name in task.baselines[first[asked] :]}


def suiting(task: Task) -> list[str]:
    """Names on the shelf that suit a task."""
    holds = _held(task)
    built = {name: registry.build("metric", {"name": name}) for name in registry.names("metric")}
    return [name for name, metric in built.items() if not metric.lacks(holds) and not _refuses(metric, task)]


def _held(task: Task) -> set[str]:
    """What a prediction of a test row holds."""
    return {*task.predicts, *(SPOKEN if task.generates else ()), *(PAINTED if task.paints else ())}


def _built(asked: Mapping[str, Any]) -> tuple[str, Metric]:
    name = str(asked.get("name", ""))
    if ":" in name:
        return name.rpartition(":")[2], own.opened(name)
    return name, registry.build("metric", asked)


def _refuses(metric: Metric, task: Task) -> str:
    """What stands against a metric by the task's labels, where they are known yet."""
    labels = task.classes()
    return metric.refuses(labels) if labels else ""
