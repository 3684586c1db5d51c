"""The pages that are made from the code, so that they cannot drift from it.

    Recipe, registry, formats       ->  python docs/make.py  ->  docs/{recipe,tasks,formats,augmentation,sections ...}.md
    methods/advice.yaml             ->                       ->  docs/methods.md
    docs/{prose,metrics}.yaml       ->                       ->  docs/metrics.md ...
    the same, docs/in_chinese.yaml  ->                       ->  docs/*.zh-CN.md of all of these

A text that has no Chinese stops it.  `tests/test_readme.py` fails when a page is not what this script writes.  The other pages are written by hand.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

from cells import HERE, PROSE, either, file_link, formula, page, setting_row, settings_table, table
from shelves import augmentation_page, formats_page, metrics_page, sections_page, tasks_page

from weitiao.api import methods
from weitiao.core import registry
from weitiao.core.analysis import Found
from weitiao.core.meanings import meaning
from weitiao.core.recipe import Recipe
from weitiao.core.renamed import spellings as spelt
from weitiao.core.results import Results
from weitiao.models import anatomy


def _schema(of: Any) -> str:
    return json.dumps(of.model_json_schema(), ensure_ascii=False, indent=1) + "\n"


def pages() -> dict[str, str]:
    """File name -> its text."""
    made = {
        "recipe": recipe_page,
        "methods": methods_page,
        "tasks": tasks_page,
        "formats": formats_page,
        "augmentation": augmentation_page,
        "metrics": metrics_page,
        "sections": sections_page,
    }
    return {
        **{f"{name}.md": write("en") for name, write in made.items()},
        **{f"{name}.zh-CN.md": write("zh") for name, write in made.items()},
        "results.schema.json": _schema(Results),
        "analysis.schema.json": _schema(Found),
    }


def recipe_page(lang: str) -> str:
    """Every key of the recipe, section by section."""
    tree, say = Recipe.model_json_schema(), methods.words(lang)
    title, other, intro, at_the_top, shelved, settings, elsewhere, spellings = PROSE["recipe"][lang].values()
    top: list[dict[str, str]] = []
    sections: list[str] = []
    for name, field in tree["properties"].items():
        if "$ref" in field:
            sections += _section(name, field["$ref"], tree["$defs"], lang)
        else:
            top.append(setting_row(name, field, lang, required=name in tree["required"]))
    # A method and a task are written as a name alone, or as a mapping with their settings.
    for row in top:
        if row[say["key"]] in ("`task`", "`method`"):
            row[say["type"]] = either("name, or mapping with `name`", "名称，或含 `name` 的映射", lang)
            row[say["default"]] = row[say["default"]].replace('{"name": "lora"}', "lora")
    here = either("here", "这里", lang), either("elsewhere", "其他工具", lang)
    rows = [{here[1]: f"`{theirs}`", here[0]: ours} for theirs, ours in spelt(lang).items()]
    return page(
        title,
        other,
        intro,
        at_the_top,
        table(top),
        *sections,
        shelved,
        settings,
        elsewhere,
        spellings,
        table(rows),
    )


def _section(name: str, ref: str, known: Mapping[str, Any], lang: str) -> list[str]:
    section = known[ref.rpartition("/")[2]]
    rows, below = [], []
    for key, field in section["properties"].items():
        if "$ref" in field:
            below += _section(f"{name}.{key}", field["$ref"], known, lang)
        else:
            rows.append(setting_row(key, field, lang, required=key in section.get("required", ())))
    return [f"## `{name}`", meaning(section["description"], lang), table(rows), *below]


def methods_page(lang: str) -> str:
    """The shelf of methods: a table of all, then each in full."""
    say, headings = methods.words(lang), methods.families(lang)
    rows, parts, family = [], [], ""
    for one in methods.shelf():
        name, told, entry = one["name"], methods.told(one, lang), registry.entry("method", one["name"])
        short = {
            "name": f"[`{name}`](#{name})",
            "called": one[lang].get("title", "-"),
            "what": told["what"],
            "share": told.get("share", "-"),
            "foldable": say["yes" if one["foldable"] else "no"],
            "layout": told["layout"],
            "learning_rate": f"{one['learning_rate']:g}",
        }
        rows.append({say[key]: cell for key, cell in short.items()})
        if one["family"] != family:
            family = one["family"]
            parts.append(f"## {headings[family]}")
        told["file"] = file_link(entry.kind)
        parts += [
            f"### `{name}`",
            _called(one, lang),
            formula(entry.kind),
            table({"": say[key], " ": text} for key, text in told.items()),
            settings_table(entry, lang),
        ]
    intro = say["intro"].format(head_too=say["head_too"], families=_known_families())
    return page(f"# {say['page']}", intro, table(rows), *_suits(lang), *parts)


def _suits(lang: str) -> list[str]:
    """All pairs of method and task, as `Method.refuses` has them."""
    why: dict[str, int] = {}
    rows = []
    with patch.dict(os.environ, WEITIAO_LANG=lang):
        for one in methods.shelf():
            method = registry.build("method", {"name": one["name"]})
            cells = {}
            for name in registry.names("task"):
                refused = method.refuses(registry.build("task", {"name": name}))
                cells[f"`{name}`"] = str(why.setdefault(refused, len(why) + 1)) if refused else "+"
            rows.append({either("method", "方法", lang): f"`{one['name']}`", **cells})
    return [
        *PROSE["pairs"][lang].values(),
        table(rows),
        "\n".join(f"{number}. {text}" for text, number in why.items()),
    ]


def _called(one: Mapping[str, Any], lang: str) -> str:
    """What a method is called, and in English what its class says of it."""
    title = one[lang].get("title", "")
    says = "" if lang == "zh" else inspect.getdoc(registry.entry("method", one["name"]).kind) or ""
    return f"**{title[:1].upper()}{title[1:]}.** {says}".rstrip() if title and says else title or says


def _known_families() -> str:
    """As the module that looks for the parts of a model names them."""
    found = re.search(r"\(([^()]*BERT[^()]*)\)", inspect.getdoc(anatomy) or "")
    assert found, "models/anatomy.py names no families"
    return " ".join(found[1].split()).rstrip(" .")


if __name__ == "__main__":
    for file, text in pages().items():
        (HERE / file).write_text(text, encoding="utf-8")
        print(f"wrote docs/{file}", file=sys.stderr)
