"""A print of the code that decides what a task makes of rows.

    code_print(TextClassification)  ->  "5f2c..."; another one when any file changes that the task is written in

That is this house's rooms from the tasks down, whole, and of a task from elsewhere its whole package, or its file and
whatever that imports, inside functions too.  Installed packages of others are known by their versions elsewhere.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).parents[1]
ROOMS = ("core", "data", "models", "tasks")
"""The rooms that a task may import."""


def code_print(kind: type) -> str:
    """The hash of all the code behind a class."""
    files = {file for room in ROOMS for file in (HOUSE / room).rglob("*.py")}
    found = hashlib.sha256()
    for each in kind.__mro__:
        top = each.__module__.partition(".")[0]
        if top in sys.stdlib_module_names and top != "__main__":
            continue
        try:
            files |= _behind(Path(inspect.getfile(each)).resolve(), top)
        except (TypeError, OSError):
            # Written in a notebook: what it calls may stand in any cell, so nothing is taken from the cache.
            found.update(uuid.uuid4().bytes)
    # Wherever it lies: a house that was moved is the same.
    prints = sorted(file.name + hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    found.update("\n".join(prints).encode())
    return found.hexdigest()


def _behind(file: Path, top: str) -> set[Path]:
    """The file of a class, its package, and what these import that lies beside no installed package."""
    if file.is_relative_to(HOUSE):
        return {file}
    files, new = set[Path](), {file, *_package(top, own=True)}
    while new:
        files |= new
        names = {name for one in new for name in _imported(one)}
        new = {path for name in names - {"weitiao"} for path in _package(name)} - files
    return files


def _package(top: str, *, own: bool = False) -> set[Path]:
    """All files of a package, or the one of a module; none for those of Python, and of others unless it is `own`."""
    if top in sys.stdlib_module_names:
        return set()
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return set()
    if spec is None:
        return set()
    folders = [Path(place) for place in spec.submodule_search_locations or ()]
    single = [] if folders or not (spec.origin or "").endswith(".py") else [Path(spec.origin or "")]
    # Asked before a folder is gone through: torch alone has thousands of files.
    others = () if own else _installed()
    places = [
        place
        for place in map(Path.resolve, [*folders, *single])
        if not any(place.is_relative_to(other) for other in others)
    ]
    return {file for place in places for file in ([place] if place.is_file() else place.rglob("*.py"))}


def _imported(file: Path) -> Iterator[str]:
    """The first names of what a file imports, wherever in it."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _installed() -> set[Path]:
    return {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
