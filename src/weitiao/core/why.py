"""Why a value of the recipe does not fit, in the reader's language: pydantic's own kinds of error and ours.

    raise unfit("here_it_is", ours="adamw")   in a validator; pydantic catches it
    why(error.errors()[0])                    ->  "here it is adamw", "此处称为 adamw"

The words lie in `values.yaml`.  A kind that is not there keeps pydantic's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from pydantic_core import PydanticCustomError

from weitiao.core.errors import language


def unfit(kind: str, **facts: Any) -> PydanticCustomError:
    """The error of that kind, to be raised by a validator."""
    return PydanticCustomError(kind, "{kind}", {"kind": kind, **facts})  # type: ignore[arg-type]


def why(found: Mapping[str, Any]) -> str:
    """The reason of one of pydantic's errors, in the reader's language."""
    words = _words(language()).get(found["type"])
    if words is None:
        return str(found["msg"]).removeprefix("Value error, ")
    facts = dict(found.get("ctx", {}))
    if language() == "zh" and isinstance(facts.get("expected"), str):
        facts["expected"] = facts["expected"].replace(" or ", " 或 ")
    return words.format(**facts)


@cache
def _words(lang: str) -> dict[str, str]:
    import yaml

    text = resources.files(__package__).joinpath("values.yaml").read_text(encoding="utf-8")
    return {kind: entry[lang] for entry in yaml.safe_load(text) for kind in entry["kinds"]}
