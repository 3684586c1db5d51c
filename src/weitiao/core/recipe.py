"""The one configuration: what is asked, from a file, keyword arguments or `key=value` words, checked strictly.

    recipe.yaml + ["method.r=8"]  ->  Recipe.read(path, overrides)  ->  Recipe  ->  recipe.to_yaml()

Sections are the stages (`sections.py`); keys inside are spelt as in Transformers and PEFT.  Settings of the method
and of the task live with them (`methods/`, `tasks/`).  What is wrong is said at once, all of it (`unfit.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import to_jsonable_python

from weitiao.core import registry
from weitiao.core.display import either
from weitiao.core.errors import fault, with_pages
from weitiao.core.meanings import meaning
from weitiao.core.read_yaml import written, written_yaml
from weitiao.core.section_values import MOST_SEEDS, AtHome, Named, Section, named
from weitiao.core.sections import Data, Evaluate, Search, Split, Train, keys_of
from weitiao.core.unfit import explained
from weitiao.core.why import unfit
from weitiao.core.wrap import wrap
from weitiao.core.written import plain, settled

__all__ = [
    "DEFAULT_METHOD",
    "Data",
    "Evaluate",
    "Recipe",
    "Search",
    "Section",
    "Split",
    "Train",
    "known_keys",
]

DEFAULT_METHOD = "lora"
SHELVED = ("task", "method")
"""Keys whose settings are those of something on a shelf."""
WIDE = 108
"""Cells of a comment's line, at most."""


def _named_method(value: Any) -> Any:
    value = named(value)
    if not isinstance(value, dict):
        raise unfit("one_method")
    return {"name": DEFAULT_METHOD, **value} if isinstance(value, dict) else value


def _rows_alone(value: Any) -> Any:
    if isinstance(value, str):
        raise unfit("rows_alone", rows=value)
    if value is not None and not isinstance(value, Mapping | Data | bool | int | float):
        raise unfit("rows_here", type=type(value).__name__)
    return value


class Recipe(Section):
    """Everything that is asked of one run."""

    model: AtHome
    """An embedded name (`weitiao models`), a folder, or a hub id."""
    task: Named
    """What is learnt (`weitiao tasks`)."""
    method: Annotated[dict[str, Any], BeforeValidator(_named_method)] = {"name": DEFAULT_METHOD}
    """Which parameters train, and how (`weitiao methods`)."""
    start_from: AtHome | None = None
    """A finished run of the same base, task and method whose tuned weights this one begins with, and is judged beside;
    where both write words, tasks may differ (`dpo` after `sft`).  Its steps and moments are not taken over (to go on with a run itself: `weitiao train --resume`)."""
    data: Annotated[Data, BeforeValidator(_rows_alone)] = Data()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    search: Search = Search()
    seed: Annotated[int, Field(ge=0, le=MOST_SEEDS)] = 0
    """Decides initialisation, order, dropout and split."""
    output_dir: AtHome
    """The run folder."""

    @classmethod
    def read(cls, source: str | Path | Mapping[str, Any], overrides: Iterable[str] = ()) -> Recipe:
        """The recipe in a YAML file or a mapping, with `key=value` words on top.

        Raises:
            WeitiaoError: `recipe_missing`, `bad_yaml`, `unknown_key`, `missing_key`, `wrong_value` or `bad_override`.
        """
        if not isinstance(source, str | Path | Mapping):
            raise fault("no_recipe", kind=type(source).__name__)
        tree = dict(source) if isinstance(source, Mapping) else written_yaml(Path(source))
        tree = {key: named(value) if key in SHELVED else value for key, value in tree.items()}
        for word in overrides:
            tree = _override(tree, word)
        shelved = {shelf: _settings(tree[shelf], shelf) for shelf in SHELVED if shelf in tree}
        defaults = {"method": DEFAULT_METHOD}
        try:
            recipe = cls.model_validate({**settled(tree, cls), **shelved})
        except ValidationError as error:
            # What a name alone stands for is looked up where something is wrong anyway: it takes a while.
            others = [
                registry.misfits(shelf, shelved[shelf], default=defaults.get(shelf)) for shelf in shelved
            ]
            raise explained(
                error, cls, [one for some in others for one in some], shelved=registry.keys
            ) from None
        more = [shelf for shelf in shelved if set(shelved[shelf]) - {"name"}]
        others = [registry.misfits(shelf, shelved[shelf], default=defaults.get(shelf)) for shelf in more]
        if found := [one for some in others for one in some]:
            raise explained(None, cls, found, shelved=registry.keys)
        return recipe

    def to_yaml(self) -> str:
        """The whole recipe, every default written out; reading it back gives the same recipe."""
        return yaml.safe_dump(self.model_dump(mode="json"), allow_unicode=True, sort_keys=False)

    def to_commented_yaml(self) -> str:
        """The whole recipe with the meaning of every key above it in the reader's language, to start from."""
        pages = either(
            "Pages that are named here: docs/recipe.md and beside it.",
            "文中提到的文档：docs/recipe.zh-CN.md 及其旁边的各页。",
        )
        return "\n".join([f"# {with_pages(pages)}", *_commented(self, indent=""), ""])


def _commented(section: Section, *, indent: str) -> list[str]:
    lines = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        lines += _comment(meaning(field.description or ""), indent)
        if isinstance(value, Section):
            lines += [f"{indent}{name}:", *_commented(value, indent=indent + "  ")]
        elif name in SHELVED and len(value) > 1:
            meanings = registry.meanings(registry.entry(name, value["name"]).kind)
            others = f"`weitiao {name}s`"
            lines += _comment(
                either(
                    f"Another one has other settings: {others} lists them.",
                    f"换一个则设置不同：{others} 会列出。",
                ),
                indent,
            )
            lines.append(f"{indent}{name}:")
            for key, setting in value.items():
                lines += _comment(meaning(meanings.get(key, "")), f"{indent}  ")
                lines.append(f"{indent}  {key}: {_flow(setting)}")
        else:
            lines.append(f"{indent}{name}: {_flow(value)}")
    return lines


def _comment(text: str, indent: str = "") -> list[str]:
    return [f"{indent}# {line}" for line in wrap(text, WIDE - len(indent))] if text else []


def _flow(value: Any) -> str:
    """A value as it stands behind its key."""
    plainly = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plainly, allow_unicode=True, default_flow_style=True, sort_keys=False, width=1000)
    return text.removesuffix("...\n").strip()


def _override(tree: dict[str, Any], word: str) -> dict[str, Any]:
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise fault("bad_override", word=word)
    value = written(text)
    *sections, last = key.split(".")
    changed = node = dict(tree)
    for name in sections:
        inner = node.get(name)
        if plain(inner) is None:  # all below it is commented out
            inner = None
        if inner is not None and not isinstance(inner, Mapping):
            raise fault("bad_override", word=word)
        node[name] = dict(inner or {})
        node = node[name]
    node[last] = named(value) if key in SHELVED else value
    return changed


def _settings(given: Any, shelf: str) -> Any:
    """Of a task or method: where it expects text, such as labels, they stay as they were written."""
    name = given.get("name", DEFAULT_METHOD) if isinstance(given, Mapping) else None
    # The shelf is looked at only where there is something to be looked up.
    known = isinstance(name, str) and len(given) > 1 and name in registry.names(shelf)
    return settled(given, registry.entry(shelf, str(name)).kind if known else Any)


def completed(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as an older version wrote it, whole or in part: keys that have come since stand at their defaults.

    Raises:
        WeitiaoError: `unknown_key`, `wrong_value` for settings of a method or task that are not theirs any more.
    """
    fields = Recipe.model_fields.items()
    fresh = {
        name: field.get_default(call_default_factory=True)
        for name, field in fields
        if not field.is_required()
    }
    for shelf in SHELVED:
        asked = tree.get(shelf) or {}
        if asked.get("name") in registry.names(shelf):
            fresh[shelf] = registry.settings_of(asked["name"], registry.build(shelf, asked))
    return _above(to_jsonable_python(fresh), tree)


def _above(below: Mapping[str, Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _above(below[key], value)
        if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
        else value
        for key, value in tree.items()
    }
    return {**below, **both}


def known_keys() -> list[str]:
    """Every key of the recipe with its path, such as `train.learning_rate`."""
    return keys_of(Recipe)
