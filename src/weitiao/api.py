"""The Python words, one function a stage; the only room that sees all others.

    import weitiao as wt
    run = wt.train("recipe.yaml", overrides=["method.r=8"])       # or the same words as keyword arguments
    run.results["metrics"]["tuned"]["accuracy"]
    run.predict(["A wonderful film."])
    run = wt.load("runs/reviews-lora")
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Example, Method, Record, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Data, Recipe
from weitiao.core.run import RunFolder, claim, facts, open_run, read_lines, write_json, write_lines
from weitiao.data import encode, formats
from weitiao.data import check as checking
from weitiao.data import split as splitting
from weitiao.data.read import table_rows

if TYPE_CHECKING:
    from weitiao.models.fetch import Progress
    from weitiao.models.load import Loaded
    from weitiao.train.loop import Watcher

Tell = Callable[..., None]
"""How a stage says what it does: tell("split", train=..., ...).  Faces show it; scripts may ignore it."""


def silent(event: str, **facts: Any) -> None:
    """Tell nobody."""


# ---------------------------------------------------------------- words about data


def check(files: str | Path | Sequence[str | Path], *, task: str = "", **data: Any) -> checking.Checked:
    """What stands in some files, without loading a model: the ledger, bad rows and labels.

    Args:
        files: paths, or names of embedded data sets.
        task: guessed from the columns when empty.
        **data: keys of the recipe's `data` section.

    Raises:
        WeitiaoError: when a file as a whole cannot be read; bad rows are listed, not raised.
    """
    named = [str(file) for file in ([files] if isinstance(files, str | Path) else files)]
    section = Recipe.read({"model": "-", "task": "-", "output_dir": "-", "data": {**data, "train": named}}).data
    located = _located(section)
    return checking.inspect(located, registry.build("task", {"name": task or guess(located)["task"]}))


def guess(data: Data) -> dict[str, Any]:
    """The task and the columns that a file's header suggests: {"task": name, "columns": {ours: theirs}}.

    Raises:
        WeitiaoError: `unknown_row_format` when no task on the shelf can read such columns.
    """
    from weitiao.data.read import read

    source = read(data.train[:1], encoding=data.encoding)[0]
    for name in registry.names("task"):
        for shape in registry.entry("task", name).kind.formats:
            needs = formats.FORMATS[shape].needs
            columns = {ours: data.columns.get(ours) or formats.guess_column(ours, source.columns) for ours in needs}
            if all(columns.values()) and len(set(columns.values())) == len(columns):
                return {"task": name, "columns": {a: b for a, b in columns.items() if a != b}}
    raise fault("unknown_row_format", path=source.path, found=", ".join(source.columns))


def init(file: str | Path, *, model: str = "") -> str:
    """A commented recipe for a file, with its columns and task guessed.

    Raises:
        WeitiaoError: when the file cannot be read or its columns say nothing.
    """
    from weitiao.evaluate.baseline import without_spaces

    section = Data(train=[str(file)])
    found = guess(_located(section))
    section = Data(train=[str(file)], columns=found["columns"])
    task = registry.build("task", {"name": found["task"]})
    records = checking.inspect(_located(section), task).records
    texts = [task.key(record) for record in records]
    if not model:
        model = "smollm2-135m" if task.generates else "e5-small" if without_spaces(texts) else "minilm-l6"
    recipe = Recipe(model=model, task={"name": found["task"]}, data=section, output_dir=f"runs/{Path(file).stem}")
    return recipe.to_commented_yaml()


# ---------------------------------------------------------------- a run


@dataclass
class Run:
    """A run folder and what can be done with it."""

    folder: RunFolder
    device: str = field(default="")

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def recipe(self) -> Recipe:
        """What was asked, every default written out."""
        return self.folder.recipe

    @property
    def results(self) -> dict[str, Any]:
        """`results.json`: metrics with intervals, comparisons and the verdict."""
        return self.folder.json("results.json")

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @cached_property
    def task(self) -> Task:
        """The task with what the data taught it (its labels)."""
        from weitiao.models.store import read_card

        return registry.build("task", read_card(self.folder.model)["task"])

    @cached_property
    def tuned(self) -> Loaded:
        """The tuned model, loaded from the folder once."""
        from weitiao.models.load import pick_device
        from weitiao.models.store import load_tuned

        self.device = self.device or pick_device()
        recipe = self.recipe
        method = registry.build("method", recipe.method)
        return load_tuned(self.folder.model, ref=recipe.model, task=self.task, method=method, device=self.device)

    def predict(self, texts: Sequence[str], *, progress: Callable[[int, int], None] | None = None) -> list[dict[str, Any]]:
        """One prediction a text: {"label", "score", "scores"}.

        Raises:
            WeitiaoError: `unfinished_run`, `broken_model`; `wrong_usage` for a generative task, which answers instead.
        """
        if self.task.generates:
            way = f'run.answer([{{"role": "user", "content": ...}}]), or weitiao chat {self.path}'
            raise fault("wrong_usage", why="this model answers, it does not label", way=way)
        records = [Record("<texts>", i, self.task.record(text)) for i, text in enumerate(texts, start=1)]
        for record in records:
            if not isinstance(record.values["text"], str) or not record.values["text"].strip():
                raise fault("wrong_usage", why=f"text {record.line} is empty", way="give text that says something")
        return self._predict(list(self.task.encode(records, self.tuned.processor, limit=self._limit)), progress)

    def _predict(self, examples: Sequence[Example], progress: Callable[[int, int], None] | None) -> list[dict[str, Any]]:
        from weitiao.evaluate.predict import predict

        train = self.recipe.train
        return predict(
            self.tuned,
            self.task,
            examples,
            batch_size=train.per_device_eval_batch_size,
            device=self.device,
            bf16=bool(train.bf16),
            progress=progress,
        )

    @property
    def _limit(self) -> int:
        return min(self.recipe.data.max_length or self.tuned.limit, self.tuned.limit)

    def answer(self, messages: Sequence[Mapping[str, str]], *, max_new_tokens: int = 200, **options: Any) -> str:
        """The tuned model's next turn (generative tasks), rendered by the template that training used."""
        from weitiao.evaluate.predict import answer

        return answer(self.tuned, messages, max_new_tokens=max_new_tokens, device=self.device, **options)


def load(path: str | Path) -> Run:
    """The run in a folder.

    Raises:
        WeitiaoError: `no_run`.
    """
    return Run(open_run(path))


def runs(folder: str | Path = "runs") -> list[Run]:
    """Every run directly below a folder, newest first."""
    found = sorted(Path(folder).glob("*/recipe.yaml"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [Run(RunFolder(path.parent)) for path in found]


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
            _tune(folder, resolved, task, method, strict=strict_resume, watchers=watchers, tell=tell, progress=progress)
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
    if rows is None or isinstance(rows, str) or (isinstance(rows, list) and all(isinstance(r, str) for r in rows)):
        return {**words, "data": {"train": rows}} if isinstance(data, str | list) else dict(words)
    if "output_dir" not in words:
        raise fault("missing_key", key="output_dir")
    lines = table_rows(rows)
    name = hashlib.sha256(json.dumps(lines, sort_keys=True, default=str).encode()).hexdigest()[:12]
    path = Path(words["output_dir"]) / "data" / f"rows-{name}.jsonl"
    write_lines(path, lines)
    rest = dict(data) if isinstance(data, Mapping) else {}
    return {**words, "data": {**rest, "train": str(path)}}


def _located(data: Data, *, progress: Progress | None = None) -> Data:
    """The section with embedded names replaced by the files they stand for, fetched if need be."""
    from weitiao.models import catalog

    def place(name: str) -> str:
        plain, mark, rows = name.partition("#")
        known = plain in catalog.DATASETS and not Path(plain).exists()
        return f"{catalog.dataset_path(plain, progress=progress)}{mark}{rows}" if known else name

    return data.model_copy(update={"train": [place(name) for name in data.train]})


# ---------------------------------------------------------------- tuning


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
    checked = checking.check(_located(recipe.data, progress=progress), task, seed=seed)
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
        loop.cast_frozen(loaded.model)
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
        places=lambda rows: ", ".join(splits["train"][row].place for row in rows[:8]) + (" ..." if len(rows) > 8 else ""),
    )
    _go_on(folder, training, strict=strict, tell=tell)

    def measure() -> dict[str, float]:
        found = predict(
            loaded, task, examples["validation"], batch_size=settings.per_device_eval_batch_size, device=device, bf16=bf16
        )
        return task.measure(found, examples["validation"])

    higher = not (settings.metric_for_best_model == "loss" or settings.metric_for_best_model == task.primary and not task.higher_is_better)
    interrupt = around.Interrupt()
    ours: list[Watcher] = [around.Log(folder)]
    if examples["validation"]:
        ours.append(
            around.Validate(
                folder, measure, settings.metric_for_best_model, higher, settings.eval_strategy, settings.eval_steps
            )
        )
        if settings.early_stopping_patience is not None:
            ours.append(around.EarlyStop(folder, settings.early_stopping_patience))
    keep_best = settings.load_best_model_at_end
    save = around.Save(folder, settings.save_strategy, settings.save_steps, settings.save_total_limit, keep_best)
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
    folder.log(event="end", step=state.step, epoch=training.epoch, best_step=chosen, reason=training.stop or "done", seconds=seconds)
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


# ---------------------------------------------------------------- judging


def evaluate(run: Run | str | Path, *, tell: Tell = silent) -> Run:
    """Judge the saved model on the locked test rows, beside the untuned one and a baseline; write the report.

    What is judged is the model as it lies in the folder, read back from disk.

    Raises:
        WeitiaoError: `unfinished_run`, `broken_model`, and what loading raises.
    """
    from weitiao.evaluate.metrics import JUDGES
    from weitiao.evaluate.report import write_report
    from weitiao.evaluate.verdict import verdict
    from weitiao.models.store import read_card

    run = run if isinstance(run, Run) else load(run)
    folder, recipe = run.folder, run.recipe
    settings, started = recipe.evaluate, time.perf_counter()
    card = read_card(folder.model)
    task = run.task
    records = [_from_line(line) for line in read_lines(folder.path / "data" / "test.jsonl")]
    if not records:
        return run  # data.split.test was 0: there is nothing to judge by
    tell("judging", rows=len(records))
    examples = list(task.encode(records, run.tuned.processor, limit=run._limit))
    references = [task.reference(record) for record in records]
    systems = {"tuned": run._predict(examples, lambda done, all: tell("judged", done=done, all=all))}
    prompts = _sample_prompts(references, settings.samples) if task.generates else []
    answers = {"tuned": [_sample_answer(run, prompt) for prompt in prompts]}
    if settings.untuned:
        untuned = _untuned(run)
        systems["untuned"] = untuned._predict(examples, lambda done, all: tell("judged", done=done, all=all))
        answers["untuned"] = [_sample_answer(untuned, prompt) for prompt in prompts]
    if settings.baseline == "tfidf" and task.judge == "labels":
        systems["tfidf"] = _baseline(run, records)
    labels = getattr(task, "labels", ())
    judged = JUDGES[task.judge](references, systems, settings=settings, seed=recipe.seed, labels=labels)
    results = {
        "task": recipe.task["name"],
        "model": recipe.model,
        "method": recipe.method["name"],
        "primary": task.primary,
        "higher_is_better": task.higher_is_better,
        "rows": len(records),
        **judged,
        "samples": [
            {
                "prompt": "\n".join(turn["content"] for turn in row["prompt"]),
                "reference": row["reference"],
                **{name: given[i] for name, given in answers.items()},
            }
            for i, row in enumerate(prompts)
        ],
        "trainable": {"trained": card["trained"], "total": card["total"]},
        "seconds": {"train": card["seconds"], "evaluate": time.perf_counter() - started},
        "usage": usage(run),
    }
    results["verdict"] = verdict(results, confidence=settings.confidence)
    write_json(folder.path / "results.json", results)
    lines = [
        {"file": record.file, "line": record.line, **_plain(reference), **{name: rows[i] for name, rows in systems.items()}}
        for i, (record, reference) in enumerate(zip(records, references, strict=True))
    ]
    write_lines(folder.path / "predictions.jsonl", lines)
    write_report(folder.path)
    tell("results", results=results, report=run.report)
    return run


def _plain(reference: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: "\n".join(turn["content"] for turn in value) if key == "prompt" else value for key, value in reference.items()
    }


def _from_line(line: dict[str, Any]) -> Record:
    file, number = line.pop("file"), line.pop("line")
    return Record(file, number, line)


def _untuned(run: Run) -> Run:
    """The same run with the model as it was before: the base, and a head as it was drawn."""
    from weitiao.models.load import load as load_model

    before = Run(run.folder, device=run.device)
    before.__dict__["task"] = run.task
    before.__dict__["tuned"] = load_model(run.recipe.model, run.task, seed=run.recipe.seed, device=run.device)
    return before


def _baseline(run: Run, records: Sequence[Record]) -> list[dict[str, Any]]:
    from weitiao.evaluate.baseline import tfidf

    recipe = run.recipe
    rows = checking.check(_located(recipe.data), registry.build("task", recipe.task), seed=recipe.seed).records
    training = set(run.folder.json("data/split.json")["train"])
    kept = [record for record in rows if f"{record.file}:{record.line}" in training]
    texts, labels = [r.values["text"] for r in kept], [r.values["label"] for r in kept]
    return [{"label": label} for label in tfidf(texts, labels, [record.values["text"] for record in records])]


def _sample_prompts(references: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The first test rows with a short prompt, so that a reader can take them in."""
    short = [row for row in references if sum(len(turn["content"]) for turn in row["prompt"]) <= 300]
    return short[:count]


def _sample_answer(run: Run, row: Mapping[str, Any]) -> str:
    return run.answer(row["prompt"], max_new_tokens=run.recipe.evaluate.max_new_tokens, bf16=bool(run.recipe.train.bf16))


def usage(run: Run) -> list[dict[str, str]]:
    """How the tuned model is used: on the command line, from Python, and without weitiao."""
    path, base = run.path, run.tuned.source
    auto = run.task.auto_class
    options = run.task.model_options()
    if run.task.generates:
        line, call = f"weitiao chat {path}", 'run.answer([{"role": "user", "content": "..."}])'
    else:
        line, call = f'weitiao predict {path} "..."', 'run.predict(["..."])'
    python = f'import weitiao as wt\n\nrun = wt.load("{path}")\nprint({call})'
    if registry.entry("method", run.recipe.method["name"]).kind.layout == "peft":
        extra = f", num_labels={options['num_labels']}" if options else ""
        without = (
            f"from peft import PeftModel\nfrom transformers import {auto}, AutoTokenizer\n\n"
            f'base = {auto}.from_pretrained("{base}"{extra})\n'
            f'model = PeftModel.from_pretrained(base, "{path}/model")\n'
            f'tokenizer = AutoTokenizer.from_pretrained("{path}/model")'
        )
        title = "Without weitiao: PEFT"
    else:
        without = (
            f"from transformers import {auto}, AutoTokenizer\n\n"
            f'model = {auto}.from_pretrained("{path}/model")\n'
            f'tokenizer = AutoTokenizer.from_pretrained("{path}/model")'
        )
        title = "Without weitiao: Transformers"
    return [
        {"title": "Command line", "code": line},
        {"title": "Python", "code": python},
        {"title": title, "code": without},
    ]

