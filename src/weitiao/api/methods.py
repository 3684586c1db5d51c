"""What is known of the tuning methods: what their classes say, and the advice of `methods/advice.yaml`.

    facts("lora")      ->  {"name": "lora", "settings": {"r": 16, ...}, "en": {"when": ...}, "zh": {...}, ...}
    shelf()            ->  the facts of all of them, family by family
    told(facts, "zh")  ->  {"when": ..., "learning_rate": "0.0005（配方未指定时）", ...}
    words("zh")        ->  {"when": "何时使用", ...}

A method of another package has no advice here: its summary stands for what trains, and the rest is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from weitiao.core import registry
from weitiao.core.errors import LANGUAGES

ADVICE = ("what", "share", "memory", "when", "when_not")


def facts(name: str) -> dict[str, Any]:
    """All that is known of one method.

    Raises:
        WeitiaoError: `unknown_name`, with the nearest name.
    """
    entry = registry.entry("method", name)
    kind = entry.kind
    advice = _table()["methods"].get(name, {})
    return {
        "name": name,
        "family": advice.get("family", "other"),
        "summary": kind.summary,
        "source": advice.get("source", kind.source),
        "learning_rate": kind.learning_rate,
        "foldable": kind.foldable,
        "starts_as_base": kind.starts_as_base,
        "layout": kind.layout,
        "settings": registry.defaults(entry),
        "meanings": {key: " ".join(text.split()) for key, text in registry.meanings(kind).items()},
        "choices": registry.choices(kind),
        **{lang: {"what": kind.summary, **advice.get(lang, {})} for lang in LANGUAGES},
    }


def shelf() -> list[dict[str, Any]]:
    """The facts of every method, in the order of the advice: families together, the plain ones first."""
    order = {name: place for place, name in enumerate(_table()["methods"])}
    names = sorted(registry.names("method"), key=lambda name: (order.get(name, len(order)), name))
    return [facts(name) for name in names]


def told(one: Mapping[str, Any], lang: str) -> dict[str, str]:
    """What there is to say of a method, in `lang`, by the names of its labels in `words`."""
    say, advice = words(lang), one[lang]
    folds = "stays" if not one["foldable"] else "changes_base" if one["layout"] == "pretrained" else "folds"
    return {
        **{key: advice[key] for key in ADVICE if key in advice},
        "learning_rate": say["unless"].format(f"{one['learning_rate']:g}"),
        "foldable": say[folds],
        "starts_as_base": say["yes" if one["starts_as_base"] else "no"],
        "layout": say.get(one["layout"], one["layout"]),
        "source": one["source"],
    }


def words(lang: str) -> dict[str, str]:
    """Name -> label in `lang`, `en` or `zh`."""
    return _in(lang, _table()["words"])


def families(lang: str) -> dict[str, str]:
    """Name -> heading of each family, in their order."""
    return _in(lang, _table()["families"])


@cache
def _table() -> dict[str, Any]:
    import yaml

    text = resources.files("weitiao.methods").joinpath("advice.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def _in(lang: str, pairs: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: pair[LANGUAGES.index(lang)] for name, pair in pairs.items()}
