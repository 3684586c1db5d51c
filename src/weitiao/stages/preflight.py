"""Before anything is read: does the recipe fit its model, method and task?

preflight(recipe, task, method)  ->  nothing, or the fault that a run would end with
resolve(recipe, task, method)   ->  the recipe with everything written out that depends on method and machine
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Method, Task
from weitiao.core.errors import fault, need
from weitiao.core.recipe import Recipe
from weitiao.core.run import placed
from weitiao.core.why import because, reason
from weitiao.data.augment import make as making
from weitiao.data.augment import steps
from weitiao.data.labels import one_spelling
from weitiao.stages import reference, rollouts
from weitiao.stages.prepare import helpers, row_limit

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress


def tried(
    recipe: str | Path | Mapping[str, Any], *, overrides: Iterable[str] = (), progress: Progress | None = None
) -> Recipe:
    """The recipe as it would be trained, every default written out, once model, method and task were found to fit.

    Raises:
        WeitiaoError: as `train`, before it reads any row.
    """
    asked = Recipe.read(recipe, overrides)
    task, method = registry.build("task", asked.task), registry.build("method", asked.method)
    placed(Path(asked.output_dir))
    preflight(asked, task, method, progress=progress)
    return resolve(asked, task, method)


def preflight(recipe: Recipe, task: Task, method: Method, *, progress: Progress | None = None) -> None:
    """Put the method into the model without its weights, so that what does not fit is told before data are read.

    The one list of such checks, for `check`, `plan`, `train` and its `--dry-run`.

    Raises:
        WeitiaoError: `no_such_pair`; what reading `evaluate.general_text` raises; what augmentations say of their settings; `wrong_value` for rows longer than the
            model's positions; what loading and `attach` raise; `missing_extra` for a 4-bit base; `unfit_setting` when prompts
            leave no position for a row; `unfit_training` for a regulariser that task or model cannot take.
    """
    from weitiao.models import four_bit, load, store
    from weitiao.train import optim, trunk, watchers
    from weitiao.train.objective import refuse_unfit

    refuse_pair(recipe, task, method)
    _refuse_one_label_twice(recipe, task)
    # A mistyped setting, an absent model or dictionary is told before anything is read.
    making.ready(steps(recipe.data.augment), task.shape, helpers(recipe, device="meta"))
    if method.base_bits == 4:
        four_bit.ready()
    if task.generates and (texts := recipe.evaluate.general_text) not in ("auto", "none"):
        from weitiao.stages.general import read_texts

        read_texts(texts)
    for name in recipe.train.report_to:
        need(name, extra=name)
    for named in recipe.train.watchers:
        watchers.own(named)
    bare = load.skeleton(recipe.model, task, dropout=recipe.train.dropout, progress=progress)
    load.refuse_unsuitable(recipe.model, task, numbers=True)
    store.prepare(bare, method, seed=recipe.seed, task=task)
    if recipe.train.activation_checkpointing and not bare.model.supports_gradient_checkpointing:
        why = reason("not_computed_again", model=type(bare.model).__name__)
        raise fault("wrong_value", key="train.activation_checkpointing", value=True, why=why)
    rollouts.refuse_unfit(recipe, task)
    reference.refuse_unfit(recipe, task)
    refuse_unfit(task, recipe.train, bare.model)
    trunk.refuse_unfit(recipe.train, task, method, bare.model)
    if method.positions >= bare.limit - 1:
        taken = because("positions_taken", has=bare.limit, most=bare.limit // 4)
        raise fault("unfit_setting", key="num_virtual_tokens", value=method.positions, **taken)
    row_limit(recipe, bare, method)
    optim.groups(bare.model, recipe.train, learning_rate=1.0, head=bare.head)


def refuse_pair(recipe: Recipe, task: Task, method: Method) -> None:
    """Does the method make sense with the task?

    Raises:
        WeitiaoError: `no_such_pair`.
    """
    if why := method.refuses(task):
        way = reason("another_method")
        raise fault("no_such_pair", method=recipe.method["name"], task=recipe.task["name"], why=why, way=way)


def _refuse_one_label_twice(recipe: Recipe, task: Task) -> None:
    """No row would carry a listed label that is read as another one of them, and an output would stand for nothing."""
    listed: tuple[str, ...] = getattr(task, "labels", ())
    for read_as in (recipe.data.relabel, one_spelling(listed)):
        for label, meant in read_as.items():
            if label != meant and {label, meant} <= {*listed}:
                why = reason("label_listed_too", label=label, meant=meant)
                raise fault("wrong_value", key="task.labels", value=", ".join(listed), why=why)


def resolve(recipe: Recipe, task: Task, method: Method) -> Recipe:
    """The recipe with everything written out that depends on method and machine."""
    from weitiao.evaluate import chosen
    from weitiao.models.load import fast_bf16, pick_device
    from weitiao.train import optim

    train = recipe.train
    own = registry.settings_of(recipe.method["name"], method)
    fixed: dict[str, Any] = {
        **optim.resolved(train, usual_rate=method.learning_rate, method_settings=own.keys()),
        "bf16": fast_bf16(pick_device()) and not train.fp16 if train.bf16 == "auto" else train.bf16,
    }
    if train.train_sampling_strategy == "auto":
        fixed["train_sampling_strategy"] = "random" if task.packs else "group_by_length"
    # `eval_f1` is what Transformers calls f1.
    fixed["metric_for_best_model"] = train.metric_for_best_model.removeprefix("eval_")
    chosen.baselines(task, recipe.evaluate.baseline)
    watched = chosen.watched(task, recipe.evaluate.metrics)
    if fixed["metric_for_best_model"] not in watched:
        hint = registry.hint("metric", fixed["metric_for_best_model"])
        raise fault("wrong_metric", metric=train.metric_for_best_model, hint=hint, known=", ".join(watched))
    ways = ["truncate", *task.overlong, "drop", "fail"]
    if (overlong := recipe.data.overlong) not in ways:
        facts = {"overlong": overlong, "task": recipe.task["name"], "known": ", ".join(ways)}
        raise fault("wrong_usage", **because("unsuited_overlong", **facts))
    choosing, given = [], recipe.data
    if given.weights is not None and len(given.weights) != len(given.train):
        why = reason("weights_for_files", weights=len(given.weights), files=len(given.train))
        raise fault("wrong_value", key="data.weights", value=given.weights, why=why)
    chooses = bool(given.validation or given.split.validation or given.split.folds or given.split.column)
    if not chooses:
        choosing += ["train.eval_strategy"] * (train.eval_strategy != "no")
        choosing += ["train.eval_on_start"] * train.eval_on_start
    if not chooses or train.eval_strategy == "no":
        choosing += ["train.load_best_model_at_end"] * train.load_best_model_at_end
        choosing += ["train.early_stopping_patience"] * (train.early_stopping_patience is not None)
    if choosing:
        raise fault("needs_validation", why=", ".join(choosing))
    if train.lr_scheduler_type == "reduce_lr_on_plateau" and (not chooses or train.eval_strategy == "no"):
        raise fault("wrong_usage", **because("plateau_unseen"))
    return recipe.model_copy(
        update={
            "train": train.model_copy(update=fixed),
            "task": registry.settings_of(recipe.task["name"], task),
            "method": registry.settings_of(recipe.method["name"], method),
        }
    )
