"""Checkpoints that are whole or absent: written aside, fsynced, sealed with hashes, then renamed.

    checkpoint-500/  weights.safetensors  optimizer.safetensors  [optimizer.json]  [method.safetensors]
                     state.json  manifest.json

Only what trains is kept, and what the method must remember; the base is where it was.  The order of rows and the dropout masks are functions of the
step, so step, weights and moments are all else that an exact resume needs.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.errors import fault
from weitiao.core.run import RunFolder, disk, sha256, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from weitiao.train.loop import Training

MANIFEST = "manifest.json"


def save(run: RunFolder, training: Training) -> Path:
    """Write `checkpoint-<step>`; one of that step which is there already is replaced at the end.

    Raises:
        WeitiaoError: `disk_full` (the half-written folder is removed), `no_permission`.
    """
    from safetensors.torch import save_file

    weights, memory = _on_cpu(training.weights), _on_cpu(training.method.state(training.model))
    moments, counts = _moments(training)
    kept = (*weights.values(), *moments.values(), *memory.values())
    needed = sum(t.numel() * t.element_size() for t in kept)
    target = run.path / f"checkpoint-{training.state.step}"
    temporary = run.path / f".checkpoint-{training.state.step}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with disk(target, needed_bytes=needed):
            temporary.mkdir()
            save_file(weights, temporary / "weights.safetensors")
            save_file(moments, temporary / "optimizer.safetensors")
            if counts:
                write_json(temporary / "optimizer.json", counts)
            if memory:
                save_file(memory, temporary / "method.safetensors")
            write_json(temporary / "state.json", training.state.to_dict())
            _seal(temporary, step=training.state.step)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(temporary, target)
            _fsync(run.path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _moments(training: Training) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The optimiser's state by parameter name, so that it does not hang on the order of groups: tensors, and numbers."""
    import torch

    state = {
        f"{key}/{name}": value
        for name, weight in training.weights.items()
        if weight in training.optimizer.state  # one that has rested so far has none
        for key, value in training.optimizer.state[weight].items()
    }
    tensors = _on_cpu({key: value for key, value in state.items() if torch.is_tensor(value)})
    return _apart(tensors), {key: value for key, value in state.items() if key not in tensors}


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of those that share memory (all 8-bit moments have one table of values), as safetensors wants it."""
    taken: set[int] = set()
    apart = {}
    for key, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        apart[key] = tensor.clone() if memory in taken else tensor
        taken.add(memory)
    return apart


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _seal(folder: Path, *, step: int) -> None:
    files = {}
    for path in sorted(folder.iterdir()):
        _fsync(path)
        files[path.name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    write_json(folder / MANIFEST, {"step": step, "files": files})


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fault_of(folder: Path) -> str:
    """Why the checkpoint cannot be trusted; empty when every file is as it was sealed."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, known in manifest["files"].items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != known["bytes"] or sha256(path) != known["sha256"]:
                return f"{name} is not what was written"
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        return f"{MANIFEST} cannot be read"
    return ""


def newest(run: RunFolder, *, strict: bool = False) -> tuple[Path | None, list[str]]:
    """The newest sound checkpoint, and one line for every newer one that is not.

    Raises:
        WeitiaoError: `no_sound_checkpoint` when `strict` and the newest is not sound.
    """
    passed: list[str] = []
    for folder in run.checkpoints():
        why = fault_of(folder)
        if not why:
            return folder, passed
        if strict:
            raise fault("no_sound_checkpoint", path=folder, why=why)
        passed.append(f"{folder.name} is not used: {why}")
    return None, passed


def set_aside(run: RunFolder, *, newer_than: Path | None) -> None:
    """Rename the broken checkpoints that `newest` passed over, so that they neither fill a place nor come up again."""
    for folder in run.checkpoints():
        if folder == newer_than:
            break
        aside = folder.with_name(f"broken-{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)


def load_weights(folder: Path, training: Training) -> None:
    """The trained weights of a checkpoint, into the model."""
    from safetensors.torch import load_file

    kept = load_file(folder / "weights.safetensors")
    now = training.weights
    if set(kept) != set(now):
        raise fault("broken_model", path=folder, why="its weights are those of another method")
    for name, weight in now.items():
        weight.data.copy_(kept[name])


def load(folder: Path, training: Training) -> None:
    """Weights, moments and place of a checkpoint: the next step is the one that would have followed."""
    import torch
    from safetensors.torch import load_file

    load_weights(folder, training)
    moments: dict[str, dict[str, Any]] = {}
    counts = folder / "optimizer.json"
    numbers = json.loads(counts.read_text(encoding="utf-8")) if counts.exists() else {}
    for key, value in (*load_file(folder / "optimizer.safetensors").items(), *numbers.items()):
        kind, _, name = key.partition("/")
        moments.setdefault(name, {})[kind] = value
    for name, weight in training.weights.items():
        if name in moments:
            # Fused optimisers count their steps where the weight lies.
            training.optimizer.state[weight] = {
                key: value.to(weight.device) if torch.is_tensor(value) else value
                for key, value in moments[name].items()
            }
    memory = training.method.state(training.model)
    if memory:
        for name, value in load_file(folder / "method.safetensors").items():
            memory[name].copy_(value)
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    for known in fields(training.state):
        if known.name in state:  # else the checkpoint is older than the field
            setattr(training.state, known.name, state[known.name])


def prune(run: RunFolder, *, keep: int, best_step: int) -> None:
    """Delete all but the newest `keep` checkpoints and the best one."""
    for folder in run.checkpoints()[keep:]:
        if folder.name != f"checkpoint-{best_step}":
            shutil.rmtree(folder, ignore_errors=True)
