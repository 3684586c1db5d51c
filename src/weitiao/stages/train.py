"""The whole way into a run folder: check, split, encode, tune, save, then judge."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Method, Task
from weitiao.core.errors import fault
from weitiao.core.gc_pause import paused
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder, claim, read_lines, refuse_elsewhere
from weitiao.core.why import reason
from weitiao.forecast import refuse
from weitiao.forecast.memory import resident
from weitiao.stages.assemble import assemble, watching
from weitiao.stages.evaluate import evaluate
from weitiao.stages.events import Tell, listening, silent
from weitiao.stages.in_memory import named_as_given, rows_to_file
from weitiao.stages.preflight import preflight, resolve
from weitiao.stages.prepare import Prepared, follow, prepare
from weitiao.stages.run import Run
from weitiao.stages.warn import warnings
from weitiao.train import distributed, memory
from weitiao.train.distributed import World

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress
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
    tell: Tell | None = None,
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
        tell: hears what the stages do (`silent` of `weitiao.stages.events` listens to nothing).
        progress: hears (bytes, all bytes) while an embedded model is fetched.  Without `tell` and `progress` a bar or
            lines on standard error say how it goes.
        **words: keys of the recipe; `data` may be a pandas table or a list of dicts.

    Returns:
        The run, with `results`, `predict` and `report`.

    Raises:
        WeitiaoError: everything that `weitiao.core.messages` lists, with place and way out.
    """
    tree = recipe.model_dump() if isinstance(recipe, Recipe) else recipe
    given: dict[str, str] = {}
    if words:
        base = Recipe.read(tree).model_dump() if tree is not None else {}
        words, given = rows_to_file(words, base)
        tree = {**base, **words}
    if tree is None:
        raise fault("missing_key", key="model")
    asked = Recipe.read(tree, overrides)
    if resume and isinstance(recipe, str | Path):
        refuse_elsewhere(Path(recipe), asked)
    task = registry.build("task", asked.task)
    method = registry.build("method", asked.method)
    # A process that torchrun started anew goes on from where the one before it was.
    resume = resume or strict_resume or distributed.restarted()
    chosen = None if resume in (True, False, "last") or distributed.restarted() else Path(str(resume))
    with ExitStack() as held:
        tell, progress, ours = held.enter_context(listening(tell, progress))
        held.enter_context(named_as_given(given))
        tell("asked", recipe=asked)
        with distributed.joined() as world:
            with paused():  # torch and Transformers are imported here
                world.together(lambda: preflight(asked, task, method, progress=progress))
            resolved = resolve(asked, task, method)
            program = resident()
            world.together(lambda: refuse.refuse_base(resolved))
            folder = world.together(
                lambda: held.enter_context(claim(resolved, resume=bool(resume), changes=changes))
            )
            if distributed.restarted() and world.first:
                tell("notice", text="one of the processes died; all were started anew")
            if not folder.finished:
                _tune(
                    folder if world.first else replace(folder, silent=True),
                    resolved,
                    # Held by `_tune` alone, so that nothing of the training is left in memory when its model is judged.
                    _prepared(
                        folder,
                        resolved,
                        task,
                        method,
                        world=world,
                        program=program,
                        changes=changes,
                        tell=tell,
                        progress=progress,
                    ),
                    method,
                    world=world,
                    resume=bool(resume),
                    chosen=chosen,
                    strict=strict_resume,
                    watchers=[*ours, *watchers] if world.first else (),
                    tell=tell if world.first else silent,
                )
        memory.trim()  # what the training took is free by now, and the models that are judged need it
        run = Run(folder)
        return _judged(run, tell) if world.first and folder.state != "judged" else run


def _judged(run: Run, tell: Tell) -> Run:
    """What was trained is there, whatever becomes of its judging.

    Raises:
        WeitiaoError: `not_judged`, with what went wrong.
    """
    try:
        return evaluate(run, tell=tell)
    except Exception as error:
        why = str(error).strip() or type(error).__name__
        raise fault("not_judged", path=run.path, why=why) from error


def _prepared(
    folder: RunFolder,
    recipe: Recipe,
    task: Task,
    method: Method,
    *,
    world: World,
    program: int,
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
        refuse.refuse(recipe, own[0], method, program=program, processes=world.size, tell=tell)
        return own[0].shared()

    shared = world.together(first)
    return own[0] if own else follow(shared, recipe, method)


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
    from weitiao.train import checkpoint, loop
    from weitiao.train.watchers import Interrupt

    found, passed = world.together(lambda: checkpoint.newest(folder, chosen=chosen, strict=strict))
    for line in passed:
        tell("notice", text=line)
    world.together(lambda: checkpoint.set_aside(folder, newer_than=found))
    processes = checkpoint.processes(found) if found else world.size
    training = assemble(recipe, prepared, method, world=world, processes=processes, fresh=found is None)
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

    if world.first:
        told = folder.json("data/ledger.json").get("labels", {})
        rows = len(prepared.examples["validation"])
        for line in warnings(recipe, method, told, validation=rows, total=training.total):
            tell("notice", text=line)
    interrupt = Interrupt()
    padding = training.batches.padding()
    tell("training", steps=training.total, start=training.state.step, padding=padding)
    with memory.saving(wanted=recipe.train.activation_checkpointing and training.device == "cpu"):
        loop.fit(training, [*watching(folder, recipe, prepared, training, interrupt, tell), *watchers])
    if interrupt.caught:
        name = signal.Signals(interrupt.caught).name
        error = fault("interrupted", step=training.state.step, signal=name, path=folder.path)
        error.exit_code = 128 + interrupt.caught
        raise error

    state = training.state
    best = recipe.train.load_best_model_at_end and state.best_step
    if recipe.train.load_best_model_at_end and state.stale and not state.best_step:
        tell("notice", text=reason("never_a_number", metric=recipe.train.metric_for_best_model))
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
    ended = training.stop or "done"
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
    folder.log(event="end", step=state.step, epoch=training.epoch, best_step=kept, reason=ended, **took)
    card = {
        "task": registry.settings_of(recipe.task["name"], prepared.task),
        "method": recipe.method,
        "step": kept,
        "columns": sorted(prepared.splits["train"][0].values),
        "trained": prepared.trained,
        "total": prepared.total,
        "seconds": seconds,
    }
    store.save_tuned(folder.model, loaded, task=prepared.task, method=method, card=card)
    tell("saved", path=folder.model, step=kept, reason=ended, seconds=seconds)


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
