"""A function of your own makes the copies.

def shout(values, rng): return {**values, "text": values["text"].upper()}     # or a list of rows, or None
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any, ClassVar

from pydantic import Field

from weitiao.core.contracts import Record, Shape
from weitiao.core.errors import fault
from weitiao.core.function import NAMED, opened
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.data.augment import Change, Changes, Helpers, Values


@register("augmentation", "function")
@dataclass(frozen=True, kw_only=True)
class Function(Changes):
    """What a Python function returns: called with a row (a dict it may change) and a seeded `random.Random`.

    The file named in the recipe is run as it stands, with your rights: name only files that you trust.
    """

    function: Annotated[str, Field(pattern=NAMED)]
    """`path/to/file.py:name`, or `package.module:name`."""

    summary: ClassVar[str] = "what your own function makes"
    source: ClassVar[str] = "-"

    def ready(self, shape: Shape, helpers: Helpers) -> Change:
        """A row that comes back must be one that the task could have read; one with an unknown label is not taken."""
        function = opened(self.function, key="data.augment")

        def change(records: Sequence[Record], rngs: Sequence[Random]) -> list[list[Values]]:
            return [self._asked(function, r, shape, rng) for r, rng in zip(records, rngs, strict=True)]

        return change

    def _asked(self, function: Callable[..., Any], record: Record, shape: Shape, rng: Random) -> list[Values]:
        try:
            made = function(copy.deepcopy(dict(record.values)), rng)
        except Exception as error:  # the user's own code
            why = f"{type(error).__name__}: {error}"
            raise fault("function_failed", function=self.function, place=record.place, why=why) from error
        rows = [] if made is None else made if isinstance(made, list) else [made]
        for row in rows:
            if why := _fault(row, record, shape):
                raise fault("function_bad_row", function=self.function, place=record.place, why=why)
        return rows


def _fault(row: Any, record: Record, shape: Shape) -> str:
    if not isinstance(row, dict):
        return reason("made_no_dict", kind=reason("kind", type=type(row).__name__))
    if strange := sorted(map(str, set(row) - set(shape.columns) - set(record.values))):
        return reason("made_no_column", column=strange[0], shape=shape.name)
    if type(row.get("label")) is not type(record.values.get("label")):
        facts = {"label": repr(row.get("label")), "before": repr(record.values.get("label"))}
        return reason("made_label", **facts)
    try:
        why = shape.faults(row)
        shape.key(row)
        shape.group(row)
        shape.stratum(row)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        return f"{type(error).__name__}: {error}"
    return why
