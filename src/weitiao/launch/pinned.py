"""The packages that run here, by their versions: what an image installs is what the model was tried with.

pinned(["serve"])  ->  {"torch": "2.13.0", "transformers": "5.23.0", "fastapi": ...}
"""

from __future__ import annotations

import platform
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CUDA = ("nvidia-", "cuda-", "triton")
"""What builds of torch for a GPU bring along: torch itself says which, for its own build."""


def pinned(extras: Iterable[str]) -> dict[str, str]:
    """Name -> version of all that weitiao needs, with these extras as far as they are installed."""
    found: dict[str, str] = {}
    asked = _own(extras)
    seen: set[tuple[str, frozenset[str]]] = set()
    while asked:
        one = asked.pop()
        name, wanted = canonicalize_name(one.name), frozenset(one.extras)
        if (name, wanted) in seen or name.startswith(CUDA) or name == "weitiao":
            continue
        seen.add((name, wanted))
        try:
            here = distribution(name)
        except PackageNotFoundError:
            continue  # of an extra that is not installed
        found[name] = Version(here.version).public  # 2.13.0+cpu is of one index alone
        for line in here.requires or ():
            if _applies(brought := Requirement(line), wanted):
                asked.append(brought)
    return dict(sorted(found.items()))


def _own(extras: Iterable[str]) -> list[Requirement]:
    """What weitiao itself asks for: as its clone says, which a pull may have changed since it was installed, else its metadata."""
    clone = Path(__file__).parents[3] / "pyproject.toml"
    if not clone.is_file():
        named = Requirement(f"weitiao[{','.join(extras)}]")
        lines = [Requirement(line) for line in distribution("weitiao").requires or ()]
        return [one for one in lines if _applies(one, named.extras)]
    project = tomllib.loads(clone.read_text(encoding="utf-8"))["project"]
    more = [line for extra in extras for line in project["optional-dependencies"][extra]]
    return [Requirement(line) for line in [*project["dependencies"], *more]]


def _applies(one: Requirement, extras: Iterable[str]) -> bool:
    return one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in {"", *extras})


def python() -> str:
    """The version of Python, as its images are called: `3.11.7`, or `3.15-rc` of one that is not out yet."""
    final = sys.version_info.releaselevel == "final"
    return platform.python_version() if final else f"{sys.version_info[0]}.{sys.version_info[1]}-rc"
