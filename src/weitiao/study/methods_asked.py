"""What is compared: from a user's words to methods that are known, and known to suit the task.

    ["full", "lora:r=4", {"name": "ia3"}]  ->  entrants(...)  ->  [Entrant("full"), Entrant("lora:r=4"), Entrant("ia3")]

A word is a method's name, and its settings behind colons: `lora:r=4:lora_alpha=8`.  Words are separated by commas;
inside brackets and quotes neither mark counts: `lora:target_modules=[query,value]`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Method
from weitiao.core.errors import fault
from weitiao.core.read_yaml import typed
from weitiao.core.recipe import Recipe
from weitiao.core.why import reason

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress

PAIRS = {"(": ")", "[": "]", "{": "}"}
LONGEST = 80  # characters of a folder's name


@dataclass(frozen=True)
class Entrant:
    """One method of a comparison."""

    label: str
    """What it is called in the table: its name, and the settings that were given."""
    settings: dict[str, Any]
    """`name` and the settings that were given, as in a recipe."""
    method: Method

    @property
    def folder(self) -> str:
        """The label as the name of a folder; no two labels have the same one."""
        name = self.label.replace(":", "-")
        safe = re.sub(r"[^\w.=+-]+", "-", name).strip(".-")[:LONGEST] or "method"
        # Where something was lost, another label could have lost the same.
        return safe if safe == name else f"{safe}-{hashlib.sha256(self.label.encode()).hexdigest()[:6]}"

    @property
    def resolved(self) -> dict[str, Any]:
        """`name` and every setting, defaults written out."""
        return registry.settings_of(self.settings["name"], self.method)

    def recipe(self, asked: Recipe) -> Recipe:
        """The comparison's recipe with this method, into a run folder below the comparison's."""
        folder = Path(asked.output_dir) / self.folder
        return asked.model_copy(update={"method": self.settings, "output_dir": str(folder)})


def asked_for(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """The methods among `key=value` words, as in `method=full,lora`, and the other words.

    Raises:
        WeitiaoError: `bad_method_word`; `setting_of_none` for `method.r=8`, which would be everybody's.
    """
    methods: list[str] = []
    others: list[str] = []
    for word in words:
        key, _, value = word.partition("=")
        if key.startswith("method."):
            raise fault("setting_of_none", word=word, setting=word.removeprefix("method."))
        if key == "method":
            methods += cut(value, ",")
        else:
            others.append(word)
    return methods, others


def entrants(
    methods: Iterable[str | Mapping[str, Any]], *, before: Iterable[Mapping[str, Any]] = ()
) -> list[Entrant]:
    """Every method built with its settings; those of `before` first, which need not be named again.

    Raises:
        WeitiaoError: `bad_method_word`, `unknown_name`, `unknown_key`, `wrong_value`; `too_few_methods`,
            `same_method_twice`.
    """
    found = [_entrant(method) for method in before]
    known = len(found)
    for one in map(_entrant, methods):
        # A name that presets settings of another one is that other one.
        twin = next((other for other in found if other.method == one.method), None)
        if twin is None:
            found.append(one)
        elif twin not in found[:known]:
            raise fault("same_method_twice", first=twin.label, second=one.label)
    if len(found) < 2:
        given = ", ".join(one.label for one in found) or "-"
        raise fault("too_few_methods", count=len(found), given=given)
    return found


def _entrant(given: str | Mapping[str, Any]) -> Entrant:
    settings = spelt(given) if isinstance(given, str) else dict(given)
    if not isinstance(settings.get("name"), str):
        raise fault("bad_method_word", word=given)
    return Entrant(called(settings), settings, registry.build("method", settings))


def called(settings: Mapping[str, Any]) -> str:
    """The way back: a method as `spelt` reads it."""
    return ":".join([settings["name"], *(f"{k}={shown(v)}" for k, v in settings.items() if k != "name")])


def spelt(word: str) -> dict[str, Any]:
    """`lora:r=4` as `{"name": "lora", "r": 4}`; a mapping in braces, as a recipe has it, is taken too.

    Raises:
        WeitiaoError: `bad_method_word`.
    """
    if word.lstrip().startswith("{"):
        mapping = typed(word)
        if not isinstance(mapping, dict):
            raise fault("bad_method_word", word=word)
        return mapping
    name, *pairs = (part.strip() for part in cut(word, ":"))
    settings: dict[str, Any] = {"name": name}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value) or key in settings:
            raise fault("bad_method_word", word=word)
        settings[key] = typed(value)
    if not name or "=" in name:
        raise fault("bad_method_word", word=word)
    return settings


def cut(text: str, mark: str) -> list[str]:
    """The parts of a text between the marks that stand in no brackets and no quotes.

    Raises:
        WeitiaoError: `bad_method_word` when a bracket or a quote stays open.
    """
    open_: list[str] = []  # what would close the brackets, and a quote, that we are in
    parts = [""]
    for char in text:
        quoted = bool(open_) and open_[-1] in "\"'"
        if open_ and char == open_[-1]:
            open_.pop()
        elif not quoted and (char in PAIRS or char in "\"'"):
            open_.append(PAIRS.get(char, char))
        if char == mark and not open_:
            parts.append("")
        else:
            parts[-1] += char
    if open_:
        raise fault("bad_method_word", word=text)
    return parts


def shown(value: Any) -> str:
    """A setting as it is typed."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(shown, value))}]"
    return str(value)


def check(asked: Recipe, found: Sequence[Entrant], *, progress: Progress | None = None) -> None:
    """Everything that can be known of every method before the first one trains, without rows and weights.

    Raises:
        WeitiaoError: `unknown_name` and its like for task and augmentations, `no_such_pair`, `missing_key`,
            `wrong_metric`, `needs_validation`; what putting a method into the model raises (`no_such_modules`).
    """
    from weitiao.data.augment import steps
    from weitiao.stages.preflight import preflight, resolve

    task = registry.build("task", asked.task)
    if not asked.data.train:
        raise fault("missing_key", key="data.train")
    steps(asked.data.augment)
    for one in found:
        if why := one.method.refuses(task):
            way = reason("leave_method_out")
            raise fault("no_such_pair", method=one.label, task=asked.task["name"], why=why, way=way)
        resolve(one.recipe(asked), task, one.method)
    for one in found:  # what takes a moment, after all that takes none
        preflight(one.recipe(asked), task, one.method, progress=progress)
