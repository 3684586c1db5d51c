"""What a reference says of rows (`Task.hears`): asked once, and kept under a print of everything that decides it.

    training and validation rows  ->  ask(...)  ->  {"train": (N, K), "validation": (N, K)}
    rows that are judged          ->  of(run, examples)  ->  (N, K)

The reference is the model as it was before training, of which no copy is needed: before the first step it is there, with the
method turned off, or with what another run has learnt (`start_from`).  Or it is another one (`Task.helper`).  It is asked in
evaluation mode and in the run's precision.  Other weights, rows, template, limit, precision or code have another print, so that
nothing stale is ever read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from weitiao.core import registry
from weitiao.core.contracts import Example, Method, Task
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import write_json
from weitiao.core.recipe import Recipe
from weitiao.core.run import open_run
from weitiao.core.why import reason
from weitiao.data.code import code_print
from weitiao.stages.beginning import Began
from weitiao.stages.events import Tell
from weitiao.stages.for_use import for_use
from weitiao.stages.prepare import Prepared
from weitiao.train.distributed import World

if TYPE_CHECKING:
    from weitiao.models.load import Loaded


class Judged(Began, Protocol):
    """The tuned model of a finished run, or the one before it."""

    before_tuning: bool

    @property
    def tuned(self) -> Loaded:
        """Its model."""

    def untuned(self) -> AbstractContextManager[Judged]:
        """The same with the model as it was before."""


def refuse_unfit(recipe: Recipe, task: Task) -> None:
    """Is another model that is to be the reference, or the teacher, there, and are its words those of the model?  No weight is
    read.

    Raises:
        WeitiaoError: `wrong_value`; what opening raises.
    """
    from weitiao.models import load

    key = f"task.{task.helper_key}"
    if not task.helper:
        if task.taught:
            raise fault("wrong_value", key=key, value="", why=reason("no_teacher"))
        return
    theirs, most = load.processor(task.helper)
    ours, own = load.processor(recipe.model)
    if theirs.get_vocab() != ours.get_vocab():
        why = reason("other_vocabulary", model=recipe.model)
        raise fault("wrong_value", key=key, value=task.helper, why=why)
    if most < (limit := recipe.data.max_length or own):
        why = reason("positions", model=task.helper, has=most, most=most)
        raise fault("wrong_value", key="data.max_length", value=limit, why=why)


def ask(
    recipe: Recipe, prepared: Prepared, method: Method, *, world: World, tell: Tell
) -> dict[str, np.ndarray]:
    """What the reference says of the rows that train and validate, in every process; nothing where nobody needs it.

    Args:
        recipe: resolved.
        prepared: rows, and the model before its first step.
        method: is turned off meanwhile, unless the run begins with what it has learnt in another one.
        world: the processes share the work.
        tell: hears of it.
    """
    from weitiao.models import cards
    from weitiao.train import memory

    task = prepared.task
    if not task.hears:
        return {}
    found: dict[str, np.ndarray] = {}
    own = not task.helper
    cast = bool(recipe.train.half) and not (own and method.layout == "pretrained")
    weights = world.together(lambda: _weights(task.helper or recipe.model))
    facts = [weights, method.base_bits if own else 16, cast, *_precision(recipe, prepared.device)]
    if own and recipe.start_from:
        start = open_run(recipe.start_from)
        facts += _beginning(recipe, method, world.together(lambda: cards.print_of(start.model)))
    for split, examples in prepared.examples.items():
        place = world.together(lambda: _place(task, facts, examples) if recipe.data.cache else None)  # noqa: B023
        there = world.together(lambda: _read(place, examples, task))  # noqa: B023
        if there is None:
            if len(examples):
                tell("notice", text=reason("asking_reference", rows=len(examples)))
            with _reference(recipe, prepared, method) as loaded:
                told = _predict(
                    loaded, recipe, task, examples, prepared.device, dealt=(world.rank, world.size)
                )
            del loaded  # or this copy would still stand while the next split opens its own
            memory.trim()
            everybody = world.gather({row: one for row, one in enumerate(told) if one})
            of_row = {row: one for part in everybody for row, one in part.items()}
            there = _numbers(task, [of_row[row] for row in range(len(examples))])
            if world.first:
                _keep(place, there)
        found[split] = there
    return found


def of(run: Judged, examples: Sequence[Example]) -> np.ndarray | None:
    """What the reference of a finished run says of rows that it is asked; None where nobody needs it, or the model asked is
    the reference itself.

    Args:
        run: the tuned model, or the one before it.
        examples: the rows, encoded.
    """
    recipe, task = run.recipe, run.task
    if not task.hears or (run.before_tuning and not task.helper):
        return None
    ref = task.helper or run.where_base_lies()
    bits = 16 if task.helper else run.method.base_bits
    device = run.tuned.model.device.type
    facts = [_weights(ref), bits, bool(recipe.train.half), *_precision(recipe, device)]
    if run.began_with and not task.helper:
        facts += _beginning(recipe, run.method, run.began_with)
    place = _place(task, facts, examples) if recipe.data.cache else None
    there = _read(place, examples, task)
    if there is None:
        if task.helper:
            loaded = opened(task.helper, recipe, task, device)
            there = _numbers(task, _predict(loaded, recipe, task, examples, device))
        else:
            with run.untuned() as before:
                there = _numbers(task, _predict(before.tuned, recipe, task, examples, device))
        _keep(place, there)
    return there


@contextmanager
def _reference(recipe: Recipe, prepared: Prepared, method: Method) -> Iterator[Loaded]:
    """The model itself as it is before its first step, or one that is opened for it."""
    loaded, task = prepared.loaded, prepared.task
    if task.helper:
        yield opened(task.helper, recipe, task, prepared.device)
    elif recipe.start_from:
        yield loaded
    else:
        with method.off(loaded.model, {}):
            yield loaded


def teacher(recipe: Recipe, task: Task, device: str) -> Loaded | None:
    """Who is asked for every word in the loss (`Task.taught`); None where nobody is."""
    if not task.taught:
        return None
    found = opened(task.helper, recipe, task, device)
    found.model.eval()
    return found


def opened(ref: str, recipe: Recipe, task: Task, device: str) -> Loaded:
    """Another model that is asked and never trained."""
    from weitiao.models.store import open_base

    half = recipe.train.half
    words: dict[str, Any] = {"half": half, "device": device, "longest": recipe.data.max_length}
    return for_use(open_base(ref, task, seed=recipe.seed, **words), half=half)


def _predict(
    loaded: Loaded,
    recipe: Recipe,
    task: Task,
    examples: Sequence[Example],
    device: str,
    *,
    dealt: tuple[int, int] = (0, 1),
) -> list[dict[str, Any]]:
    from weitiao.evaluate.predict import predict

    words: dict[str, Any] = {"device": device, "half": recipe.train.half, "dealt": dealt}
    size, longest = recipe.train.per_device_eval_batch_size, recipe.data.max_length
    return predict(loaded, task, examples, batch_size=size, longest=longest, **words)


def _numbers(task: Task, told: Sequence[dict[str, Any]]) -> np.ndarray:
    return np.array([[one[key] for key in task.hears] for one in told], dtype=float).reshape(
        -1, len(task.hears)
    )


def _weights(ref: str) -> str:
    from weitiao.models.opening import fingerprint, resolve

    return fingerprint(resolve(ref))


def _precision(recipe: Recipe, device: str) -> list[Any]:
    return [recipe.train.half, device.partition(":")[0], recipe.train.per_device_eval_batch_size]


def _beginning(recipe: Recipe, method: Method, start: str) -> list[Any]:
    """What decides about a model that begins with another run's weights: these, and how this run's method takes them (LoRA's
    alpha may be another one)."""
    return [start, registry.settings_of(recipe.method["name"], method)]


def _place(task: Task, facts: Sequence[Any], examples: Sequence[Example]) -> Path:
    """Where the numbers of these rows are kept."""
    from weitiao.models.assets.fetch import cache_dir

    found = hashlib.sha256()
    versions = [version("torch"), version("transformers"), code_print(type(task))]
    found.update(json.dumps([*facts, *versions, *task.hears]).encode())
    for example in examples:
        for name in sorted(example.inputs):
            values = np.asarray(example.inputs[name], dtype=np.int64)
            found.update(f"{name} {len(values)} ".encode() + values.tobytes())
    return cache_dir() / "reference" / f"{found.hexdigest()[:40]}.json"


def _read(place: Path | None, examples: Sequence[Example], task: Task) -> np.ndarray | None:
    """What was kept, if it is whole."""
    try:
        kept = json.loads(place.read_text(encoding="utf-8")) if place else {}
        found = np.array(kept["numbers"], dtype=float).reshape(-1, len(task.hears))
        whole = kept["sha256"] == _digest(kept["numbers"]) and len(found) == len(examples)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if whole else None


def _keep(place: Path | None, numbers_NK: np.ndarray) -> None:
    """A cache that cannot be written to costs time, and no run."""
    if place is not None:
        numbers = numbers_NK.tolist()
        with suppress(OSError, WeitiaoError):
            write_json(place, {"sha256": _digest(numbers), "numbers": numbers})


def _digest(numbers: list[list[float]]) -> str:
    return hashlib.sha256(json.dumps(numbers).encode()).hexdigest()
