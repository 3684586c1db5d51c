"""A Python function of the user's, named in a recipe.

    opened("path/to/file.py:name", key="data.augment")  ->  the function

The file is run as it stands, with the user's rights.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from weitiao.core.errors import fault
from weitiao.core.why import reason

NAMED = r"^.+:[^:]+$"
"""How one is written: `path/to/file.py:name`, or `package.module:name`."""


def opened(named: str, *, key: str) -> Callable[..., Any]:
    """The function of that name.

    Args:
        named: as `NAMED` says; a path counts from the folder where the command runs.
        key: the key of the recipe that names it, for the error.

    Raises:
        WeitiaoError: `no_such_function`.
    """
    place, _, name = named.rpartition(":")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:  # the user's own code, which runs as it is imported
        why = reason("error_of_kind", type=type(error).__name__, error=error)
        raise fault("no_such_function", key=key, function=named, why=why) from error
    found = getattr(module, name, None)
    if not callable(found):
        why = reason("no_function_in", name=name, place=place)
        raise fault("no_such_function", key=key, function=named, why=why)
    return found


def _from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
