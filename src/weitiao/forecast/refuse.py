"""A run that cannot fit is refused before its first step, with changes that would make it fit and keep the global batch.

    check = MemoryCheck()
    check.base(recipe)                     before rows are read: the base alone
    check.run(recipe, prepared, method)    before the first step: its heaviest micro-batch, with the real rows

Where there is room many times over, a rough bound says so in no time; else the step is gone through on a model of
shapes (`forecast.memory`), which takes seconds, or minutes with hundreds of rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Batch, Method, Sampling
from weitiao.core.errors import WeitiaoError, fault, language
from weitiao.core.files import free_bytes
from weitiao.core.recipe import Recipe
from weitiao.core.why import reason
from weitiao.data.layout import Layout
from weitiao.forecast.memory import Forecast
from weitiao.forecast.sample import KERNELS, checkpoints, longest, resident
from weitiao.stages.events import Tell, silent
from weitiao.stages.prepare import Prepared, micro_batches

BYTES = 100
"""What a position takes in a block, in bytes for each of its hidden numbers: measured 50 to 90 (LoRA on SmolLM2 and
MiniLM, bfloat16 and float32)."""
SCORES = 12
"""The same for each pair of positions of a row and head, where attention keeps its scores."""
LOGITS = 16
"""The same for each word of the vocabulary, at a position that is learnt."""
BYTES_GIVEN, LAYERS = 8, 4
"""The same for each number that a layer of a picture model gives: it is kept, and some operations within keep another; and how
many layers' outputs lie there at once where nothing is learnt."""
SURE = 2
"""So many times over a rough bound must fit to be believed."""


@dataclass
class MemoryCheck:
    """What `train.check_memory` asks for, in the two places of a run where something is known anew."""

    program: int = field(default=0, init=False)
    """Bytes that this process held before the model was loaded; 0 on a GPU."""

    def base(self, recipe: Recipe) -> None:
        """Say that not even the base fits, as far as its files tell.

        Raises:
            WeitiaoError: `will_never_fit`.
        """
        from weitiao.models import load, opening, stored

        if not recipe.train.check_memory:
            return
        self.program = resident()
        files = sum(path.stat().st_size for path in stored.weight_files(opening.resolve(recipe.model)))
        room = _room(load.pick_device())
        if room is not None and files > room:
            raise fault("will_never_fit", needed_mb=files / 1e6, stage="load", room_mb=room / 1e6)

    def run(
        self, recipe: Recipe, prepared: Prepared, method: Method, *, processes: int = 1, tell: Tell = silent
    ) -> None:
        """Say that the run does not fit, and what would.

        Args:
            recipe: resolved.
            prepared: rows and model.
            method: what trains.
            processes: how many share the run.
            tell: hears of the closer look.

        Raises:
            WeitiaoError: `will_not_fit`, with changes that help; `will_never_fit` when none of those known does;
                `disk_full`.
        """
        from weitiao.forecast.step_memory import kept_bytes
        from weitiao.models import stored

        settings, loaded, program = recipe.train, prepared.loaded, self.program
        if not settings.check_memory:
            return None
        if method.layout == "pretrained":
            saved = prepared.total * (4 if stored.precision(loaded.source) == "float32" else 2)
        else:
            saved = prepared.trained * 4
        disk = checkpoints(settings) * kept_bytes(loaded, settings) + saved
        path = Path(recipe.output_dir)
        # A run that goes on has some of them already.
        disk -= sum(file.stat().st_size for file in path.glob("checkpoint-*/*"))
        if disk > free_bytes(path):
            raise fault("disk_full", path=path, needed_mb=disk / 1e6, free_mb=free_bytes(path) / 1e6)
        room = _room(prepared.device)
        if room is None or program + SURE * _roughly(recipe, prepared) < room:
            return None
        tell("notice", text=reason("memory_may_not_suffice"))
        if not prepared.device.startswith("cuda"):
            program += KERNELS
        found = loaded.model.config._attn_implementation
        forecast = Forecast(
            recipe, prepared.task, method, device=prepared.device, processes=processes, attention=found
        )
        needs = Needs(forecast, prepared)
        try:
            stage, needed = needs.highest(recipe)
        except WeitiaoError as error:
            if error.code != "no_forecast":
                raise
            return tell("notice", text=str(error))
        if program + needed <= room:
            return None
        needed_mb, room_mb = (program + needed) / 1e6, room / 1e6
        again = not settings.activation_checkpointing and loaded.model.supports_gradient_checkpointing
        tries = (False, True) if again else (False,)
        ways = [way for each in tries if (way := _way(recipe, needs, recomputes=each, most=room - program))]
        if ways:
            told = (", or " if language() == "en" else "；或 ").join(ways)
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
    from weitiao.models import output_loss

    task, loaded, rows = prepared.task, prepared.loaded, prepared.examples["train"]
    config = loaded.model.config.get_text_config()
    train = micro_batches(recipe, task, loaded, rows, prepared.weights).heaviest()
    settings, activations = recipe.train, 0
    weights = 4 * prepared.total + 18 * prepared.trained + _beside(recipe, prepared)
    if not task.reads_words:
        return weights + _of_pictures(loaded.model, train, asked=settings.per_device_eval_batch_size)
    asked = longest(recipe, task, loaded, rows)
    whole = output_loss.keeps_logits(loaded.model) or settings.label_smoothing_factor or settings.r_drop_alpha
    try:
        # Where nothing is learnt, a block's states go when the next one has them.
        for batch, blocks in ((train, config.num_hidden_layers), (asked, 2)):
            positions = batch.tokens - batch.shared + batch.padding
            # On a CPU rows that lie end to end attend one by one (`models.attention`).
            ends = loaded.layout is Layout.PACKED and prepared.device != "cpu"
            width = positions if ends else batch.inputs["input_ids"].shape[-1]
            a_block = config.hidden_size * BYTES + config.num_attention_heads * width * SCORES
            scored = batch.trained if loaded.layout is Layout.PACKED else positions
            top = scored * config.vocab_size * LOGITS if task.packs and whole else 0
            activations = max(activations, round(positions * blocks * a_block + top))
    except AttributeError:
        return 1 << 62
    return weights + activations


def _beside(recipe: Recipe, prepared: Prepared) -> int:
    """Bytes of other models that are asked, in float32 beside their files, and of copies of weights."""
    from weitiao.models import opening, stored

    task = prepared.task
    refs = [task.helper] if task.helper else []
    if isinstance(task, Sampling):
        refs += [one.ref for one in task.raters()]
    if task.needs_base and recipe.start_from:
        refs.append(recipe.model)
    kinds = [kind for ref in refs for kind in stored.kinds(opening.resolve(ref)).values()]
    numbers = sum(count for _, count in kinds)
    return 2 * 4 * numbers + (4 * prepared.trained if task.needs_base else 0)


def _of_pictures(model: Any, batch: Batch, *, asked: int) -> int:
    """Bytes of what is kept of a batch, from what the layers give of one picture.

    Args:
        model: is asked.
        batch: the heaviest of training.
        asked: pictures of a batch of which nothing is learnt.
    """
    from weitiao.models.examine_pictures import given

    every, largest = given(model, {name: each[:1] for name, each in batch.inputs.items()})
    return BYTES_GIVEN * max(len(batch.rows) * every, LAYERS * asked * largest)


@dataclass
class Needs:
    """What each stage of the run holds under changed settings; what was found once is not gone through again."""

    forecast: Forecast
    prepared: Prepared
    _found: dict[tuple[object, ...], int] = field(default_factory=dict)

    def highest(self, recipe: Recipe) -> tuple[str, int]:
        """The stage that holds the most of tensors, and how much."""
        settings, prepared, forecast = recipe.train, self.prepared, self.forecast
        task, loaded, rows = prepared.task, prepared.loaded, prepared.examples

        def train() -> int:
            batch = micro_batches(recipe, task, loaded, rows["train"], prepared.weights).heaviest()
            return forecast.train(batch, settings).total

        def evaluate() -> int:
            asked = rows["validation"] if len(rows["validation"]) else rows["train"]
            return forecast.evaluate(longest(recipe, task, loaded, asked), rows["train"], settings).total

        def reference() -> int:
            return forecast.reference(longest(recipe, task, loaded, rows["train"])).total

        both = settings.per_device_train_batch_size, settings.per_device_eval_batch_size
        several = settings.gradient_accumulation_steps > 1
        recomputes = settings.activation_checkpointing
        stages = {
            "load": self._once(("load",), lambda: forecast.load().total),
            "train": self._once((settings.per_device_train_batch_size, several, recomputes), train),
            "evaluate": self._once(("evaluate", *both[not isinstance(task, Sampling) :]), evaluate),
        }
        if task.hears:
            stages["reference"] = self._once(("reference", both[1]), reference)
        if isinstance(task, Sampling):
            rollout = self._once(("rollout", *both), lambda: forecast.rollout(rows["train"], settings).total)
            stages["rollout"] = rollout
        stage = max(stages, key=lambda name: stages[name])
        return stage, stages[stage]

    def _once(self, key: tuple[object, ...], find: Callable[[], int]) -> int:
        if key not in self._found:
            self._found[key] = find()
        return self._found[key]


def _way(recipe: Recipe, needs: Needs, *, recomputes: bool, most: int) -> str:
    """`key=value` words with which no stage holds more than `most`; empty when there are none.

    The global batch stays as it is: rows are halved as often as that gives whole rows, and accumulation is doubled.
    """
    train = recipe.train
    keys: dict[str, Any] = {"activation_checkpointing": True} if recomputes else {}
    while True:
        changed = recipe.model_copy(update={"train": train.model_copy(update=keys)})
        stage, needed = needs.highest(changed)
        if needed <= most:
            return " ".join(f"train.{key}={str(value).lower()}" for key, value in keys.items())
        now = changed.train
        if stage in ("evaluate", "reference", "rollout") and now.per_device_eval_batch_size > 1:
            keys["per_device_eval_batch_size"] = now.per_device_eval_batch_size // 2
        # Where a budget of tokens decides who shares a batch, fewer rows would make other steps.
        elif stage == "train" and now.per_device_train_batch_size % 2 == 0 and not now.max_batch_tokens:
            keys["per_device_train_batch_size"] = now.per_device_train_batch_size // 2
            keys["gradient_accumulation_steps"] = now.gradient_accumulation_steps * 2
        else:
            return ""
