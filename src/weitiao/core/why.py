"""Why something is as it is, in the reader's language: what stands behind the colon of an error, in the ledger, in a
note.

    reason("empty", what="text")                  ->  "the text is empty"
    because("taken", path=path)                   ->  {"why": "x.csv exists already", "way": "choose another name"}
    raise fault("wrong_usage", **because("taken", path=path))
    raise unfit("here_it_is", ours="adamw")       in a validator; pydantic catches it
    why(error.errors()[0])                        ->  "here it is adamw", "此处称为 adamw"

The words lie beside those of the errors, in `messages/reasons/*.yaml`: kind -> {en, zh}, several kinds with the same
words set apart by spaces; of `because` each is {why, way}.  What a kind knows of the case fills the braces.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from pydantic_core import PydanticCustomError

from weitiao.core.errors import language


def reason(kind: str, /, **facts: Any) -> str:
    """The sentence of that kind."""
    return str(reasons()[kind][language()]).format(**facts)


def because(kind: str, /, **facts: Any) -> dict[str, str]:
    """What is wrong and the way out, as the keywords `why` and `way` of an error."""
    words: Mapping[str, str] = reasons()[kind][language()]
    return {part: text.format(**facts) for part, text in words.items()}


def unfit(kind: str, **facts: Any) -> PydanticCustomError:
    """The error of that kind, to be raised by a validator."""
    return PydanticCustomError(kind, "{kind}", {"kind": kind, **facts})


def why(found: Mapping[str, Any]) -> str:
    """The reason of one of pydantic's errors; a kind that has no words here keeps pydantic's own."""
    if found["type"] not in reasons():
        return str(found["msg"]).removeprefix("Value error, ")
    facts = dict(found.get("ctx", {}))
    if language() == "zh" and isinstance(facts.get("expected"), str):
        facts["expected"] = facts["expected"].replace(" or ", " 或 ")
    return reason(found["type"], **{name: value for name, value in facts.items() if name != "kind"})


@cache
def reasons() -> dict[str, dict[str, Any]]:
    """Kind -> {en, zh}, from every file in `messages/reasons/`."""
    import yaml

    load = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    table: dict[str, dict[str, Any]] = {}
    for file in resources.files(__package__).joinpath("messages", "reasons").iterdir():
        for kinds, words in yaml.load(file.read_text(encoding="utf-8"), Loader=load).items():  # noqa: S506
            table |= dict.fromkeys(kinds.split(), words)
    return table
