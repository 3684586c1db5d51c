"""Where a base model lies, and what is said when it cannot be opened.

ref  ->  resolve(ref)  ->  a folder or hub id that `from_pretrained` takes
with opened(ref), quiet(): ...  whatever goes wrong in there names the model
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core.errors import WeitiaoError, did_you_mean, fault
from weitiao.core.files import sha256
from weitiao.core.why import reason
from weitiao.models import folders
from weitiao.models.assets import catalog

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress

HUB_S = 10.0  # seconds for the hub's first answer
SETTLED_S = 1.0  # since a file was last written to: longer than a tick of any file system's clock


def resolve(ref: str, *, progress: Progress | None = None) -> str:
    """Where `from_pretrained` finds the model: an embedded one's folder (fetched if need be), a folder, or the id.

    Raises:
        WeitiaoError: `no_such_model`, `model_inside`, `lone_file`; what fetching raises (`no_network`, `wrong_hash`, `disk_full`...).
    """
    if ref in catalog.MODELS:
        return str(catalog.model_path(ref, progress=progress))
    if (folder := Path(ref)).is_dir():
        if not any((folder / name).is_file() for name in folders.MARKS):
            if inside := folders.models_inside(folder):
                named = ", ".join(map(str, inside[:4])) + (" ..." if len(inside) > 4 else "")
                raise fault("model_inside", path=folder, names=named, first=inside[0])
            raise fault("no_such_model", ref=ref, why=reason("no_config"), hint=_instead(folder))
        folders.refuse_strange(folder)
        return os.path.abspath(ref)  # what is written down is read from elsewhere
    if folder.is_file():
        raise fault("lone_file", path=ref, folder=folder.parent)
    if ref.startswith((".", "/", "~")) or ref.count("/") != 1:
        hint = did_you_mean(ref, catalog.MODELS)
        raise fault("no_such_model", ref=ref, why=reason("no_name_of_a_model"), hint=hint)
    _refuse_unreachable(ref)
    return ref


def own_files(ref: str, *, progress: Progress | None = None) -> Callable[[str], Any]:
    """The name of a JSON file -> what the base's own says; None where it has none.

    Raises:
        WeitiaoError: when asked for a file: as `resolve`; `unreadable_model` where it is not JSON.
    """

    def said(name: str) -> Any:
        from transformers.utils import cached_file

        source = resolve(ref, progress=progress)
        with opened(ref):
            path = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
            return None if path is None else json.loads(Path(path).read_text(encoding="utf-8"))

    return said


def _instead(folder: Path) -> str:
    """What the folder is, when it is something else that this program knows."""
    if (folder / "recipe.yaml").is_file():
        adapter = (folder / "model" / "adapter_config.json").is_file()
        return reason("is_a_run_of_an_adapter", run=folder) if adapter else reason("is_a_run")
    if (folder / "bert_config.json").is_file() or any(folder.glob("*.ckpt*.index")):
        return reason("is_an_original_checkpoint")
    return reason("is_an_adapter") if (folder / "adapter_config.json").is_file() else ""


def _refuse_unreachable(ref: str) -> None:
    """Ask the hub once: Transformers asks six times, for each file, and waits in between."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    try:
        if not isinstance(try_to_load_from_cache(ref, "config.json"), str):
            get_hf_file_metadata(hf_hub_url(ref, "config.json"), timeout=HUB_S)
    except Exception as error:  # of the hub, or of the network library beneath it, which changes
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise fault("hub_unreachable", ref=ref, why=why[0]) from error


def fingerprint(source: str) -> str:
    """A hash of a model folder's weights, configuration and tokenizer; of a hub id, the id itself."""
    folder = Path(source)
    if not folder.is_dir():
        return source
    # A pipeline is a folder of models.
    files = folder.rglob("*") if (folder / folders.PIPELINE).is_file() else folder.iterdir()
    names = sorted(p for p in files if p.suffix in (".safetensors", ".json", ".txt", ".model", ".jinja"))
    told = "".join(f"{p.relative_to(folder).as_posix()} {_hash(p)}\n" for p in names)
    return hashlib.sha256(told.encode()).hexdigest()


def _hash(file: Path) -> str:
    """Its SHA-256, read once for all in this process who ask, until it is written to: a run asks three times for its base."""
    seen = file.stat()
    if time.time() - seen.st_ctime < SETTLED_S:
        return sha256(file)  # whoever writes to it now may leave it with the same time
    return _hash_of(file.resolve(), seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


@lru_cache(maxsize=256)
def _hash_of(file: Path, *seen: int) -> str:
    return sha256(file)


@contextmanager
def opened(ref: str) -> Iterator[None]:
    """Name the model in whatever goes wrong while it is opened."""
    try:
        yield
    except (WeitiaoError, MemoryError):
        raise
    except PermissionError as error:
        raise fault("no_permission", action="read", path=error.filename or ref) from error
    except (
        Exception
    ) as error:  # of Transformers, of the configuration that checks itself, of a library beneath
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        why = lines[0].strip() if lines else type(error).__name__
        if why.endswith(":") and lines[1:]:
            why = f"{why} {lines[1].strip()}"
        if not Path(ref).is_dir() and ref not in catalog.MODELS:
            raise fault("hub_unreachable", ref=ref, why=why) from error
        if kind := folders.quantized(ref):
            raise fault("quantized_base", ref=ref, kind=kind, why=why.rstrip(".")) from error
        raise fault("unreadable_model", ref=ref, why=why) from error
