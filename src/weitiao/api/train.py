"""The whole way into a run folder: check, split, encode, tune, save, then judge."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.api.data import rows_to_file
from weitiao.api.evaluate import evaluate
from weitiao.api.prepare import Prepared, follow, prepare
from weitiao.api.run import Run
from weitiao.api.tell import Tell, silent
from weitiao.core import registry
from weitiao.core.collector import paused
from weitiao.core.contracts import Method, Task
from weitiao.core.errors import fault, need
from weitiao.core.function import opened
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder, claim, read_lines
from weitiao.data.augment import steps as augmentation_steps
from weitiao.train import distributed
from weitiao.train.distributed import World

if TYPE_CHECKING:
    from weitiao.models.fetch import Progress
    from weitiao.models.load import Loaded
    from weitiao.train.loop import Training, Watcher


def train(
    recipe: str | Path | Mapping[str, Any] | Recipe | None = None,
    *,
    overrides: Iterable[str] = (),
    resume: bool | str | Path = False,
    strict_resume: bool = False,
    changes: Collection[str] = (),
    watchers: Iterable[Watcher] = (),
    tell: Tell = silent,
    progress: Progress | None = None,
    **words: Any,
) -> Run:
    """Check, split, encode, tune, save, judge and report: the whole way into `output_dir`.

    Args:
        recipe: a YAML file, a mapping or a `Recipe`; or leave it out and give its keys as keywords.
        overrides: `key=value` words on top, such as `"train.learning_rate=1e-4"`.
        resume: go on from the newest sound checkpoint of `output_dir` (True or "last"), or from this one of its
            checkpoints; later ones are then set aside.
        strict_resume: refuse when the newest checkpoint is not sound, instead of taking an older one.
        changes: keys of the recipe, or sections, that may differ from those that the run was begun with, such as
            "train.learning_rate"; any other difference is refused.
        watchers: more `weitiao.train.loop.Watcher`s, asked after ours.
        tell: hears what the stages do.
        progress: hears (bytes, all bytes) while an embedded model is fetched.
        **words: keys of the recipe; `data` may be a pandas table or a list of dicts.

    Returns:
        The run, with `results`, `predict` and `report`.

    Raises:
        WeitiaoError: everything that `weitiao.core.messages` lists, with place and way out.
    """
    tree = recipe.model_dump() if isinstance(recipe, Recipe) else recipe
    if words:
        tree = {**(Recipe.read(tree).model_dump() if tree is not None else {}), **rows_to_file(words)}
    if tree is None:
        raise fault("missing_key", key="model")
    asked = Recipe.read(tree, overrides)
    task = registry.build("task", asked.task)
    method = registry.build("method", asked.method)
    why = method.refuses(task)
    if why:
        way = "take another method (`weitiao methods`)"
        raise fault("no_such_pair", method=asked.method["name"], task=asked.task["name"], why=why, way=way)
    augmentation_steps(asked.data.augment)  # a mistyped setting is told before anything is read
    # A process that torchrun started anew goes on from where the one before it was.
    resume = resume or strict_resume or distributed.restarted()
    chosen = None if resume in (True, False, "last") or distributed.restarted() else Path(str(resume))
    with ExitStack() as held:
        with distributed.joined() as world:
            with paused():  # torch and Transformers are imported here
                world.together(lambda: rehearse(asked, task, method, progress=progress))
            resolved = resolve(asked, task, method)
            folder = world.together(
                lambda: held.enter_context(claim(resolved, resume=bool(resume), changes=changes))
            )
            if distributed.restarted() and world.first:
                tell("notice", text="one of the processes died; all were started anew")
            if not folder.finished:
                prepared = _prepared(
                    folder, resolved, task, method, world=world, changes=changes, tell=tell, progress=progress
                )
                _tune(
                    folder if world.first else replace(folder, silent=True),
                    resolved,
                    prepared,
                    method,
                    world=world,
                    resume=bool(resume),
                    chosen=chosen,
                    strict=strict_resume,
                    watchers=watchers if world.first else (),
                    tell=tell if world.first else silent,
                )
        run = Run(folder)
        return evaluate(run, tell=tell) if world.first and folder.state != "judged" else run


def _prepared(
    folder: RunFolder,
    recipe: Recipe,
    task: Task,
    method: Method,
    *,
    world: World,
    changes: Collection[str],
    tell: Tell,
    progress: Progress | None,
) -> Prepared:
    """Process 0 reads and encodes; the others take over what it found."""
    own: list[Prepared] = []

    def first() -> dict[str, Any]:
        # Other machines see the run folder, and hardly this one's cache.
        cache = folder.path / "data" / "encoded" if world.several_machines else None
        own.append(
            prepare(folder, recipe, task, method, tell=tell, progress=progress, cache=cache, changes=changes)
        )
        return own[0].shared()

    shared = world.together(first)
    return own[0] if own else follow(shared, recipe, method)


def tried(
    recipe: str | Path | Mapping[str, Any], *, overrides: Iterable[str] = (), progress: Progress | None = None
) -> Recipe:
    """The recipe as it would be trained, every default written out, once model, method and task were found to fit.

    Raises:
        WeitiaoError: as `train`, before it reads any row.
    """
    asked = Recipe.read(recipe, overrides)
    task, method = registry.build("task", asked.task), registry.build("method", asked.method)
    rehearse(asked, task, method, progress=progress)
    return resolve(asked, task, method)


def rehearse(recipe: Recipe, task: Task, method: Method, *, progress: Progress | None = None) -> None:
    """Put the method into the model without its weights, so that what does not fit is told before data are read.

    Raises:
        WeitiaoError: what loading and `attach` raise; `missing_extra` for a 4-bit base; `unfit_setting` when prompts
            leave no position for a row; `unfit_training` for a regulariser that task or model cannot take.
    """
    from weitiao.models import load, packed, store
    from weitiao.train import optim
    from weitiao.train.objective import refuse_unfit

    if method.base_bits == 4:
        packed.ready()
    for name in recipe.train.report_to:
        need(name, extra=name)
    for named in recipe.train.watchers:
        opened(named, key="train.watchers")
    bare = load.skeleton(recipe.model, task, dropout=recipe.train.dropout, progress=progress)
    store.prepare(bare, method, seed=recipe.seed)
    if recipe.train.activation_checkpointing and not bare.model.supports_gradient_checkpointing:
        why = f"{type(bare.model).__name__} cannot compute its blocks again"
        raise fault("wrong_value", key="train.activation_checkpointing", value=True, why=why)
    refuse_unfit(task, recipe.train, bare.model)
    if method.positions >= bare.limit - 1:
        why, way = (
            f"it has {bare.limit} positions, and the rows need some of them",
            f"take {bare.limit // 4} or less",
        )
        raise fault("unfit_setting", key="num_virtual_tokens", value=method.positions, why=why, way=way)
    optim.groups(bare.model, recipe.train, learning_rate=1.0, head=bare.head)


def resolve(recipe: Recipe, task: Task, method: Method) -> Recipe:
    """The recipe with everything written out that depends on method and machine."""
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
    if train.metric_for_best_model not in task.measures:
        raise fault("wrong_metric", metric=train.metric_for_best_model, known=", ".join(task.measures))
    if recipe.data.overlong == "split" and not task.splits:
        way = "take truncate, drop or fail"
        raise fault("wrong_usage", why="data.overlong=split does not suit this task", way=way)
    choosing, given = [], recipe.data
    if given.weights is not None and len(given.weights) != len(given.train):
        why = f"{len(given.weights)} weights for {len(given.train)} files of data.train"
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
        why = "train.lr_scheduler_type=reduce_lr_on_plateau goes by the validation rows, and they are not looked at"
        way = "set data.split.validation and train.eval_strategy, or take another schedule"
        raise fault("wrong_usage", why=why, way=way)
    return recipe.model_copy(
        update={
            "train": train.model_copy(update=fixed),
            "task": registry.settings_of(recipe.task["name"], task),
            "method": registry.settings_of(recipe.method["name"], method),
        }
    )


def _tune(
    folder: RunFolder,
    recipe: Recipe,
    prepared: Prepared,
    method: Method,
    *,
    world: World,
    resume: bool,
    chosen: Path | None,
    strict: bool,
    watchers: Iterable[Watcher],
    tell: Tell,
) -> None:
    """From encoded rows to the tuned model in the folder."""
    from weitiao.models import store
    from weitiao.train import checkpoint, loop, memory
    from weitiao.train.watchers import Interrupt

    found, passed = world.together(lambda: checkpoint.newest(folder, chosen=chosen, strict=strict))
    for line in passed:
        tell("notice", text=line)
    world.together(lambda: checkpoint.set_aside(folder, newer_than=found))
    processes = checkpoint.processes(found) if found else world.size
    training = engine(recipe, prepared, method, world=world, processes=processes, fresh=found is None)
    if resume and found is None:
        tell("notice", text=f"{folder.path} has no checkpoint to go on from: this run starts at step 0")
    if found is not None:
        checkpoint.load(found, training)
        tell("resumed", step=training.state.step, checkpoint=found.name)
        state = training.state
        if recipe.train.load_best_model_at_end and not checkpoint.has_best(folder, state):
            tell(
                "notice",
                text=f"checkpoint-{state.best_step}, the best so far, is gone: what is best is looked for anew",
            )
            state.best, state.best_step, state.stale = None, 0, 0
    world.together(lambda: folder.forget_after(training.state.step))

    interrupt = Interrupt()
    padding = training.batches.padding()
    tell("training", steps=training.total, start=training.state.step, padding=padding)
    loop.fit(training, [*_watchers(folder, recipe, prepared, training, interrupt, tell), *watchers])
    if interrupt.caught:
        name = signal.Signals(interrupt.caught).name
        error = fault("interrupted", step=training.state.step, signal=name, path=folder.path)
        error.exit_code = 128 + interrupt.caught
        raise error

    state = training.state
    best = recipe.train.load_best_model_at_end and state.best_step
    kept = best or state.step
    if kept != state.step:
        checkpoint.load_weights(folder.path / f"checkpoint-{kept}", training)
    elif training.ema:
        training.ema.keep()
    loaded = _whole(recipe, prepared, method, training)
    if not world.first:
        return
    # Summed over the log, so that the time before a resume counts too.
    seconds = sum(
        fact["seconds"] for fact in read_lines(folder.path / "log.jsonl") if fact["event"] == "step"
    )
    reason = training.stop or "done"
    if state.skipped:
        tell(
            "notice",
            text=f"{state.skipped} steps were left out: something in them was not finite (log.jsonl)",
        )
    if state.halvings:
        tell(
            "notice",
            text=f"memory did not suffice: micro-batches were halved {state.halvings} times (log.jsonl)",
        )
    took = {"seconds": seconds, **memory.peak()}
    folder.log(event="end", step=state.step, epoch=training.epoch, best_step=kept, reason=reason, **took)
    card = {
        "task": registry.settings_of(recipe.task["name"], prepared.task),
        "method": recipe.method,
        "step": kept,
        "trained": prepared.trained,
        "total": prepared.total,
        "seconds": seconds,
    }
    store.save_tuned(folder.model, loaded, task=prepared.task, method=method, card=card)
    tell("saved", path=folder.model, step=kept, reason=reason, seconds=seconds)


def _whole(recipe: Recipe, prepared: Prepared, method: Method, training: Training) -> Loaded:
    """The model that is to be saved: the one that was trained, or put together again where it lies in shares."""
    if recipe.train.data_parallel == "ddp" or training.world.size == 1:
        return prepared.loaded
    weights = {name: training.objective.whole(weight.detach()) for name, weight in training.weights.items()}
    if training.world.first:
        prepared = follow(prepared.shared(), recipe, method)
        for name, weight in prepared.loaded.trained.items():
            weight.data.copy_(weights[name])
    return prepared.loaded


def engine(
    recipe: Recipe, prepared: Prepared, method: Method, *, world: World, processes: int, fresh: bool
) -> Training:
    """The engine's parts, put together; no step taken yet.

    Args:
        recipe: resolved.
        prepared: rows and model.
        method: what trains.
        world: the processes.
        processes: how many there were when the run began; a step holds so many times the accumulation.
        fresh: does the run begin here?
    """
    from weitiao.data.pack import Batches
    from weitiao.models import anatomy, store
    from weitiao.train import loop, memory, optim
    from weitiao.train.ema import Ema
    from weitiao.train.objective import summed
    from weitiao.train.parallel import Objective, parallel

    settings, task, loaded = recipe.train, prepared.task, prepared.loaded
    assert settings.learning_rate is not None  # `resolve` saw to it
    half = settings.half
    if half and method.layout != "pretrained":
        anatomy.cast_frozen(loaded.model, half)
    memory.trim()
    if settings.activation_checkpointing:
        loaded.model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        # It makes embeddings ask for gradients, which only the re-entrant kind needs.
        loaded.model.disable_input_require_grads()
    if settings.torch_compile:
        loaded.model.compile()
    batches = Batches(
        prepared.examples["train"],
        lambda rows, indices: task.collate(rows, indices, loaded.processor),
        settings.per_device_train_batch_size,
        settings.gradient_accumulation_steps * processes,
        recipe.seed,
        "random" if settings.train_sampling_strategy == "random" else "group_by_length",
        max_tokens=settings.max_batch_tokens,
        padded=not task.packs,
        weights=prepared.weights,
        workers=settings.dataloader_num_workers,
        dealt=(world.rank, world.size),
    )
    if fresh:
        loop.calibrate(loaded.model, method, task, batches, device=prepared.device, half=half)
    snapshot = method.snapshot(loaded.model) if task.needs_base else {}
    objective = Objective(loaded.model, method, task, summed(task, settings))
    asked = parallel(objective, world, shards=settings.data_parallel == "fsdp")
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
            learning_rate=settings.learning_rate,
            head=loaded.head,
            factors=method.rates(loaded.model, loaded.head),
        ),
        weights=weights,
        state=loop.State(processes=processes),
        device=prepared.device,
        half=half,
        seed=recipe.seed,
        snapshot=snapshot,
        places=prepared.places,
        world=world,
        objective=asked,
        ema=Ema(weights, settings.ema_decay) if settings.ema_decay else None,
    )


def _watchers(
    folder: RunFolder, recipe: Recipe, prepared: Prepared, training: Training, interrupt: Watcher, tell: Tell
) -> list[Watcher]:
    """Ours, in the order in which they must be asked."""
    from weitiao.train import watchers as around
    from weitiao.train.neftune import Neftune
    from weitiao.train.trunk import FrozenTrunk

    settings = recipe.train
    keep_best = settings.load_best_model_at_end
    ours: list[Watcher] = [around.Log(folder), FrozenTrunk(folder, prepared.examples["validation"], tell)]
    if settings.neftune_noise_alpha:
        ours += [Neftune(settings.neftune_noise_alpha)]
    if training.ema:
        ours += [training.ema]
    if len(prepared.examples["validation"]):
        metric, task = settings.metric_for_best_model, prepared.task
        higher = task.higher_is_better if metric == task.primary else metric != "loss"
        measure = partial(_measure, recipe, prepared, training)
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
    return [opened(named, key="train.watchers")() for named in recipe.train.watchers]


def _measure(recipe: Recipe, prepared: Prepared, training: Training) -> dict[str, float]:
    """What the validation rows say of the model as it is now, or of the average of its weights."""
    from weitiao.evaluate.predict import predict

    examples, world = prepared.examples["validation"], training.world
    with training.ema.in_use(training.objective) if training.ema else nullcontext():
        own = predict(
            prepared.loaded,
            prepared.task,
            examples,
            batch_size=recipe.train.per_device_eval_batch_size,
            device=prepared.device,
            half=recipe.train.half,
            ask=training.objective.predict,
            dealt=(world.rank, world.size),
        )
    everybody = world.gather({row: told for row, told in enumerate(own) if told})
    told = {row: each for part in everybody for row, each in part.items()}
    found = [told[row] for row in range(len(examples))]
    return prepared.task.measure(found, examples)
