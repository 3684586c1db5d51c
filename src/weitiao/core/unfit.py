"""What is wrong with a recipe, said with the key, the nearest known one, and the way out.

explained(ValidationError, Recipe)  ->  [unknown_key] "train.lr" is not a key of the recipe. -> train.learning_rate
"""

from __future__ import annotations

import re

from pydantic import BaseModel, ValidationError

from weitiao.core.errors import did_you_mean, fault
from weitiao.core.renamed import RENAMED
from weitiao.core.sections import keys_of


def explained(error: ValidationError, model: type[BaseModel]) -> Exception:
    """The coded error for what pydantic found in a recipe."""
    # A mistyped key is told before the key that is missing because of it.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    place = ".".join(map(str, first["loc"]))
    last = str(first["loc"][-1]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        section = place.rpartition(".")[0]
        known = keys_of(model)
        siblings = [key.rpartition(".")[2] for key in known if key.rpartition(".")[0] == section]
        hint = did_you_mean(last, siblings)
        if last in RENAMED:
            hint = f" -> {RENAMED[last]}"
        elif not hint:
            elsewhere = [key for key in known if key.rpartition(".")[2] == last]
            hint = f" -> {elsewhere[0]}" if elsewhere else ""
        return fault("unknown_key", key=place, hint=hint, known=", ".join(siblings))
    if first["type"] == "missing":
        return fault("missing_key", key=place)
    return wrong_value(error)


def wrong_value(error: ValidationError, *, prefix: str = "") -> Exception:
    """The coded error for the first value that does not fit; `prefix` stands before its key."""
    first = error.errors()[0]
    place = _place(first["loc"])
    whys = dict.fromkeys(found["msg"] for found in error.errors() if _place(found["loc"]) == place)
    why = "; or ".join(whys).replace("Value error, ", "")
    key = ".".join(filter(None, (prefix, place))) or "recipe"
    return fault("wrong_value", key=key, value=first["input"], why=why)


def _place(loc: tuple[int | str, ...]) -> str:
    # Behind a key that takes one of several types, pydantic names the type it tried: `train.bf16.bool`.
    tried = bool(loc) and re.fullmatch(r"bool|int|float|str|constrained-.*|.*[\[(].*", str(loc[-1]))
    return ".".join(map(str, loc[:-1] if tried else loc))
