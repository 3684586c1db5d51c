"""What is wrong with a recipe, all of it at once: each key, the one that is meant, and the way out.

explained(ValidationError, Recipe, ...)  ->  [unknown_key] "train.lr" is not a key of the recipe. -> train.learning_rate
three of them                            ->  [unfit_recipe] 3 things in the recipe do not fit: ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from weitiao.core.errors import WeitiaoError, did_you_mean, fault, language, nearest
from weitiao.core.renamed import ours
from weitiao.core.sections import keys_of
from weitiao.core.why import why

LONGEST = 300
"""Characters of a value that does not fit, as it is shown."""
_BELOW = "\n  "  # between the lines of what is said together


def explained(
    error: ValidationError | None,
    model: type[BaseModel],
    others: Sequence[WeitiaoError] = (),
    *,
    shelved: Callable[[], Iterable[str]],
) -> WeitiaoError:
    """The coded error for what pydantic found in a recipe.

    Args:
        error: what it found, if anything.
        model: the recipe's class.
        others: what does not fit of its task and method, found elsewhere.
        shelved: what can be set on things on the shelves (`registry.keys`), asked where nothing nearer is meant.
    """
    found, missing = [*others], []
    known = keys_of(model)
    for place, these in _by_place(error).items():
        section, _, last = place.rpartition(".")
        if these[0]["type"] == "extra_forbidden":
            siblings = [key.rpartition(".")[2] for key in known if key.rpartition(".")[0] == section]
            here = ours(place)  # what is said of a word in this very place
            hint = f" -> {here}" if here else meant(last, siblings, known, shelved=shelved)
            found.append(fault("unknown_key", key=place, hint=hint, known=", ".join(siblings)))
        elif these[0]["type"] == "missing":
            missing.append(fault("missing_key", key=place))
        else:
            found.append(_unfit(place, these))
    # A key that is only called otherwise is not missing too.
    said = " ".join(f"{one.values.get('hint', '')} {one.values.get('lines', '')}" for one in found)
    found += [one for one in missing if not re.search(rf'(-> |"){one.values["key"]}\b', said)]
    return together(found)


def unknown_setting(
    shelf: str, key: str, known: Sequence[str], *, shelved: Callable[[], Iterable[str]]
) -> WeitiaoError:
    """The coded error for a setting that something on a shelf does not have; `shelved` as in `explained`."""
    named = ", ".join(known) or "-"
    here = ours(f"{shelf}.{key}")
    hint = f" -> {here}" if here else meant(key, known, (), shelf=shelf, shelved=shelved)
    return fault("unknown_key", key=f"{shelf}.{key}", hint=hint, known=named)


def meant(
    word: str,
    siblings: Sequence[str],
    known: Iterable[str],
    *,
    shelf: str = "",
    shelved: Callable[[], Iterable[str]],
) -> str:
    """` -> train.learning_rate`, ` Did you mean "output_dir"?`, or nothing: no hint is better than a wrong one.

    Args:
        word: the key, without its section.
        siblings: the keys of its section.
        known: all keys of the recipe.
        shelf: on which the thing lies whose settings the siblings are, if they are such.
        shelved: as in `explained`.
    """
    same = nearest(word, [key for key in siblings if _plain(key) == _plain(word)])
    if same:
        return did_you_mean(word, [same])
    answer = ours(word)
    place, _, own = answer.partition(" ")[0].partition(".")
    if shelf and place == shelf and own and own not in siblings:
        answer = ""  # another of its kind has it
    if answer:
        return f" -> {answer}"
    # One word more: what `length` of max_answer_length and its kind means nobody knows.
    ends = [key for key in siblings if key.partition("_")[2] == word]
    if shelf and len(ends) == 1 and len(word) > 4:  # `dropout` of LoRA is its lora_dropout
        return did_you_mean(ends[0], ends)
    # The key of that very name in another section, or among the settings of a method or task.
    for found in (known, shelved()):
        # The key of the whole recipe before that of a section within a section.
        if elsewhere := min(
            (key for key in found if _last(key) == word), key=lambda key: key.count("."), default=""
        ):
            return f" -> {elsewhere}"
    return did_you_mean(word, siblings)


def _last(key: str) -> str:
    """Of `train.learning_rate` and `method.dropout (adapter, mam)` what stands behind the dot."""
    return key.partition(" ")[0].rpartition(".")[2]


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")


def _by_place(error: ValidationError | None) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for one in error.errors() if error else ():
        found.setdefault(_place(one["loc"]), []).append(one)
    # Of the types that a value may have, the one that fits further in is the one that was meant.
    return {
        place: these
        for place, these in found.items()
        if not any(other.startswith(f"{place}.") for other in found)
    }


def wrong_value(error: ValidationError, *, prefix: str = "") -> WeitiaoError:
    """The coded error for the values that do not fit; `prefix` stands before their keys."""
    return together([_unfit(place, these, prefix=prefix) for place, these in _by_place(error).items()])


def together(found: Sequence[WeitiaoError]) -> WeitiaoError:
    """The fault alone, or one of all faults with a line each."""
    if len(found) == 1:
        return found[0]
    lines = [line for one in found for line in _lines(one)]
    return fault("unfit_recipe", count=len(lines), lines=_BELOW.join(lines))


def _lines(one: WeitiaoError) -> list[str]:
    if one.code == "unfit_recipe":  # several already
        return str(one.values["lines"]).split(_BELOW)
    return [one.text().partition("] ")[2].partition("\n")[0]]


def _unfit(place: str, these: Sequence[Any], *, prefix: str = "") -> WeitiaoError:
    reasons = ("; or " if language() == "en" else "；或").join(dict.fromkeys(map(why, these)))
    key = ".".join(filter(None, (prefix, place))) or "recipe"
    return fault("wrong_value", key=key, value=_AsInRecipe(these[0]["input"]), why=reasons)


class _AsInRecipe:
    """A value that an error shows as it stands in a recipe: `{test: 0.9}`, true."""

    def __init__(self, value: Any):
        self.value = value

    def __repr__(self) -> str:
        """On one line, and of a table or a long text its beginning."""
        said = " ".join(self._said().split())
        return said if len(said) <= LONGEST else f"{said[:LONGEST]} ..."

    def _said(self) -> str:
        if not isinstance(self.value, Mapping | list | bool | None):
            return repr(self.value)
        flow = yaml.safe_dump(
            to_jsonable_python(self.value, fallback=str),
            default_flow_style=True,
            sort_keys=False,
            width=10**6,
            allow_unicode=True,
        )
        return flow.removesuffix("...\n").strip()


def _place(loc: tuple[int | str, ...]) -> str:
    # Behind a key that takes one of several types, pydantic names the type it tried: `train.bf16.bool`.
    return ".".join(str(part) for part in loc if not _TYPE.fullmatch(str(part)))


_TYPE = re.compile(r"bool|int|float|str|constrained-.*|.*[\[(].*")
