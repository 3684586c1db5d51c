"""Ten shelves, `method`, `task`, `metric`, `baseline`, `section`, `augmentation`, `reward`, `form`, `service` and `cluster`: what lies in their folders, and what installed packages add.

    @register("method", "lora")        a class goes onto the shelf under a name
    build("method", {"name": "lora", "r": 8})  ->  Lora(r=8)
    names("method")                    ->  ["full", "head", "lora", ...]

A file in the folder of a shelf (`SHELVES`) is on the shelf by being there.  Another package joins with an entry point of
the group `weitiao.method`, `weitiao.task`, `weitiao.metric` and so on that names a module (or a class) which registers.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import math
import pkgutil
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeVar

from weitiao.core.errors import WeitiaoError, did_you_mean, fault
from weitiao.core.renamed import NAMES
from weitiao.core.why import reason

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SHELVES = {
    "method": "weitiao.methods",
    "task": "weitiao.tasks",
    "metric": "weitiao.evaluate.metrics",
    "baseline": "weitiao.evaluate.baselines",
    "section": "weitiao.evaluate.sections",
    "augmentation": "weitiao.data.augment",
    "reward": "weitiao.tasks.rewards",
    "form": "weitiao.export.forms",
    "service": "weitiao.launch.services",
    "cluster": "weitiao.launch.clusters",
}
Kind = TypeVar("Kind", bound=type)


@dataclass(frozen=True)
class Entry:
    """One name on a shelf: its class and the settings that the name presets (QLoRA is LoRA with `base_bits=4`)."""

    name: str
    kind: Any
    preset: Mapping[str, Any]


_entries: dict[str, dict[str, Entry]] = {shelf: {} for shelf in SHELVES}


def register(shelf: str, name: str, **preset: Any) -> Callable[[Kind], Kind]:
    """Put the decorated dataclass onto `shelf` as `name`, with `preset` settings."""

    def put(kind: Kind) -> Kind:
        _entries[shelf][name] = Entry(name, kind, preset)
        return kind

    return put


@cache
def _fill(shelf: str) -> None:
    package = importlib.import_module(SHELVES[shelf])
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    for point in entry_points(group=f"weitiao.{shelf}"):
        point.load()


def names(shelf: str) -> list[str]:
    """Every name on the shelf, sorted."""
    _fill(shelf)
    return sorted(_entries[shelf])


def entry(shelf: str, name: str) -> Entry:
    """The entry of that name.

    Raises:
        WeitiaoError: `unknown_name`, with the nearest name, when nothing is called so.
    """
    known = names(shelf)
    if name not in known:
        raise fault("unknown_name", shelf=shelf, name=name, hint=hint(shelf, name), known=", ".join(known))
    return _entries[shelf][name]


def hint(shelf: str, name: str) -> str:
    """What may be meant by a name that does not lie on the shelf: ` -> roc_auc`, ` Did you mean "lora"?`, or nothing."""
    elsewhere = NAMES.get(shelf, {}).get(name.lower().replace("-", "_"))
    return f" -> {elsewhere}" if elsewhere else did_you_mean(name, names(shelf))


def build(shelf: str, asked: Mapping[str, Any]) -> Any:
    """The thing that `asked` describes: its `name`, and the fields of its dataclass, checked one by one.

    Raises:
        WeitiaoError: `unknown_name`, `unknown_key` (with "did you mean") or `wrong_value`.
    """
    from pydantic import ValidationError

    from weitiao.core.unfit import together, unknown_setting, wrong_value

    found = entry(shelf, str(asked.get("name", "")))
    given = {key: value for key, value in asked.items() if key != "name"}
    known = settings(found.kind)
    faults = [unknown_setting(shelf, key, known, shelved=keys) for key in given if key not in known]
    try:
        thing = typed(found.kind).validate_python({**found.preset, **given})
    except ValidationError as error:
        raise together([*faults, wrong_value(error, prefix=shelf)]) from None
    for key, value in given.items():
        # Python takes true for 1: `r: yes` would be rank 1.
        if isinstance(value, bool) and type(getattr(thing, key, value)) in (int, float):
            why = reason("int_type" if type(getattr(thing, key)) is int else "float_type")
            faults.append(fault("wrong_value", key=f"{shelf}.{key}", value=value, why=why))
        elif isinstance(value, float) and not math.isfinite(value):
            faults.append(
                fault("wrong_value", key=f"{shelf}.{key}", value=value, why=reason("finite_number"))
            )
    if faults:
        raise together(faults)
    return thing


@cache
def typed(kind: type) -> TypeAdapter[Any]:
    """What checks the fields of a dataclass; to make it takes longer than to use it many times."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def misfits(shelf: str, settings: Any, *, default: str | None = None) -> list[WeitiaoError]:
    """What is wrong with a task or method (with `default` where none is named): its name, or keys and values."""
    name = settings.get("name", default) if isinstance(settings, Mapping) else None
    if not isinstance(name, str) or name == "-":
        return []  # the recipe's own types say so; `-` stands where rows alone are looked at
    try:
        build(shelf, {**settings, "name": name})
    except WeitiaoError as error:
        return [error]
    return []


def keys() -> Iterator[str]:
    """What can be set on methods and tasks, and on which: `method.dropout (adapter, mam)`."""
    for shelf in ("method", "task"):
        having: dict[str, list[str]] = {}
        for name in names(shelf):
            for key in settings(entry(shelf, name).kind):
                having.setdefault(key, []).append(name)
        # One or two letters are a slip of the finger as easily as a key.
        yield from (f"{shelf}.{key} ({', '.join(found)})" for key, found in having.items() if len(key) > 2)


def settings(kind: type) -> list[str]:
    """What can be set on a thing of this class."""
    return [field.name for field in dataclasses.fields(kind) if field.init]


def settings_of(name: str, thing: Any) -> dict[str, Any]:
    """The way back: `{"name": name, ...}` with every field written out, as it stands in a recipe."""
    return {"name": name, **{f.name: getattr(thing, f.name) for f in dataclasses.fields(thing) if f.init}}


def defaults(found: Entry) -> dict[str, Any]:
    """Setting -> what it is where a recipe does not say, of a name's preset."""
    known = {}
    for field in dataclasses.fields(found.kind):
        made = field.default_factory() if callable(field.default_factory) else field.default
        known[field.name] = found.preset.get(field.name, None if made is dataclasses.MISSING else made)
    return known


def choices(kind: type) -> dict[str, list[Any]]:
    """Setting -> the values it takes, where they are few and named."""
    found = {}
    for key, field in typed(kind).json_schema().get("properties", {}).items():
        kinds = field.get("anyOf", [field])
        named = [
            value for one in kinds for value in one.get("enum", [one["const"]] if "const" in one else [])
        ]
        if named:
            found[key] = named
    return found


def meanings(kind: type) -> dict[str, str]:
    """Field of a dataclass -> the docstring under it, which Python itself does not keep; {} without its source."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if dataclasses.is_dataclass(one):
            found |= _docstrings(one)
    return found


def _docstrings(kind: type) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except OSError:  # made where no file is, as in a notebook
        return {}
    (made,) = ast.parse(source).body
    body = made.body if isinstance(made, ast.ClassDef) else []
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in zip(body, body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
