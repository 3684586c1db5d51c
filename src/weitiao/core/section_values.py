"""What sections of the recipe are made of: their base, and the kinds of values that keys hold.

Section         ->  a part of the recipe
listed, named   ->  short ways of writing a value, and what they stand for
Once, Share ... ->  types of values with their bounds
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from weitiao.core.why import unfit


class Section(BaseModel):
    """A part of the recipe: frozen, no unknown keys, each key's meaning under it."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    @model_validator(mode="before")
    @classmethod
    def _all_commented_out(cls, given: Any) -> Any:
        # `train:` with every key below it commented out is null to YAML.
        return {} if given is None else given


def listed(value: Any) -> Any:
    """One name stands for a list of it."""
    return [value] if isinstance(value, str) else value


def file_names(value: Any) -> Any:
    """Names of files; rows in memory are made one before a recipe is read, where they are taken."""
    items = [str(each) if isinstance(each, os.PathLike) else each for each in _each(value)]
    rows = [each for each in items if not isinstance(each, str | int | float | list | None)]
    # A frame walked through gives its columns, a series its texts: neither is a file.
    texts = [each for each in items if isinstance(each, str) and "\n" in each]
    if rows or texts:
        raise unfit("rows_here", type=type(value if value in rows else (rows or texts)[0]).__name__)
    return items if isinstance(value, str | os.PathLike | list | tuple) else value


def _each(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def reported(value: Any) -> Any:
    """Whom a run is reported to: nobody by `none`, too."""
    # As Transformers has it; an empty list says the same.
    return [] if value in ("none", None) else listed(value)


def no_is_a_word(value: Any) -> Any:
    """`no`, however YAML read it."""
    # YAML reads a bare `no` as false, and everybody writes `eval_strategy: no`.
    return "no" if value is False else value


def path_as_text(value: Any) -> Any:
    """In Python a path may be a `Path`."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def where_rows_go(value: Any) -> Any:
    """What becomes of bad rows is said elsewhere."""
    if value in ("skip", "fail"):
        raise unfit("rows_go")
    return value


def known_elsewhere(names: Mapping[str, str]) -> BeforeValidator:
    """Names of other tools are answered with ours.

    Args:
        names: theirs -> ours.
    """

    def check(value: Any) -> Any:
        if isinstance(value, str) and value in names:
            raise unfit("here_it_is", ours=names[value])
        return value

    return BeforeValidator(check)


def named(value: Any) -> Any:
    """A name alone stands for a mapping that holds it."""
    return {"name": value} if isinstance(value, str) else value


def _once(values: Any) -> Any:
    seen = set()
    for value in values:
        if value in seen:
            raise ValueError(f'"{value}" is listed twice')
        seen.add(value)
    return values


Once = AfterValidator(_once)
"""Beside the type of a list whose values must differ."""
AtHome = Annotated[str, BeforeValidator(path_as_text), AfterValidator(os.path.expanduser)]
"""A path that may begin with `~`: no shell has seen what stands in a file, and a folder of that name would be made."""
FASTEST = 1000.0
"""Learning rates end far below (prompts are tuned with up to 100); from 1e30 on one step makes weights that are no numbers."""
MULTIPLE = 1e6
"""Of a learning rate, at most."""
MOST_ROWS = 2**20
"""In a forward pass."""
MOST_SEEDS = 2**53
"""JSON keeps whole numbers exactly up to here; torch and Python's own chance take 64 bits."""
Share = Annotated[float, Field(ge=0, lt=1)]
Period = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)]
"""A number of steps, or a share of all of them."""
Named = Annotated[dict[str, Any], BeforeValidator(named)]
