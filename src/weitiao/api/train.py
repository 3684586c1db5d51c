"""The whole way into a run folder: check, split, encode, tune, save, then judge."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.api.data import located
from weitiao.api.evaluate import evaluate
from weitiao.api.run import Run
from weitiao.core import registry
from weitiao.core.contracts import Example, Method, Record, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Recipe
from weitiao.core.run import RunFolder, claim, facts, write_json, write_lines
from weitiao.data import check as checking
from weitiao.data import encode
from weitiao.data import split as splitting
from weitiao.data.read import table_rows

if TYPE_CHECKING:
    from weitiao.models.fetch import Progress
    from weitiao.models.load import Loaded
    from weitiao.train.loop import Watcher

from weitiao.api.tell import Tell, silent


def train(
    recipe: str | Path | Mapping[str, Any] | Recipe | None = None,
    *,
    overrides: Iterable[str] = (),
    resume: bool = False,
    strict_resume: bool = False,
    watchers: Iterable[Watcher] = (),
    tell: Tell = silent,
    progress: Progress | None = None,
    **words: Any,
) -> Run:
    """Check, split, encode, tune, save, judge and report: the whole way into `output_dir`.

    Args:
        recipe: a YAML file, a mapping or a `Recipe`; or leave it out and give its keys as keywords.
        overrides: `key=value` words on top, such as `"train.learning_rate=1e-4"`.
        resume: go on from the newest sound checkpoint of `output_dir`.
        strict_resume: refuse when the newest checkpoint is not sound, instead of taking an older one.
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
        tree = {**(Recipe.read(tree).model_dump() if tree is not None else {}), **_rows_to_file(words)}
    if tree is None:
        raise fault("missing_key", key="model")
    asked = Recipe.read(tree, overrides)
    task = registry.build("task", asked.task)
    method = registry.build("method", asked.method)
    why = method.refuses(task)
    if why:
        way = "take another method (`weitiao methods`)"
        raise fault("no_such_pair", method=asked.method["name"], task=asked.task["name"], why=why, way=way)
    resolved = _resolved(asked, task, method)
    with claim(resolved, resume=resume or strict_resume) as folder:
        if not folder.finished:
            _tune(
                folder,
                resolved,
                task,
                method,
                strict=strict_resume,
                watchers=watchers,
                tell=tell,
                progress=progress,
            )
        run = Run(folder)
        return evaluate(run, tell=tell) if folder.state != "judged" else run


def _resolved(recipe: Recipe, task: Task, method: Method) -> Recipe:
    """The recipe with everything written out that depends on method and machine."""
    from weitiao.models.load import fast_bf16, pick_device

    train = recipe.train
    fixed = {
        "learning_rate": train.learning_rate or method.learning_rate,
        "bf16": fast_bf16(pick_device()) if train.bf16 == "auto" else train.bf16,
    }
    choosing = []
    if not recipe.data.split.validation:
        choosing += ["train.eval_strategy"] * (train.eval_strategy != "no")
    if not recipe.data.split.validation or train.eval_strategy == "no":
        choosing += ["train.load_best_model_at_end"] * train.load_best_model_at_end
        choosing += ["train.early_stopping_patience"] * (train.early_stopping_patience is not None)
    if choosing:
        raise fault("needs_validation", why=", ".join(choosing))
    return recipe.model_copy(
        update={
            "train": train.model_copy(update=fixed),
            "task": registry.settings_of(recipe.task["name"], task),
            "method": registry.settings_of(recipe.method["name"], method),
        }
    )


def _rows_to_file(words: Mapping[str, Any]) -> dict[str, Any]:
    """Rows given in memory become a file of the run, so that a table is read, checked and resumed like any other."""
    import hashlib
    import json

    data = words.get("data")
    rows = data.get("train") if isinstance(data, Mapping) else data
    if (
        rows is None
        or isinstance(rows, str)
        or (isinstance(rows, list) and all(isinstance(r, str) for r in rows))
    ):
        return {**words, "data": {"train": rows}} if isinstance(data, str | list) else dict(words)
    if "output_dir" not in words:
        raise fault("missing_key", key="output_dir")
    lines = table_rows(rows)
    name = hashlib.sha256(json.dumps(lines, sort_keys=True, default=str).encode()).hexdigest()[:12]
    path = Path(words["output_dir"]) / "data" / f"rows-{name}.jsonl"
    write_lines(path, lines)
    rest = dict(data) if isinstance(data, Mapping) else {}
    return {**words, "data": {**rest, "train": str(path)}}


def _tune(
    folder: RunFolder,
    recipe: Recipe,
    task: Task,
    method: Method,
    *,
    strict: bool,
    watchers: Iterable[Watcher],
    tell: Tell,
    progress: Progress | None,
) -> None:
    from weitiao.data.pack import Batches
    from weitiao.evaluate.predict import predict
    from weitiao.models import anatomy, load, store
    from weitiao.train import checkpoint, loop, optim
    from weitiao.train import watchers as around

    started = time.perf_counter()
    settings, seed = recipe.train, recipe.seed
    if not recipe.data.train:
        raise fault("missing_key", key="data.train")
    checked = checking.check(located(recipe.data, progress=progress), task, seed=seed)
    task, ledger = checked.task, checked.ledger
    splits = splitting.split(checked.records, task, recipe.data.split, seed=seed)
    tell("data", ledger=ledger, splits={name: len(rows) for name, rows in splits.items()})

    tell("loading", model=recipe.model)
    device = load.pick_device()
    loaded = load.load(recipe.model, task, seed=seed, device=device, progress=progress)
    store.prepare(loaded, method, seed=seed)
    counts = anatomy.parameter_counts(loaded.model)
    limit = _row_limit(recipe, loaded)

    examples: dict[str, list[Example]] = {}
    for name, rows in splits.items():
        splits[name], examples[name] = encode.encode(
            rows, task, loaded.processor, data=recipe.data, limit=limit, ledger=ledger
        )
        if rows and not examples[name]:
            raise fault("too_few_rows", rows=len(rows), why=f"every {name} row is too long", needed=1)
    ledger.split = {name: len(rows) for name, rows in splits.items()}
    ledger.labels = checking.label_table(splits, task)
    ledger.tokens = encode.token_table(examples["train"], limit=limit)
    prints = {
        "data": " ".join(file["sha256"] for file in ledger.files),
        "base": load.fingerprint(loaded.source),
    }
    before = folder.json("facts.json").get("fingerprints", prints)
    for what, now in prints.items():
        if before[what] != now:
            raise fault("other_data", path=folder.path, what=what, before=before[what][:12], after=now[:12])
    write_json(folder.path / "facts.json", facts(seed=seed, device=device, fingerprints=prints))
    write_json(folder.path / "data" / "ledger.json", ledger.to_dict())
    ids = {name: [f"{record.file}:{record.line}" for record in rows] for name, rows in splits.items()}
    write_json(folder.path / "data" / "split.json", ids)
    write_lines(folder.path / "data" / "test.jsonl", [_as_line(record) for record in splits["test"]])
    tell("encoded", ledger=ledger, trained=counts[0], total=counts[1])

    bf16 = bool(settings.bf16)
    if bf16 and method.layout == "peft":
        anatomy.cast_frozen(loaded.model)
    batches = Batches(
        examples["train"],
        lambda rows, indices: task.collate(rows, indices, loaded.processor),
        settings.per_device_train_batch_size,
        settings.gradient_accumulation_steps,
        seed,
        settings.train_sampling_strategy,
    )
    assert settings.learning_rate is not None  # resolved
    training = loop.Training(
        model=loaded.model,
        method=method,
        task=task,
        batches=batches,
        settings=settings,
        optimizer=optim.adamw(loaded.model, settings, learning_rate=settings.learning_rate),
        device=device,
        bf16=bf16,
        seed=seed,
        snapshot=method.snapshot(loaded.model) if task.needs_base else {},
        places=lambda rows: (
            ", ".join(splits["train"][row].place for row in rows[:8]) + (" ..." if len(rows) > 8 else "")
        ),
    )
    _go_on(folder, training, strict=strict, tell=tell)

    def measure() -> dict[str, float]:
        found = predict(
            loaded,
            task,
            examples["validation"],
            batch_size=settings.per_device_eval_batch_size,
            device=device,
            bf16=bf16,
        )
        return task.measure(found, examples["validation"])

    higher = not (
        settings.metric_for_best_model == "loss"
        or settings.metric_for_best_model == task.primary
        and not task.higher_is_better
    )
    interrupt = around.Interrupt()
    ours: list[Watcher] = [around.Log(folder)]
    if examples["validation"]:
        ours.append(
            around.Validate(
                folder,
                measure,
                settings.metric_for_best_model,
                higher,
                settings.eval_strategy,
                settings.eval_steps,
            )
        )
        if settings.early_stopping_patience is not None:
            ours.append(around.EarlyStop(folder, settings.early_stopping_patience))
    keep_best = settings.load_best_model_at_end
    save = around.Save(
        folder, settings.save_strategy, settings.save_steps, settings.save_total_limit, keep_best
    )
    tell("training", steps=training.total, start=training.state.step, training=training)
    loop.fit(training, [*ours, interrupt, save, *watchers])
    if interrupt.caught:
        name = signal.Signals(interrupt.caught).name
        error = fault("interrupted", step=training.state.step, signal=name, path=folder.path)
        error.exit_code = 128 + interrupt.caught
        raise error

    state = training.state
    chosen = state.best_step if keep_best and state.best_step else state.step
    if chosen != state.step:
        checkpoint.load_weights(folder.path / f"checkpoint-{chosen}", training)
    seconds = time.perf_counter() - started
    folder.log(
        event="end",
        step=state.step,
        epoch=training.epoch,
        best_step=chosen,
        reason=training.stop or "done",
        seconds=seconds,
    )
    card = {
        "task": registry.settings_of(recipe.task["name"], task),
        "method": recipe.method,
        "step": chosen,
        "trained": counts[0],
        "total": counts[1],
        "seconds": seconds,
    }
    store.save_tuned(folder.model, loaded, task=task, method=method, card=card)
    tell("saved", path=folder.model, step=chosen, reason=training.stop or "done", seconds=seconds)


def _row_limit(recipe: Recipe, loaded: Loaded) -> int:
    asked = recipe.data.max_length
    if asked and asked > loaded.limit:
        why = f"{recipe.model} has {loaded.limit} positions"
        raise fault("wrong_value", key="data.max_length", value=asked, why=why)
    return asked or loaded.limit


def _go_on(folder: RunFolder, training: Any, *, strict: bool, tell: Tell) -> None:
    from weitiao.train import checkpoint

    found, passed = checkpoint.newest(folder, strict=strict)
    for line in passed:
        tell("notice", text=line)
    if found is not None:
        checkpoint.load(found, training)
        tell("resumed", step=training.state.step, checkpoint=found.name)
    folder.forget_after(training.state.step)


def _as_line(record: Record) -> dict[str, Any]:
    return {"file": record.file, "line": record.line, **record.values}
