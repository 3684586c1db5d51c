"""The run folder: the one thing that stages share.

    runs/reviews-lora/  recipe.yaml  facts.json  log.jsonl  data/  checkpoint-*/  model/  results.json  report.html

Weights are safetensors, everything else is text.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.files import (
    disk,
    read_lines,
    refuse_unwritable,
    write_lines,
    write_text,
)
from weitiao.core.read_yaml import read_yaml
from weitiao.core.recipe import Recipe, completed
from weitiao.core.why import reason

UNHEEDED = frozenset({"train.disable_tqdm", "search"})
"""Keys, and a section, that change nothing of a run: recipes that differ in them alone are the same."""
PACKAGES = ("weitiao", "torch", "transformers", "tokenizers", "safetensors", "numpy", "scikit-learn")


@lru_cache(maxsize=8)
def _recipe(file: Path, written: bytes) -> Recipe:
    """The recipe of that file as it is now: the stages of a run ask for it fifty times, and it is checked as a whole."""
    return Recipe.read(file)


@dataclass(frozen=True)
class RunFolder:
    """Paths and plain files of one run."""

    path: Path
    silent: bool = False
    """Another process keeps the log."""
    held: Recipe | None = field(default=None, repr=False, compare=False)
    """Its recipe, once it is not read anew each time (`as_it_is`)."""

    def as_it_is(self) -> RunFolder:
        """The same folder with its recipe as it is now: for whoever asks for it many times a second, and changes nothing."""
        return replace(self, held=self.recipe)

    @property
    def model(self) -> Path:
        """Where the tuned model lies."""
        return self.path / "model"

    @property
    def recipe(self) -> Recipe:
        """What was asked."""
        if self.held is not None:
            return self.held
        file = self.path / "recipe.yaml"
        try:
            written = file.read_bytes()
        except OSError:
            return Recipe.read(file)  # which says what is wrong with it
        return _recipe(file, written).model_copy(deep=True)

    def json(self, name: str) -> dict[str, Any]:
        """A JSON object of the folder; empty when it is not there yet.

        Raises:
            WeitiaoError: `damaged_file` when something else stands in the file.
        """
        path, found = self.path / name, None
        if not path.exists():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            why = (
                ""
                if isinstance(found, dict)
                else reason("no_object", kind=reason("kind", type=type(found).__name__))
            )
        except ValueError as error:  # no JSON, or no UTF-8
            why = str(error)
        if why:
            run = next(
                (each for each in (path, *path.parents) if (each / "recipe.yaml").is_file()), self.path
            )
            raise fault("damaged_file", path=path, why=why, run=run)
        return found or {}

    def log(self, **facts: Any) -> None:
        """Add one line to `log.jsonl`, floats in full precision."""
        if self.silent:
            return
        with disk(self.path), (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts, ensure_ascii=False) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop log lines of steps after `step`, which a resumed run writes again; of all steps, if none was kept."""
        kept = step if step else -1
        lines = [fact for fact in read_lines(self.path / "log.jsonl") if fact.get("step", -1) <= kept]
        write_lines(self.path / "log.jsonl", [fact for fact in lines if fact.get("event") != "end"])

    def checkpoints(self) -> list[Path]:
        """Checkpoint folders, newest first, sound or not."""
        found = [p for p in self.path.glob("checkpoint-*") if p.name.rpartition("-")[2].isdigit()]
        return sorted(found, key=lambda p: int(p.name.rpartition("-")[2]), reverse=True)

    @property
    def begun(self) -> bool:
        """Has a step been taken?"""
        logged = (fact.get("event") for fact in read_lines(self.path / "log.jsonl"))
        return self.finished or bool(self.checkpoints()) or "step" in logged

    @property
    def finished(self) -> bool:
        """Has the run been trained to its end?"""
        return (self.model / "weitiao.json").exists()

    @property
    def state(self) -> str:
        """`judged`, `trained`, `unfinished` or `not begun`, for `weitiao runs`."""
        if (self.path / "results.json").exists():
            return "judged"
        return "trained" if self.finished else "unfinished" if self.begun else "not begun"


def open_run(path: str | Path) -> RunFolder:
    """The run in an existing folder.

    Raises:
        WeitiaoError: `no_run` when there is none, `inside_run` for a folder of a run, `model_for_run` for a model's.
    """
    folder = RunFolder(Path(path))
    if not (folder.path / "recipe.yaml").is_file():
        for above in folder.path.absolute().parents[:2]:
            if folder.path.exists() and (above / "recipe.yaml").is_file():
                raise fault("inside_run", path=path, run=os.path.relpath(above))
        if (folder.path / "config.json").is_file():
            raise fault("model_for_run", path=path)
        raise fault("no_run", path=path)
    return folder


@contextmanager
def held(path: Path) -> Iterator[None]:
    """A folder, made if need be, held by this process alone.

    Raises:
        WeitiaoError: `run_busy` (another process), `disk_full`, `no_permission`, `not_a_folder`.
    """
    from filelock import FileLock, Timeout

    with disk(path):
        path.mkdir(parents=True, exist_ok=True)
        lock, holder = FileLock(path / ".lock"), path / ".holder"
        try:
            lock.acquire(timeout=0)
        except Timeout:
            pid = holder.read_text(encoding="utf-8") if holder.exists() else "?"
            raise fault("run_busy", path=path, pid=pid) from None
    try:
        write_text(holder, str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def claim(recipe: Recipe, *, resume: bool, changes: Collection[str] = ()) -> Iterator[RunFolder]:
    """The run folder of `recipe`, held by this process alone.

    Args:
        recipe: resolved.
        resume: may a run that was begun go on?
        changes: keys, or sections, that may differ from those it was begun with.

    Raises:
        WeitiaoError: `run_exists` (a step was taken and `resume` not asked), `folder_not_empty`, `other_recipe` (begun
            from another recipe, with the keys that differ), and what `held` raises.
    """
    folder = RunFolder(Path(recipe.output_dir))
    with held(folder.path):
        _admit(folder, recipe, resume=resume, changes=changes)
        write_text(folder.path / "recipe.yaml", recipe.to_yaml())
        yield folder


def placed(path: Path) -> list[str]:
    """Whether a run can be made there, tried with a folder that vanishes at once; told is a run that lies there already.

    Raises:
        WeitiaoError: `folder_not_empty`, `not_a_folder`, `no_permission`, `impossible_path`, as `claim` would.
    """
    folder = RunFolder(path)
    refuse_unwritable(path)
    if path.is_file():
        raise fault("not_a_folder", path=path)
    if not path.is_dir():
        return []
    if folder.begun:
        return [reason("run_is_there", path=path, state=folder.state)]
    _refuse_strangers(folder)
    return []


def _refuse_strangers(folder: RunFolder) -> None:
    # Rows given in memory lie in `data` before the run begins.  What a run left that stopped before its first
    # step, over bad rows for instance, binds nobody; but a recipe.yaml written by a person is not a run's.
    before = folder.path / "recipe.yaml"
    ours = {"data", "recipe.yaml", "facts.json", "log.jsonl"} if _written_by_us(before) else {"data"}
    strangers = [p.name for p in folder.path.iterdir() if not p.name.startswith(".") and p.name not in ours]
    if strangers:
        raise fault("folder_not_empty", path=folder.path, files=", ".join(sorted(strangers)[:5]))


def _admit(folder: RunFolder, recipe: Recipe, *, resume: bool, changes: Collection[str]) -> None:
    before = folder.path / "recipe.yaml"
    if not folder.begun:
        _refuse_strangers(folder)
        (folder.path / "facts.json").unlink(missing_ok=True)
        return
    if not resume:
        raise fault("run_exists", path=folder.path, state=folder.state)
    trees = completed(read_yaml(before)), completed(recipe.model_dump(mode="json"))
    if not folder.finished:  # else nothing is read again that could be compared
        trees = wherever(trees[0]), wherever(trees[1])
    found = list(differences(*trees))
    changed = [line for line in found if not named(line.partition(": ")[0], changes)]
    if not changed and found:
        folder.log(event="changed", changes=found)
    if changed:
        raise fault("other_recipe", path=folder.path, changes="\n".join(f"  {line}" for line in changed))


def wherever(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe less the folders that things lie in: what lies there is compared by its fingerprint before a step is taken."""
    data = {
        key: [name if name.startswith("hf:") else Path(name).name for name in value]
        if key in ("train", "validation", "test")
        else value
        for key, value in tree["data"].items()
    }
    return {**{key: tree[key] for key in tree if key not in ("model", "output_dir")}, "data": data}


def refuse_elsewhere(file: Path, recipe: Recipe) -> None:
    """A run's own recipe is to go on, and its `output_dir` is another folder from here: a new run would begin there.

    Raises:
        WeitiaoError: `run_elsewhere`.
    """
    run = RunFolder(file.parent)
    ours = file.name == "recipe.yaml" and run.begun and (cwd := run.json("facts.json").get("cwd"))
    if ours and Path(recipe.output_dir).resolve() != run.path.resolve():
        raise fault("run_elsewhere", path=run.path, output=recipe.output_dir, cwd=cwd)


def _written_by_us(path: Path) -> bool:
    try:
        return path.read_text(encoding="utf-8") == Recipe.read(path).to_yaml()
    except (WeitiaoError, OSError, UnicodeDecodeError):
        return False


def named(key: str, keys: Collection[str]) -> bool:
    """Is a key, or a section that it lies in, among `keys`?"""
    return any(key == each or key.startswith(f"{each}.") for each in keys)


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """`train.learning_rate: 0.001 -> 0.01` for every key that differs, less those that change nothing of a run."""
    for key in sorted({*old, *new}):
        if f"{prefix}{key}" in UNHEEDED:
            continue
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from differences(before, after, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key}: {before} -> {after}"


def facts(*, seed: int, device: str, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """What a reader needs to repeat the run: versions, machine, seed, fingerprints of data and base."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed as a package"
    return {
        "weitiao": versions["weitiao"],
        "versions": versions,
        "machine": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gb": memory_gb(),
            "device": device,
        },
        "seed": seed,
        "cwd": os.getcwd(),  # from where the recipe's relative paths are meant
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "fingerprints": dict(fingerprints),
    }


def memory_gb() -> float | None:
    """Main memory in GiB, where the system tells (Linux, macOS)."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
