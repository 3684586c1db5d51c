"""A run that cannot fit is refused before its first step, with changes that would make it fit and keep the global batch.

    refuse_base(recipe)                            before rows are read: the base alone
    refuse(recipe, prepared, method, program=...)  before the first step: its heaviest micro-batch, with the real rows

Where there is room many times over, a rough bound says so in no time; else the step is gone through on a model of
shapes (`api.forecast`), which takes some seconds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from weitiao.api.forecast import KERNELS, Forecast, batches, checkpoints, longest, resident
from weitiao.api.prepare import Prepared
from weitiao.core.contracts import Method
from weitiao.core.errors import fault
from weitiao.core.recipe import Recipe
from weitiao.core.run import free_bytes

BYTES = 100
"""What a position takes in a block, in bytes for each of its hidden numbers: measured 50 to 90 (LoRA on SmolLM2 and
MiniLM, bfloat16 and float32)."""
SCORES = 12
"""The same for each pair of positions of a row and head, where attention keeps its scores."""
LOGITS = 16
"""The same for each word of the vocabulary, at a position that is learnt."""
SURE = 2
"""So many times over a rough bound must fit to be believed."""


def refuse_base(recipe: Recipe) -> None:
    """Say that not even the base fits, as far as its files tell.

    Raises:
        WeitiaoError: `will_never_fit`.
    """
    from weitiao.models import load

    files = sum(path.stat().st_size for path in Path(load.resolve(recipe.model)).glob("*.safetensors"))
    room = _room(load.pick_device())
    if recipe.train.check_memory and room is not None and files > room:
        raise fault("will_never_fit", needed_mb=files / 1e6, stage="load", room_mb=room / 1e6)


def refuse(recipe: Recipe, prepared: Prepared, method: Method, *, program: int, processes: int = 1) -> None:
    """Say that the run does not fit, and what would.

    Args:
        recipe: resolved.
        prepared: rows and model.
        method: what trains.
        program: bytes that this process held before the model was loaded; 0 on a GPU.
        processes: how many share the run.

    Raises:
        WeitiaoError: `will_not_fit`, with changes that help; `will_never_fit` when none of those known does;
            `disk_full`.
    """
    from weitiao.train.footprint import moments

    settings, loaded = recipe.train, prepared.loaded
    room = _room(prepared.device)
    if not settings.check_memory:
        return
    trained = 4 * prepared.trained
    kept = trained + moments(loaded.model, loaded.trained, settings) + trained * bool(settings.ema_decay)
    disk = checkpoints(settings) * kept + (4 * prepared.total if method.layout == "pretrained" else trained)
    path = Path(recipe.output_dir)
    if disk > free_bytes(path):
        raise fault("disk_full", path=path, needed_mb=disk / 1e6, free_mb=free_bytes(path) / 1e6)
    if room is None or program + SURE * _roughly(recipe, prepared) < room:
        return
    if not prepared.device.startswith("cuda"):
        program += KERNELS
    stage, needed = _highest(recipe, prepared, method, processes=processes)
    if program + needed <= room:
        return
    needed_mb, room_mb = (program + needed) / 1e6, room / 1e6
    ways = [
        way
        for recomputes in (False, True)
        if (
            way := _way(
                recipe, prepared, method, recomputes=recomputes, processes=processes, most=room - program
            )
        )
    ]
    if ways:
        told = ", or ".join(ways)
        raise fault("will_not_fit", needed_mb=needed_mb, stage=stage, room_mb=room_mb, changes=told)
    raise fault("will_never_fit", needed_mb=needed_mb, stage=stage, room_mb=room_mb)


def _room(device: str) -> int | None:
    """Bytes that this process may hold: what it holds, and its share of what is free."""
    from weitiao.train import memory

    free = memory.free(device)
    if free is None:
        return None
    if device.startswith("cuda"):
        import torch

        return free + torch.cuda.memory_reserved(device)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return resident() + free // here


def _roughly(recipe: Recipe, prepared: Prepared) -> int:
    """An upper bound of what a step holds, from the sizes of model and batch; beyond all bounds where they are unknown."""
    task, config = prepared.task, prepared.loaded.model.config.get_text_config()
    train = batches(recipe, task, prepared.loaded.processor, prepared.examples["train"]).heaviest()
    found = 4 * prepared.total + 18 * prepared.trained
    for batch in (train, longest(recipe, task, prepared.loaded.processor, prepared.examples["train"])):
        positions = batch.tokens + batch.padding
        width = positions if task.packs else positions // max(1, len(batch.rows))
        try:
            a_block = config.hidden_size * BYTES + config.num_attention_heads * width * SCORES
            top = batch.trained * config.vocab_size * LOGITS if task.packs else 0
        except AttributeError:
            return 1 << 62
        found = max(found, found + round(positions * config.num_hidden_layers * a_block + top))
    return found


def _highest(recipe: Recipe, prepared: Prepared, method: Method, *, processes: int) -> tuple[str, int]:
    """The stage that holds the most of tensors, and how much."""
    task, processor = prepared.task, prepared.loaded.processor
    forecast = Forecast(recipe, task, method, device=prepared.device, processes=processes)
    train = batches(recipe, task, processor, prepared.examples["train"]).heaviest()
    rows = prepared.examples["validation"] if len(prepared.examples["validation"]) else None
    asked = longest(recipe, task, processor, rows or prepared.examples["train"])
    stages = forecast.stages(train=train, evaluate=asked)
    stages.pop("merge", None)  # a command of its own
    stage = max(stages, key=lambda name: stages[name].total)
    return stage, stages[stage].total


def _way(
    recipe: Recipe, prepared: Prepared, method: Method, *, recomputes: bool, processes: int, most: int
) -> str:
    """`key=value` words with which no stage holds more than `most`; empty when there are none.

    The global batch stays as it is: rows are halved as often as that gives whole rows, and accumulation is doubled.
    """
    train = recipe.train
    if recomputes and (
        train.activation_checkpointing or not prepared.loaded.model.supports_gradient_checkpointing
    ):
        return ""
    keys: dict[str, Any] = {"activation_checkpointing": True} if recomputes else {}
    while True:
        changed = recipe.model_copy(update={"train": train.model_copy(update=keys)})
        stage, needed = _highest(changed, prepared, method, processes=processes)
        if needed <= most:
            return " ".join(f"train.{key}={str(value).lower()}" for key, value in keys.items())
        now = changed.train
        if stage == "evaluate" and now.per_device_eval_batch_size > 1:
            keys["per_device_eval_batch_size"] = now.per_device_eval_batch_size // 2
        # Where a budget of tokens decides who shares a batch, fewer rows would make other steps.
        elif stage == "train" and now.per_device_train_batch_size % 2 == 0 and not now.max_batch_tokens:
            keys["per_device_train_batch_size"] = now.per_device_train_batch_size // 2
            keys["gradient_accumulation_steps"] = now.gradient_accumulation_steps * 2
        else:
            return ""
