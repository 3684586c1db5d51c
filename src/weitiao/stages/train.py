"""The story of a run, to be read from top to bottom.

    does the recipe fit? -> the folder is claimed -> _tune -> the model on disk is judged
    _tune: rows and model made ready -> put together -> gone on with -> the steps -> the best is kept -> saved

Process 0 of several reads, writes and speaks; what the others do here, they do in step with it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from weitiao.core import registry
from weitiao.core.contracts import Method, Task
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import read_lines
from weitiao.core.gc_pause import paused
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder, claim
from weitiao.core.why import reason
from weitiao.data.overlong import uncut
from weitiao.stages.assemble import assemble, watching
from weitiao.stages.dealt import hand_on
from weitiao.stages.evaluate import evaluate
from weitiao.stages.events import Tell, silent
from weitiao.stages.preflight import preflight, resolve
from weitiao.stages.prepare import Prepared, follow, prepare, row_limit
from weitiao.stages.resume import FRESH, Resume
from weitiao.stages.run import Run
from weitiao.stages.warn import cut_much, unknown_words, warnings, written_cut, written_otherwise
from weitiao.train import distributed, memory
from weitiao.train.distributed import World

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress
    from weitiao.models.load import Loaded
    from weitiao.train.loop import Training, Watcher


class Refusal(Protocol):
    """Whoever says, before anything is spent, that a run cannot fit."""

    def base(self, recipe: Recipe) -> None:
        """Before rows are read: not even the base fits."""

    def run(self, recipe: Recipe, prepared: Prepared, method: Method, *, processes: int, tell: Tell) -> None:
        """Before the first step: with these rows the run does not fit."""


@dataclass(frozen=True)
class Way:
    """What all steps of one run go by."""

    recipe: Recipe
    """Resolved."""
    task: Task
    method: Method
    folder: RunFolder
    world: World
    resume: Resume
    refusal: Refusal
    watchers: Sequence[Watcher]
    tell: Tell
    progress: Progress | None
    shared: Path | None = None
    """Where runs of one study keep what others need too."""


def train(
    asked: Recipe,
    *,
    refusal: Refusal,
    resume: Resume = FRESH,
    watchers: Iterable[Watcher] = (),
    tell: Tell = silent,
    progress: Progress | None = None,
    shared: Path | None = None,
) -> Run:
    """The whole way of one run into its folder.

    Args:
        asked: the recipe.
        refusal: says that it cannot fit.
        resume: whether it goes on.
        watchers: asked after ours.
        tell: hears what happens.
        progress: hears (bytes, all bytes) of what is fetched.
        shared: where runs of one study keep what others need too.

    Raises:
        WeitiaoError: everything that `weitiao.core.messages` lists.
    """
    task, method = registry.build("task", asked.task), registry.build("method", asked.method)
    tell("asked", recipe=asked)
    with ExitStack() as claimed:
        with distributed.joined() as world:
            with paused():  # torch and Transformers are imported here
                world.together(lambda: preflight(asked, task, method, progress=progress))
            recipe = resolve(asked, task, method)
            if resume.pause_after is not None and recipe.train.eval_strategy == "no":
                raise fault("needs_validation", why="--pause-after")
            world.together(lambda: refusal.base(recipe))
            folder = world.together(
                lambda: claimed.enter_context(claim(recipe, resume=resume.wanted, changes=resume.changes))
            )
            if distributed.restarted() and world.first:
                tell("notice", text=reason("process_died"))
            ours = replace(folder, silent=not world.first)
            heard = tell if world.first else silent
            own = list(watchers) if world.first else []
            way = Way(recipe, task, method, ours, world, resume, refusal, own, heard, progress, shared)
            if not folder.finished and not _tune(way):
                return Run(folder)
            repeated = _repeat(way)
        memory.trim()  # what the training took is free by now, and the models that are judged need it
        run = Run(folder)
        return _judge(run, tell) if world.first and (repeated or folder.state != "judged") else run


def _tune(way: Way) -> bool:
    """From rows and base to the tuned model in the folder; nothing of it is left in memory afterwards.

    Returns:
        Whether it came to its end; not where it was asked to pause.
    """
    begun, passed = _look_for_a_checkpoint(way)
    prepared = _make_ready(way)
    _set_aside(way, begun, passed)
    training = _put_together(way, prepared, begun)
    _go_on(way, training, begun)
    _warn(way, prepared, training)
    if not _take_the_steps(way, prepared, training):
        return False
    kept = _keep_the_best(way, training)
    loaded = _whole(way, prepared, training)
    if way.world.first:
        task = _settle(way, prepared, loaded)
        _save(way, prepared, training, loaded, task, step=kept)
    return True


def _repeat(way: Way) -> int:
    """The same run with other seeds, as often as `evaluate.noise_runs` says; how many of them are judged now.

    What was tuned is there, whatever becomes of them; an interruption ends all, and is gone on from.
    """
    from weitiao.stages import noise

    asked, done = way.world.together(lambda: noise.repetitions(way.folder)), 0
    for number, recipe in enumerate(asked, start=1):
        way.tell("notice", text=reason("noise_run", number=number, of=len(asked), seed=recipe.seed))
        try:
            _once_more(way, recipe)
            done += 1
        except Exception as error:  # whatever it is: the run itself is trained, and it is said
            if way.world.size > 1 or (isinstance(error, WeitiaoError) and error.code == "interrupted"):
                raise
            why = str(error).strip().partition("\n")[0] or type(error).__name__
            way.tell("notice", text=reason("noise_run_failed", seed=recipe.seed, why=why))
    return done


def _once_more(way: Way, recipe: Recipe) -> None:
    """One repetition: trained, judged by the same code, and its weights given up."""
    from weitiao.stages import noise

    with ExitStack() as claimed:
        folder = way.world.together(
            lambda: claimed.enter_context(claim(recipe, resume=True, changes=way.resume.changes))
        )
        if way.world.first:
            hand_on(way.folder, folder, recipe)
        ours, again = replace(folder, silent=not way.world.first), replace(way.resume, wanted=folder.begun)
        if not folder.finished:
            _tune(
                replace(
                    way, recipe=recipe, folder=ours, resume=replace(again, checkpoint=None, pause_after=None)
                )
            )
        memory.trim()

        def judge() -> None:
            _judge(Run(folder), silent)
            noise.slim(folder)

        way.world.together(judge)


def _make_ready(way: Way) -> Prepared:
    """Process 0 reads and encodes, and refuses what cannot fit; the others take over what it found."""
    own: list[Prepared] = []

    def first() -> dict[str, Any]:
        # Other machines see the run folder, and hardly this one's cache.
        cache = way.folder.path / "data" / "encoded" if way.world.several_machines else None
        words: dict[str, Any] = {"tell": way.tell, "progress": way.progress, "changes": way.resume.changes}
        own.append(prepare(way.folder, way.recipe, way.task, way.method, cache=cache, **words))
        way.refusal.run(way.recipe, own[0], way.method, processes=way.world.size, tell=way.tell)
        return own[0].shared()

    shared = way.world.together(first)
    return own[0] if own else follow(shared, way.recipe, way.method)


def _look_for_a_checkpoint(way: Way) -> tuple[Path | None, list[str]]:
    """The one to go on from, and what is said of those that are passed over; one that is not there is told at once."""
    from weitiao.train import checkpoint

    def looked() -> tuple[Path | None, list[str]]:
        return checkpoint.newest(way.folder, chosen=way.resume.checkpoint, strict=way.resume.strict)

    return way.world.together(looked)


def _set_aside(way: Way, found: Path | None, passed: list[str]) -> None:
    """Those behind the one that is gone on from, once rows and base were found to be the run's."""
    from weitiao.train import checkpoint

    for line in passed:
        way.tell("notice", text=line)
    way.world.together(lambda: checkpoint.set_aside(way.folder, newer_than=found))
    if way.resume.wanted and found is None:
        text = f"{way.folder.path} has no checkpoint to go on from: this run starts at step 0"
        way.tell("notice", text=text)


def _put_together(way: Way, prepared: Prepared, begun: Path | None) -> Training:
    """Model, rows, loss and optimiser: no step taken yet."""
    from weitiao.train import checkpoint

    processes = checkpoint.processes(begun) if begun else way.world.size
    words: dict[str, Any] = {"processes": processes, "fresh": begun is None, "tell": way.tell}
    return assemble(way.recipe, prepared, way.method, world=way.world, **words)


def _go_on(way: Way, training: Training, begun: Path | None) -> None:
    """Everything as it was when the checkpoint was written; the log forgets what came after it."""
    from weitiao.train import checkpoint

    if begun is not None:
        checkpoint.load(begun, training)
        way.tell("resumed", step=training.state.step, checkpoint=begun.name)
        state = training.state
        if way.recipe.train.load_best_model_at_end and not checkpoint.has_best(way.folder, state):
            text = f"checkpoint-{state.best_step}, the best so far, is gone: what is best is looked for anew"
            way.tell("notice", text=text)
            state.best, state.best_step, state.best_loss, state.stale = None, 0, None, 0
    way.world.together(lambda: way.folder.forget_after(training.state.step))


def _warn(way: Way, prepared: Prepared, training: Training) -> None:
    """What could go wrong and is not refused."""
    if way.world.first:
        labels = way.folder.json("data/ledger.json").get("labels", {})
        rows = len(prepared.examples["validation"])
        lines = warnings(way.recipe, way.method, labels, validation=rows, total=training.total)
        train, most = prepared.examples["train"], prepared.loaded.limit - way.method.positions
        cut = cut_much(way.recipe, prepared.task, uncut(train), most=most)
        words = way.recipe, prepared.task, prepared.loaded.processor
        strange = unknown_words(*words, train)
        other = written_otherwise(*words, prepared.splits["train"], train)
        for line in [*lines, *cut, *written_cut(train), *strange, *other]:
            way.tell("notice", text=line)


def _take_the_steps(way: Way, prepared: Prepared, training: Training) -> bool:
    """To the end, or to the interruption that was asked for: a checkpoint is there then.

    Returns:
        Whether it is the end; not at a pause.

    Raises:
        WeitiaoError: `interrupted`; what the loop raises.
    """
    from weitiao.train import loop
    from weitiao.train.watchers import PAUSED, Interrupt

    interrupt = Interrupt(way.resume.pause_after)
    padding = training.batches.padding()
    way.tell("training", steps=training.total, start=training.state.step, padding=padding)
    ours = watching(way.folder, way.recipe, prepared, training, interrupt, way.tell, way.shared)
    with memory.saving(wanted=way.recipe.train.activation_checkpointing and training.device == "cpu"):
        loop.fit(training, [*ours, *way.watchers])
    if interrupt.caught:
        name = signal.Signals(interrupt.caught).name
        error = fault("interrupted", step=training.state.step, signal=name, path=way.folder.path)
        error.exit_code = 128 + interrupt.caught
        raise error
    if training.stop == PAUSED:
        way.tell("notice", text=reason("paused", step=training.state.step, path=way.folder.path))
    return training.stop != PAUSED


def _keep_the_best(way: Way, training: Training) -> int:
    """Put the weights into the model that are to be saved; the step that they are from."""
    from weitiao.train import checkpoint

    state, settings = training.state, way.recipe.train
    if settings.load_best_model_at_end and state.stale and not state.best_step:
        way.tell("notice", text=reason("never_a_number", metric=settings.metric_for_best_model))
    kept = (settings.load_best_model_at_end and state.best_step) or state.step
    if kept != state.step:
        checkpoint.load_weights(way.folder.path / f"checkpoint-{kept}", training)
    elif training.ema:
        training.ema.keep()
    return kept


def _whole(way: Way, prepared: Prepared, training: Training) -> Loaded:
    """The model that is to be saved: the one that was trained, or put together again where it lies in shares."""
    from weitiao.models import batch_norms

    if way.recipe.train.data_parallel == "ddp" or way.world.size == 1:
        return prepared.loaded
    weights = {name: training.objective.whole(weight.detach()) for name, weight in training.weights.items()}
    if way.world.first:
        prepared = follow(prepared.shared(), way.recipe, way.method)
        for name, weight in prepared.loaded.trained.items():
            weight.data.copy_(weights[name])
        batch_norms.take_over(prepared.loaded.model, training.model)
    return prepared.loaded


def _settle(way: Way, prepared: Prepared, loaded: Loaded) -> Task:
    """The task with what is chosen on the validation rows, once the weights are those that are saved."""
    from weitiao.evaluate.predict import predict

    task, examples, train = prepared.task, prepared.examples["validation"], way.recipe.train
    if not task.settles:
        return task
    size = train.per_device_eval_batch_size
    words: dict[str, Any] = {"batch_size": size, "device": prepared.device, "half": train.half}
    words["longest"] = way.recipe.data.max_length
    settled = task.settle(examples, predict(loaded, task, examples, **words)) if len(examples) else task
    if settled == task.unsettled():
        way.tell("notice", text=reason("nothing_settled", rows=len(examples)))
    return settled


def _save(way: Way, prepared: Prepared, training: Training, loaded: Loaded, task: Task, *, step: int) -> None:
    """The tuned model with its card, and the last line of the log."""
    from weitiao.models import peft_reads, store

    state, folder = training.state, way.folder
    if state.skipped:
        way.tell("notice", text=reason("steps_left_out", count=state.skipped))
    if state.halvings:
        way.tell("notice", text=reason("micro_batches_halved", count=state.halvings))
    # Summed over the log, so that the time before a resume counts too.
    log = read_lines(folder.path / "log.jsonl")
    seconds = sum(fact["seconds"] for fact in log if fact["event"] == "step")
    ended = training.stop or "done"
    took = {"seconds": seconds, **memory.peak()}
    folder.log(event="end", step=state.step, epoch=training.epoch, best_step=step, reason=ended, **took)
    card = {
        "task": registry.settings_of(way.recipe.task["name"], task),
        "method": way.recipe.method,
        "step": step,
        "columns": sorted(prepared.splits["train"][0].values),
        "trained": prepared.trained,
        "total": prepared.total,
        "seconds": seconds,
    }
    files = task.files(loaded.model, limit=row_limit(way.recipe, loaded, way.method))
    store.save_tuned(folder.model, loaded, task=task, method=way.method, card=card, files=files)
    way.tell("saved", path=folder.model, step=step, reason=ended, seconds=seconds)
    if lost := peft_reads.left_out(folder.model, loaded.source, task):
        names = ", ".join(lost[:3]) + (" ..." if len(lost) > 3 else "")
        way.tell("notice", text=reason("peft_leaves_out", count=len(lost), names=names, run=folder.path))


def _judge(run: Run, tell: Tell) -> Run:
    """What was trained is there, whatever becomes of its judging.

    Raises:
        WeitiaoError: `not_judged`, with what went wrong.
    """
    try:
        return evaluate(run, tell=tell)
    except Exception as error:  # whatever it is: it must not look as if nothing was trained
        why = str(error).strip() or type(error).__name__
        raise fault("not_judged", path=run.path, why=why) from error
