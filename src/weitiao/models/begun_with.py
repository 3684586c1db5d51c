"""What another run has learnt, to begin with (`start_from`).

startable(run, task=..., named=...)          the other run's card, or why it cannot be begun with
begin_with(run, loaded, ...)                 its weights in all that trains
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from weitiao.core import registry
from weitiao.core.contracts import Method, Task, fill_weights
from weitiao.core.errors import fault
from weitiao.core.run import RunFolder
from weitiao.core.why import reason
from weitiao.models import batch_norms, store
from weitiao.models.load import Loaded
from weitiao.models.precision import Half


def startable(run: RunFolder, *, task: Task, named: Mapping[str, Any]) -> dict[str, Any]:
    """The card of a run that another one may begin with.

    Args:
        run: that run.
        task: what the other one learns.
        named: task and method of the other one, as a model's card has them.

    Raises:
        WeitiaoError: `unfit_start`; `unfinished_run`, `broken_model`.
    """
    card = store.read_card(run.model)
    # As JSON has them: a tuple of labels is a list there.
    ours = json.loads(json.dumps(named))
    its, own = (
        {key: value for key, value in known["task"].items() if key not in task.training_only}
        for known in (card, ours)
    )
    if its != own and not _goes_on(its, own, registry.build("task", card["task"]), task):
        raise fault("unfit_start", path=run.path, why=reason("its_task_was", theirs=its, ours=own))
    if card["method"]["name"] != ours["method"]["name"]:
        why = reason("its_method_was", theirs=card["method"]["name"], ours=ours["method"]["name"])
        raise fault("unfit_start", path=run.path, why=why)
    return card


def _goes_on(its: Mapping[str, Any], own: Mapping[str, Any], other: Task, task: Task) -> bool:
    """Do two tasks both answer in words, by the output layer of the base, and read words alike?  Then what one has learnt the
    other may begin with."""
    alike = all(its[key] == own[key] for key in (its.keys() & own.keys()) - {"name", *other.training_only})
    write = other.generates and task.generates and other.auto_class == task.auto_class
    return alike and write and its["name"] != own["name"]


def begin_with(
    run: RunFolder,
    loaded: Loaded,
    *,
    task: Task,
    method: Method,
    named: Mapping[str, Any],
    ref: str,
    half: Half | None = None,
) -> None:
    """Give all that trains the weights that it has at the end of another run; moments and steps begin anew.

    Args:
        run: the other run, of the same base and method, and of the same task or one that writes as well.
        loaded: the base with the method's modules in it.
        task: what is learnt.
        method: what trains.
        named: both as a model's card has them.
        ref: the recipe's base.
        half: what is computed in.

    Raises:
        WeitiaoError: `unfit_start`; `unfinished_run`, `broken_model`, `wrong_base`.
    """
    card = startable(run, task=task, named=named)
    # With the settings of its own: what does not fit shows by name below.
    theirs_method = registry.build("method", card["method"])
    other = store.load_tuned(run.model, ref=ref, task=task, method=theirs_method, base=ref, half=half)
    theirs = dict(other.model.named_parameters())
    try:
        # What a task learns with begins anew: nothing of it is kept.
        fill_weights(loaded.tuned, {name: theirs[name] for name in loaded.tuned})
        batch_norms.take_over(loaded.model, other.model)
        fill_weights(method.state(loaded.model), theirs_method.state(other.model))
    except KeyError as error:
        raise fault("unfit_start", path=run.path, why=reason("weight_unfit", name=error.args[0])) from None
