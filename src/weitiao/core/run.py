"""The run folder: the one thing that stages share.

    runs/reviews-lora/  recipe.yaml  facts.json  log.jsonl  data/  checkpoint-*/  model/  results.json  report.html

Weights are safetensors, everything else is text; a file appears whole or not at all.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from weitiao.core.errors import WeitiaoError, fault, language
from weitiao.core.read_yaml import read_yaml
from weitiao.core.recipe import Recipe
from weitiao.core.why import because

UNHEEDED = frozenset({"train.disable_tqdm"})
"""Keys that change nothing of a run: recipes that differ in them alone are the same."""
PACKING = 1
"""Of gzip, whose higher levels take two to five times as long for a sixth less (film reviews: 46 % at 1, 39 % at 6)."""
PACKAGES = ("weitiao", "torch", "transformers", "tokenizers", "safetensors", "numpy", "scikit-learn")


@contextmanager
def disk(path: Path, *, needed_bytes: int = 0) -> Iterator[None]:
    """Turn "no space" and "no permission" into coded errors that name `path`; too little space is said beforehand.

    Raises:
        WeitiaoError: `disk_full`, `no_permission` or `not_a_folder`; any other error passes through.
    """

    def full() -> WeitiaoError:
        return fault("disk_full", path=path, needed_mb=needed_bytes / 1e6, free_mb=free_bytes(path) / 1e6)

    try:
        if needed_bytes > free_bytes(path):
            raise full()
        yield
    except WeitiaoError:
        raise
    except Exception as error:
        number = _errno(error)
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise full() from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            place = getattr(error, "filename", None) or path
            raise fault(
                "no_permission", action="write" if language() == "en" else "写入", path=place
            ) from error
        if number == errno.EISDIR:
            raise fault("wrong_usage", **because("folder_for_file", path=path)) from error
        if number in (errno.ENOTDIR, errno.EEXIST):
            raise fault("not_a_folder", path=path) from error
        raise


HALF = re.compile("[\ud800-\udfff]")


def free_bytes(path: Path) -> int:
    """Free space on the disk of `path`, which need not exist yet."""
    near = next((folder for folder in (path, *path.parents) if folder.exists()), Path("."))
    return shutil.disk_usage(near).free


def _errno(error: Exception) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    # safetensors writes in Rust, whose error is no OSError: "I/O error: No space left on device (os error 28)".
    number = re.search(r"\(os error (\d+)\)", str(error))
    return int(number[1]) if number else None


@contextmanager
def whole_file(path: Path, *, needed_bytes: int = 0, newline: str | None = None) -> Iterator[IO[str]]:
    """A text file that is there whole or not at all: temporary file, fsync, rename; packed where its name ends in `.gz`."""
    with disk(path, needed_bytes=needed_bytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with _opened(temporary, "w", packed=path.suffix == ".gz", newline=newline) as file:
                yield file
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _opened(path: Path, mode: str, *, packed: bool, newline: str | None = None) -> IO[str]:
    if not packed:
        return path.open(mode, encoding="utf-8", newline=newline)
    # Without a time in it, the same text is the same file.
    return io.TextIOWrapper(
        gzip.GzipFile(path, f"{mode}b", PACKING, mtime=0), encoding="utf-8", newline=newline
    )


def share(folder: Path) -> None:
    """Give the files of a folder that has just been made the rights that the umask gives: safetensors writes for its
    owner alone."""
    rights = (
        folder.stat().st_mode & 0o666
    )  # `mkdir` has asked the umask, which to ask here would be to change it
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(rights)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    with whole_file(path, needed_bytes=len(text)) as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """`write_text` of indented JSON; text stays readable in every script."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """One JSON value a line, as they come; like `write_text`, whole or not at all.

    Half a character (a lone surrogate) cannot be UTF-8: a value that holds one is written in escapes, for its reader to find.
    """
    with whole_file(path) as file:
        for value in values:
            line = json.dumps(value, ensure_ascii=False)
            file.write((line if HALF.search(line) is None else json.dumps(value)) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON values of a `.jsonl` file; a last line that a crash cut short is left out."""
    if not path.exists():
        return []
    values = []
    for line in path.read_bytes().split(b"\n"):
        try:
            values.append(json.loads(line))
        except ValueError:  # no JSON, or half a character
            break
    return values


def stream_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON values of a sound `.jsonl` or `.jsonl.gz` file, one after the other."""
    with _opened(path, "r", packed=path.suffix == ".gz") as file:
        yield from map(json.loads, file)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class RunFolder:
    """Paths and plain files of one run."""

    path: Path
    silent: bool = False
    """Another process keeps the log."""

    @property
    def model(self) -> Path:
        """Where the tuned model lies."""
        return self.path / "model"

    @property
    def recipe(self) -> Recipe:
        """What was asked."""
        return Recipe.read(self.path / "recipe.yaml")

    def json(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder; empty when it is not there yet."""
        path = self.path / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

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


def _admit(folder: RunFolder, recipe: Recipe, *, resume: bool, changes: Collection[str]) -> None:
    before = folder.path / "recipe.yaml"
    if not folder.begun:
        # Rows given in memory lie in `data` before the run begins.  What a run left that stopped before its first
        # step, over bad rows for instance, binds nobody; but a recipe.yaml written by a person is not a run's.
        ours = {"data", "recipe.yaml", "facts.json", "log.jsonl"} if _written_by_us(before) else {"data"}
        strangers = [
            p.name for p in folder.path.iterdir() if not p.name.startswith(".") and p.name not in ours
        ]
        if strangers:
            raise fault("folder_not_empty", path=folder.path, files=", ".join(sorted(strangers)[:5]))
        (folder.path / "facts.json").unlink(missing_ok=True)
        return
    if not resume:
        raise fault("run_exists", path=folder.path, state=folder.state)
    trees = read_yaml(before), recipe.model_dump(mode="json")
    if not folder.finished:  # else nothing is read again that could be compared
        trees = _wherever(trees[0]), _wherever(trees[1])
    found = list(differences(*trees))
    changed = [line for line in found if not named(line.partition(": ")[0], changes)]
    if not changed and found:
        folder.log(event="changed", changes=found)
    if changed:
        raise fault("other_recipe", path=folder.path, changes="\n".join(f"  {line}" for line in changed))


def _wherever(tree: Mapping[str, Any]) -> dict[str, Any]:
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
