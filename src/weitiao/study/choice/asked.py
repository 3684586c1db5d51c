"""What one model makes of the rows: what is known of it, how it cuts their words, what its probe says.

ask("minilm-l6", ground)  ->  {"about": {...}, "tokens": {...}, "values": [0.81, 0.79, ...], "logme": -0.6}
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from weitiao.core.contracts import Example, Record, Task
from weitiao.data.overlong import ENDLESS
from weitiao.data.unknown import Met
from weitiao.study.choice.look import Ground

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress
    from weitiao.models.load import Loaded


@dataclass(frozen=True)
class Seen:
    """What a base sees in the rows that could be encoded."""

    task: Task
    vectors_MD: Any
    owner_M: Any
    """The row of each vector."""
    examples: list[Example]
    rows: Any
    """Their places among the rows that are asked."""


READ = 256
"""Tokens of a row that a probe reads."""
BATCH = 32


def about(ref: str) -> dict[str, Any]:
    """Licence, languages and parameters, as far as they are stated: of an embedded model its entry, of another one its card.

    Raises:
        WeitiaoError: what opening raises.
    """
    from weitiao.models import stored
    from weitiao.models.assets.catalog import MODELS
    from weitiao.models.opening import resolve

    if ref in MODELS:
        entry = MODELS[ref]
        return {
            "licence": entry.licence,
            "languages": list(entry.languages),
            "parameters": entry.parameters,
            "untaught": entry.untaught,
        }
    source = resolve(ref)
    card = _card(source)
    spoken = card.get("language") or []
    weights = sum(count for _, count in stored.kinds(source).values())
    return {
        "licence": str(card.get("license_name") or card.get("license") or ""),
        "languages": [spoken] if isinstance(spoken, str) else [str(each) for each in spoken],
        "parameters": weights or None,
        "untaught": False,
    }


def _card(source: str) -> dict[str, Any]:
    """The front matter of a model card; nothing where there is none, or it is no YAML."""
    import yaml
    from transformers.utils import cached_file

    try:
        path = cached_file(source, "README.md", _raise_exceptions_for_missing_entries=False)
        text = Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError):
        return {}
    head = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    try:
        found = yaml.safe_load(head[1]) if head else {}
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def ask(ref: str, ground: Ground, *, progress: Progress | None) -> tuple[dict[str, Any], Seen | None]:
    """All that one model tells of the rows, and what it sees in them, where a head goes by that.

    Raises:
        WeitiaoError: what opening it raises, and what its outputs say against the labels.
    """
    from weitiao.study.choice import probe
    from weitiao.study.choice.features import seen
    from weitiao.study.choice.logme import logme
    from weitiao.train import memory

    task, loaded, words = _opened(ref, ground, progress=progress)
    found: dict[str, Any] = {"about": about(ref), "tokens": None, "values": [], "logme": None, "refused": 0}
    if task.reads_words:
        longest = min(ground.recipe.data.max_length or loaded.limit, loaded.limit)
        found["tokens"] = _tokens(task, ground.rows, loaded, longest)
    if ground.how == "none":
        return found, None
    examples = list(task.encode(ground.rows, loaded.processor, limit=words["longest"]))
    fit = np.array([not one.refused and one.trained > 0 for one in examples])
    found["refused"] = int((~fit).sum())
    kept = np.flatnonzero(fit & (ground.fold_N >= 0))
    if not len(kept) or not ground.folds:
        return found, None
    sight = None
    records, some = [ground.rows[int(row)] for row in kept], [examples[row] for row in kept]
    fold_N = np.unique(ground.fold_N[kept], return_inverse=True)[1]
    if ground.heads:
        taught = task.learn_training(some, None)
        vectors_MD, owner_M = seen(loaded, taught, some, **words)
        found["logme"] = logme(vectors_MD, probe.columns(probe.targets_of(taught, some)))
        found["values"] = probe.folds_of(task, ground.metric, records, some, vectors_MD, owner_M, fold_N)
        sight = Seen(task, vectors_MD, owner_M, some, kept)
    else:
        found["values"] = _as_it_is(loaded, task, ground, records, some, fold_N, words)
    del loaded
    memory.trim()
    return found, sight


def answered(ref: str, ground: Ground, rows: Sequence[Record], fold_N: Any) -> list[float | None]:
    """What the untuned model itself makes of other rows than those that are asked, fold by fold.

    Raises:
        WeitiaoError: what opening it raises.
    """
    from weitiao.train import memory

    task, loaded, words = _opened(ref, ground, progress=None)
    examples = list(task.encode(rows, loaded.processor, limit=words["longest"]))
    fit = [row for row, one in enumerate(examples) if not one.refused and one.trained > 0]
    fold_N = np.unique(fold_N[fit], return_inverse=True)[1]
    records, some = [rows[row] for row in fit], [examples[row] for row in fit]
    found = _as_it_is(loaded, task, ground, records, some, fold_N, words)
    del loaded
    memory.trim()
    return found


def _opened(ref: str, ground: Ground, *, progress: Progress | None) -> tuple[Task, Loaded, dict[str, Any]]:
    """The task as the model has it, the model, and the words of `predict`."""
    from weitiao.models import load
    from weitiao.stages.dealt import learnt

    recipe = ground.recipe.model_copy(update={"model": ref})
    task = learnt(recipe, ground.task, ground.rows, progress=progress)
    device = load.pick_device()
    loaded = load.load(ref, task, seed=recipe.seed, device=device, progress=progress)
    limit = min(recipe.data.max_length or loaded.limit, loaded.limit, READ)
    return task, loaded, {"longest": limit, "device": device, "batch_size": BATCH}


def _tokens(task: Task, rows: Sequence[Record], loaded: Loaded, longest: int) -> dict[str, Any]:
    """How long the rows are in this model's tokens, what of them it would not read, and what it does not know."""
    met, lengths = Met.of(loaded.processor), []
    for example in task.encode(rows, loaded.processor, limit=ENDLESS):
        if not example.refused:
            met.see(example.inputs.get("input_ids", ()))
            # Texts of a row that are read apart have each its own limit.
            lengths += [int(one) for one in example.inputs.get("texts", [len(example)])]
    sizes = np.array(lengths or [0])
    return {
        "median": int(np.median(sizes)),
        "longest": int(sizes.max()),
        "limit": longest,
        "rows_cut": float((sizes > longest).mean()),
        "tokens_cut": float(np.maximum(sizes - longest, 0).sum() / max(1, sizes.sum())),
        "unknown": met.share,
    }


def _as_it_is(
    loaded: Loaded,
    task: Task,
    ground: Ground,
    records: Sequence[Record],
    examples: Sequence[Example],
    fold_N: Any,
    words: dict[str, Any],
) -> list[float | None]:
    """What the untuned model itself makes of each fold: how well it finds, or foresees."""
    from weitiao.evaluate.predict import predict
    from weitiao.study.choice.probe import value

    told, found = predict(loaded, task, examples, **words), []
    for fold in range(int(fold_N.max()) + 1):
        rows = np.flatnonzero(fold_N == fold).tolist()
        own = [examples[row] for row in rows]
        said = task.together([told[row] for row in rows], own)
        if task.generates:
            said = [
                {**one, "bytes": task.text_bytes(example, loaded.processor)}
                for one, example in zip(said, own, strict=True)
            ]
        found.append(value(task, ground.metric, [records[row] for row in rows], said))
    return found
