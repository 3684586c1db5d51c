"""`weitiao doctor`: what is installed, what the machine has, and what is broken."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from typing import Any

from weitiao.core.errors import language
from weitiao.core.run import memory_gb
from weitiao.core.why import reason

NEEDED = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "numpy",
    "scikit-learn",
    "matplotlib",
    "pydantic",
    "typer",
    "rich",
    "gguf",
)
OPTIONAL = {"peft": "opening_elsewhere", "pandas": "tables_as_rows", "trl": "for_benchmarks"}


def examine() -> dict[str, Any]:
    """Facts, and `broken`: a list of what is wrong with the way out."""
    broken: list[str] = []
    versions = {package: _version(package) for package in (*NEEDED, *OPTIONAL)}
    broken += [reason("package_missing", package=name) for name in NEEDED if versions[name] is None]
    torch = _torch(broken)
    broken += _torchvision()
    from weitiao.models.assets.fetch import cache_dir

    cache = cache_dir()
    parent = next(p for p in (cache, *cache.parents) if p.exists())
    if not os.access(parent, os.W_OK):
        broken.append(reason("cache_unwritable", path=cache))
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": memory_gb(),
        "disk_free_gb": round(shutil.disk_usage(parent).free / 2**30, 1),
        "cache": str(cache),
        "language": language(),
        **torch,
        "versions": versions,
        "broken": broken,
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch(broken: list[str]) -> dict[str, Any]:
    try:
        import torch

        from weitiao.models.load import fast_bf16, pick_device
    except (ImportError, OSError) as error:
        broken.append(reason("torch_unimportable", error=error))
        return {}
    device = pick_device()
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    cuda_only = torch.version.cuda is not None and not gpus
    return {
        "device": device,
        "gpus": gpus,
        "threads": torch.get_num_threads(),
        "fast_bf16": fast_bf16(device),
        "torch_build": f"CUDA {torch.version.cuda}" + (", but no GPU is seen" if cuda_only else "")
        if torch.version.cuda
        else "CPU",
    }


def _torchvision() -> list[str]:
    """A torchvision of another build makes Transformers fail with messages about models; better said here."""
    if importlib.util.find_spec("torchvision") is None:
        return []
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        return [reason("torchvision_unfit", error=str(error).splitlines()[0])]
    return []


def show(findings: dict[str, Any]) -> None:
    """The findings as a table, and what is broken below it."""
    from rich.markup import escape
    from rich.table import Table

    from weitiao.cli.show import out

    table = Table(show_header=False, box=None)
    for key, value in findings.items():
        if key not in ("versions", "broken"):
            table.add_row(key, escape(str(value)))
    for package, version in findings["versions"].items():
        use = "" if version or package not in OPTIONAL else reason(OPTIONAL[package])
        note = reason("optional_for", use=use) if use else ""
        table.add_row(package, escape(f"{version or reason('not_installed')}{note}"))
    out.print(table)
    for line in findings["broken"]:
        out.print(reason("told_broken", line=escape(line)))
    if not findings["broken"]:
        out.print(reason("all_well"))
