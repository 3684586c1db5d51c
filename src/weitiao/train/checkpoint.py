"""Checkpoints that are whole or absent: written aside, fsynced, sealed with hashes, then renamed.

    checkpoint-500/  weights.safetensors  optimizer.safetensors  [optimizer.json]  [method.safetensors]
                     [norms.safetensors]  [ema.safetensors]  [rollout.safetensors]  state.json  manifest.json

Several processes deal the tensors among them and write `weights-00001-of-00002.safetensors` and so on, each tensor in
full: any number of processes may read them.

Only what trains is kept, and what the method must remember; the base is where it was.  The order of rows and the dropout
masks are functions of the step, so step, weights and moments are all else that an exact resume needs, and where answers are
learnt from that an earlier state of the model gave, these answers.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.errors import fault
from weitiao.core.files import disk, sha256, share, write_json
from weitiao.core.run import RunFolder
from weitiao.core.why import reason

if TYPE_CHECKING:
    from torch import Tensor

    from weitiao.train.distributed import World
    from weitiao.train.loop import Training
    from weitiao.train.state import State

MANIFEST = "manifest.json"


def save(run: RunFolder, training: Training) -> Path:
    """Write `checkpoint-<step>`; one of that step which is there already is replaced at the end.

    Raises:
        WeitiaoError: `disk_full` (the half-written folder is removed), `no_permission`.
    """
    world = training.world
    target = run.path / f"checkpoint-{training.state.step}"
    temporary = run.path / f".checkpoint-{training.state.step}.tmp"
    moments, counts = _moments(training)
    parts = {
        "weights": _dealt(training, training.weights),
        "optimizer": _apart(_dealt(training, moments)),
        "method": _dealt(training, training.method.state(training.model)),
        "norms": _dealt(training, training.norms.state if training.norms else {}),
        "ema": _dealt(training, training.ema.average if training.ema else {}),
        "rollout": _dealt(training, training.batches.kept(training.state.step)),
    }
    needed = sum(t.numel() * t.element_size() for part in parts.values() for t in part.values())
    try:
        world.together(lambda: _empty(temporary, target, needed=needed * world.size))
        world.all_or_none(lambda: _write(temporary, target, parts, world))
        world.together(lambda: _finish(temporary, target, training, counts))
    finally:
        if world.first:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def _dealt(training: Training, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that this process writes, in full."""
    world, mine = training.world, {}
    for turn, (name, tensor) in enumerate(sorted(tensors.items())):
        whole = training.objective.whole(tensor.detach())  # everybody must ask, even who does not write it
        if turn % world.size == world.rank:
            mine[name] = whole.cpu().contiguous()
    return mine


def _empty(temporary: Path, target: Path, *, needed: int) -> None:
    shutil.rmtree(temporary, ignore_errors=True)
    with disk(target, needed_bytes=needed):
        temporary.mkdir()


def _write(temporary: Path, target: Path, parts: Mapping[str, dict[str, Tensor]], world: World) -> None:
    from safetensors.torch import save_file

    # The same names as Transformers gives its own parts.
    part = f"-{world.rank + 1:05d}-of-{world.size:05d}" if world.size > 1 else ""
    needed = sum(t.numel() * t.element_size() for tensors in parts.values() for t in tensors.values())
    with disk(target, needed_bytes=needed):
        for kind, tensors in parts.items():
            if tensors:
                save_file(tensors, temporary / f"{kind}{part}.safetensors")
                _fsync(temporary / f"{kind}{part}.safetensors")


def _finish(temporary: Path, target: Path, training: Training, counts: Mapping[str, Any]) -> None:
    with disk(target):
        if counts:
            write_json(temporary / "optimizer.json", counts)
        write_json(temporary / "state.json", training.to_dict())
        _seal(temporary, step=training.state.step)
        _fsync(temporary)  # the names of its files, which a loss of power could take
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)
        _fsync(target.parent)


def _read(folder: Path, kind: str) -> dict[str, Tensor]:
    """All tensors of a kind, however many processes wrote them."""
    from safetensors.torch import load_file

    found: dict[str, Tensor] = {}
    for file in sorted(folder.glob(f"{kind}*.safetensors")):
        found |= load_file(file)
    return found


def _moments(training: Training) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The optimiser's state by parameter name, so that it does not hang on the order of groups: tensors, and numbers."""
    import torch

    state = {
        f"{key}/{name}": value
        for name, weight in training.weights.items()
        if weight in training.optimizer.state  # one that has rested so far has none
        for key, value in training.optimizer.state[weight].items()
    }
    tensors = {key: value for key, value in state.items() if torch.is_tensor(value)}
    return tensors, {key: value for key, value in state.items() if key not in tensors}


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of those that share memory (all 8-bit moments have one table of values), as safetensors wants it."""
    taken: set[int] = set()
    apart = {}
    for key, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        apart[key] = tensor.clone() if memory in taken else tensor
        taken.add(memory)
    return apart


def _seal(folder: Path, *, step: int) -> None:
    files = {}
    share(folder)
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
                return reason("weight_file_missing", name=name)
            if path.stat().st_size != known["bytes"] or sha256(path) != known["sha256"]:
                return reason("weight_file_changed", name=name)
    except FileNotFoundError:
        return reason("weight_file_missing", name=MANIFEST)
    except OSError as error:  # a disk that fails, or rights that are not there: an older one may be sound
        return reason("part_unreadable", error=error)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        return reason("manifest_unreadable", name=MANIFEST)
    return ""


def newest(
    run: RunFolder, *, chosen: Path | None = None, strict: bool = False
) -> tuple[Path | None, list[str]]:
    """The newest sound checkpoint, and one line for every newer one that is passed over.

    Args:
        run: the folder.
        chosen: go no later than this one.
        strict: refuse when it is not sound, instead of taking an older one.

    Raises:
        WeitiaoError: `no_such_checkpoint`; `no_sound_checkpoint` when `strict`.
    """
    passed: list[str] = []
    there = run.checkpoints()
    if chosen and chosen.resolve() not in [folder.resolve() for folder in there]:
        known = ", ".join(str(folder) for folder in reversed(there)) or "none"
        raise fault("no_such_checkpoint", path=chosen, known=known)
    for folder in there:
        if chosen and _step(folder) > _step(chosen):
            passed.append(f"{folder.name} is set aside: it is later than {chosen.name}")
            continue
        why = fault_of(folder)
        if not why:
            return folder, passed
        if strict:
            raise fault("no_sound_checkpoint", path=folder, why=why)
        passed.append(f"{folder.name} is not used: {why}")
    return None, passed


def processes(folder: Path) -> int:
    """On how many processes the run was begun."""
    return int(json.loads((folder / "state.json").read_text(encoding="utf-8"))["processes"])


def has_best(run: RunFolder, state: State) -> bool:
    """Is the checkpoint there that did best so far, if one did?"""
    return not state.best_step or (run.path / f"checkpoint-{state.best_step}").is_dir()


def _step(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def set_aside(run: RunFolder, *, newer_than: Path | None) -> None:
    """Rename the checkpoints that `newest` passed over, so that they neither fill a place nor come up again."""
    for folder in run.checkpoints():
        if folder == newer_than:
            break
        aside = folder.with_name(f"{'broken' if fault_of(folder) else 'later'}-{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)


def load_weights(folder: Path, training: Training) -> None:
    """The weights that a checkpoint was validated with, into the model: the average, where it holds one."""
    _fill(folder, _validated(folder), training.weights, training)
    _fill_norms(folder, training)


def _fill_norms(folder: Path, training: Training) -> None:
    if training.norms:
        _fill(folder, "norms", training.norms.state, training)


def _validated(folder: Path) -> str:
    return "ema" if any(folder.glob("ema*.safetensors")) else "weights"


def _fill(folder: Path, kind: str, tensors: Mapping[str, Tensor], training: Training) -> None:
    kept = _read(folder, kind)
    if set(kept) != set(tensors):
        raise fault("broken_model", path=folder, why=reason("state_of_another", kind=kind))
    for name, tensor in tensors.items():
        tensor.data.copy_(training.objective.share(kept[name], tensor))


def load(folder: Path, training: Training) -> None:
    """Weights, moments and place of a checkpoint: the next step is the one that would have followed."""
    import torch

    _fill(folder, "weights", training.weights, training)
    _fill_norms(folder, training)
    if training.ema:
        # A run that is gone on with an average, and had none so far, begins it here.
        _fill(folder, _validated(folder), training.ema.average, training)
    moments: dict[str, dict[str, Any]] = {}
    counts = folder / "optimizer.json"
    numbers = json.loads(counts.read_text(encoding="utf-8")) if counts.exists() else {}
    for key, value in (*_read(folder, "optimizer").items(), *numbers.items()):
        kind, _, name = key.partition("/")
        moments.setdefault(name, {})[kind] = value
    for name, weight in training.weights.items():
        if name in moments:
            # Fused optimisers count their steps where the weight lies.
            training.optimizer.state[weight] = {
                key: training.objective.share(value.to(weight.device), weight)
                if torch.is_tensor(value)
                else value
                for key, value in moments[name].items()
            }
    memory = training.method.state(training.model)
    for name, value in _read(folder, "method").items():
        memory[name].copy_(value)
    training.batches.take_up(_read(folder, "rollout"))
    training.from_dict(json.loads((folder / "state.json").read_text(encoding="utf-8")))


def prune(run: RunFolder, *, keep: int, best_step: int) -> None:
    """Delete all but the newest `keep` checkpoints and the best one."""
    for folder in run.checkpoints()[keep:]:
        if folder.name != f"checkpoint-{best_step}":
            shutil.rmtree(folder, ignore_errors=True)
