"""The engine's parts, put together from a recipe and what was made ready; no step taken yet.

assemble(recipe, prepared, method, ...)                ->  Training
watching(folder, recipe, prepared, training, ...)    ->  our watchers, in the order in which they must be asked
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from weitiao.core.contracts import Method, Metric, Sampling
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder
from weitiao.core.why import reason
from weitiao.data.pack import Steps, beside
from weitiao.stages import reference, rollouts
from weitiao.stages.events import Tell, silent
from weitiao.stages.prepare import Prepared, stacked
from weitiao.train.distributed import World

if TYPE_CHECKING:
    from torch import nn

    from weitiao.models.batch_norms import Following
    from weitiao.train.loop import Training, Watcher


def assemble(
    recipe: Recipe,
    prepared: Prepared,
    method: Method,
    *,
    world: World,
    processes: int,
    fresh: bool,
    tell: Tell = silent,
) -> Training:
    """The engine's parts, put together; no step taken yet, and a reference asked where the task needs one.

    Args:
        recipe: resolved.
        prepared: rows and model.
        method: what trains.
        world: the processes.
        processes: how many there were when the run began; a step holds so many times the accumulation.
        fresh: does the run begin here?
        tell: hears what takes a while.
    """
    from weitiao.models import anatomy, attention, output_loss, store
    from weitiao.train import loop, memory, optim
    from weitiao.train.ema import Ema
    from weitiao.train.objective import summed
    from weitiao.train.parallel import Objective, parallel
    from weitiao.train.state import State

    settings, task, loaded = recipe.train, prepared.task, prepared.loaded
    half = settings.half
    if half and method.layout != "pretrained":
        anatomy.cast_frozen(loaded.model, half)
    memory.trim()
    if settings.activation_checkpointing:
        anatomy.recompute(loaded.model)
    prepared.heard = reference.ask(recipe, prepared, method, world=world, tell=tell)
    rows = stacked(recipe, task, loaded, prepared.examples["train"], prepared.weights)
    rows = replace(
        rows,
        collate=beside(rows.collate, prepared.heard.get("train")),
        accumulation=settings.gradient_accumulation_steps * processes,
        workers=settings.dataloader_num_workers,
        dealt=(world.rank, world.size),
    )
    if fresh and not recipe.start_from:  # what another run has learnt is no blank to be filled in by the data
        loop.calibrate(loaded.model, method, task, rows, device=prepared.device, half=half)
    snapshot = method.snapshot(loaded.model) if task.needs_base and not recipe.start_from else {}
    batches: Steps = rows
    if isinstance(task, Sampling):
        words: dict[str, Any] = {"world": world, "processes": processes, "fresh": fresh, "tell": tell}
        batches = rollouts.rollouts(recipe, prepared, method, snapshot, **words)
    teacher = reference.teacher(recipe, task, prepared.device)
    objective = Objective(loaded.model, method, task, summed(task, settings), teacher=teacher)
    asked = parallel(objective, world, shards=settings.data_parallel == "fsdp")
    if settings.torch_compile:
        whole = not task.packs or bool(settings.label_smoothing_factor or settings.r_drop_alpha)
        attention.register(compiled=True)
        output_loss.called(loaded.model, whole=whole).compile()
    weights = store.trained(loaded.model)  # shares, if the model was dealt
    return loop.Training(
        model=loaded.model,
        method=method,
        task=task,
        batches=batches,
        settings=settings,
        optimizer=optim.build(
            loaded.model,
            settings,
            learning_rate=cast(float, settings.learning_rate),  # `resolve` saw to it
            head=loaded.head,
            factors=method.rates(loaded.model, loaded.head),
        ),
        weights=weights,
        state=State(processes=processes),
        device=prepared.device,
        half=half,
        seed=recipe.seed,
        snapshot=snapshot,
        places=prepared.places,
        world=world,
        objective=asked,
        norms=_norms(recipe, loaded.model, method, tell),
        ema=Ema(weights, settings.ema_decay) if settings.ema_decay else None,
    )


def _norms(recipe: Recipe, model: nn.Module, method: Method, tell: Tell) -> Following | None:
    """What follows the rows in a base that nobody has trained; said, and none in any other."""
    from weitiao.models import batch_norms

    untaught = batch_norms.untaught(model)
    # An adapter's files have no place for statistics.
    norms = batch_norms.following(model) if method.layout == "pretrained" else None
    follow = len(norms.layers) if norms else 0
    if follow:
        tell("notice", text=reason("norms_follow", ref=recipe.model, count=follow))
    if len(untaught) > follow:
        tell("notice", text=reason("norms_untaught", ref=recipe.model, count=len(untaught) - follow))
    return norms


def watching(
    folder: RunFolder,
    recipe: Recipe,
    prepared: Prepared,
    training: Training,
    interrupt: Watcher,
    tell: Tell,
    shared: Path | None = None,
) -> list[Watcher]:
    """Ours, in the order in which they must be asked; `shared` is where runs of one study keep what others need too."""
    from weitiao.evaluate.chosen import watched
    from weitiao.train import watchers as around
    from weitiao.train.neftune import Neftune
    from weitiao.train.trunk import FrozenTrunk

    settings = recipe.train
    keep_best = settings.load_best_model_at_end
    trunk = FrozenTrunk(folder, prepared.examples["validation"], tell, shared)
    ours: list[Watcher] = [around.Log(folder), trunk]
    if settings.neftune_noise_alpha:
        ours += [Neftune(settings.neftune_noise_alpha)]
    if training.ema:
        ours += [training.ema]
    if len(prepared.examples["validation"]):
        metric = settings.metric_for_best_model
        metrics = watched(prepared.task, recipe.evaluate.metrics)
        higher = metrics[metric].higher_is_better
        answering = rollouts.Drawing.of(recipe, prepared, training.method)
        measure = partial(_measure, recipe, prepared, training, metrics, answering)
        ours += [
            around.Validate(
                folder,
                measure,
                metric,
                higher,
                settings.eval_strategy,
                settings.eval_steps,
                at_start=settings.eval_on_start,
                threshold=settings.early_stopping_threshold,
            )
        ]
        ours += [around.Plateau(folder, metric, higher)]
        if settings.early_stopping_patience is not None:
            ours += [around.EarlyStop(folder, settings.early_stopping_patience)]
    save = around.Save(
        folder, settings.save_strategy, settings.save_steps, settings.save_total_limit, keep_best
    )
    closer: list[Watcher] = [around.GradientNorms(folder)] if settings.log_gradient_norms else []
    if training.world.first:
        ours += [around.TRACKERS[name](folder, recipe) for name in settings.report_to]
        closer += [around.Profile(folder, settings.profile_steps)] if settings.profile_steps else []
    return [*ours, *closer, interrupt, save, *_own(recipe, training)]


def _own(recipe: Recipe, training: Training) -> list[Watcher]:
    """The user's, in process 0 alone."""
    if not training.world.first:
        return []
    from weitiao.train.watchers import own

    return [own(named) for named in recipe.train.watchers]


def _measure(
    recipe: Recipe,
    prepared: Prepared,
    training: Training,
    metrics: Mapping[str, Metric],
    answering: rollouts.Drawing | None,
) -> dict[str, float]:
    """What the validation rows say of the model as it is now, or of the average of its weights."""
    from weitiao.evaluate.judge import measured
    from weitiao.evaluate.predict import predict

    examples, world = prepared.examples["validation"], training.world
    with training.ema.in_use(training.objective) if training.ema else nullcontext():
        if answering:
            said = rollouts.validated(answering, prepared, world=world)
            return measured(prepared.task, metrics, said, examples)
        own = predict(
            prepared.loaded,
            prepared.task,
            examples,
            batch_size=recipe.train.per_device_eval_batch_size,
            longest=recipe.data.max_length,
            device=prepared.device,
            half=recipe.train.half,
            ask=training.objective.predict,
            dealt=(world.rank, world.size),
            reference=prepared.heard.get("validation"),
        )
    everybody = world.gather({row: told for row, told in enumerate(own) if told})
    told = {row: each for part in everybody for row, each in part.items()}
    found = prepared.task.together([told[row] for row in range(len(examples))], examples)
    if prepared.task.settles:
        # A step is to be chosen by what its model would say at the end: with thresholds of its own, not with 0.5.
        found = prepared.task.settle(examples, found).restated(found)
    return measured(prepared.task, metrics, found, examples)
