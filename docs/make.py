"""The pages that are made from the code, so that they cannot drift from it.

    Recipe, registry, formats  ->  python docs/make.py  ->  docs/{recipe,tasks,formats,augmentation,sections ...}.md
    methods/advice.yaml        ->                       ->  docs/methods.md, docs/methods.zh-CN.md
    docs/metrics.yaml          ->                       ->  docs/metrics.md, docs/metrics.zh-CN.md

`tests/test_readme.py` fails when a page is not what this script writes.  The other pages are written by hand.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from cells import either, file_link, formula, page, setting_row, settings_table, table, yes
from pydantic import TypeAdapter

from weitiao.api import methods
from weitiao.core import registry
from weitiao.core.analysis import Found
from weitiao.core.contracts import Shape, section
from weitiao.core.meanings import meaning
from weitiao.core.recipe import Recipe
from weitiao.core.renamed import spellings as spelt
from weitiao.core.results import Results
from weitiao.data.augment import Changes
from weitiao.data.formats import FORMATS
from weitiao.data.shapes import SHAPES
from weitiao.models import anatomy
from weitiao.models.assets.catalog import DICTIONARIES

HERE = Path(__file__).parent
ROWS: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "rows.yaml").read_text(encoding="utf-8"))
PROSE = yaml.safe_load((HERE / "prose.yaml").read_text(encoding="utf-8"))


def _schema(of: Any) -> str:
    return json.dumps(of.model_json_schema(), ensure_ascii=False, indent=1) + "\n"


def pages() -> dict[str, str]:
    """File name -> its text."""
    return {
        "recipe.md": recipe_page("en"),
        "recipe.zh-CN.md": recipe_page("zh"),
        "methods.md": methods_page("en"),
        "methods.zh-CN.md": methods_page("zh"),
        "tasks.md": tasks_page(),
        "formats.md": formats_page(),
        "augmentation.md": augmentation_page(),
        "metrics.md": metrics_page("en"),
        "metrics.zh-CN.md": metrics_page("zh"),
        "sections.md": sections_page(),
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


def tasks_page() -> str:
    """The shelf of tasks, and the row formats that they read."""
    parts = []
    for name in registry.names("task"):
        entry = registry.entry("task", name)
        kind = entry.kind
        primary, *others = kind.metrics
        better = "higher" if registry.entry("metric", primary).kind.higher_is_better else "lower"
        parts += [
            f"## `{name}`",
            f"{inspect.getdoc(kind)}",
            table(
                [
                    {"": "good for", " ": kind.summary},
                    {"": "looked at first", " ": f"`{primary}` ({better} is better)"},
                    {"": "judged by", " ": ", ".join(f"`{name}`" for name in (primary, *others))},
                    {"": "must beat", " ": _baselines(kind)},
                    {"": "Transformers class", " ": f"`{kind.auto_class}`"},
                    {"": "used by", " ": "`weitiao chat`" if kind().chats else "`weitiao predict`"},
                    {"": "file", " ": file_link(kind)},
                ]
            ),
            "Rows:",
            _formats(kind.shape),
            settings_table(entry),
        ]
    return page(
        "# Tasks: what is learnt, from which columns",
        "`task: NAME`, or `task: {name: NAME, ...}` with settings. `weitiao tasks` prints the same list. A file "
        "whose columns are called otherwise is read with `data.columns: {ours: theirs}`; which files are read, and "
        "what happens to their rows, is told in [data.md](data.md).",
        *parts,
    )


def formats_page() -> str:
    """The row formats, by the shape that they give."""
    parts = []
    for shape in SHAPES:
        holds = [{"column": f"`{column}`", "holds": what} for column, what in shape.columns.items()]
        many = {"many": ", with several labels", "number": ", with a number"}.get(
            getattr(shape, "label", ""), ""
        )
        learns = [
            name for name in registry.names("task") if registry.build("task", {"name": name}).shape == shape
        ]
        used = (
            f"Learnt by the task {' and '.join(f'`{name}`' for name in learns)}." if learns else ONLY_CHECKED
        )
        parts += [f"## {shape.name}{many}", f"{inspect.getdoc(shape)}", used, _formats(shape), table(holds)]
    return page(
        "# Row formats: what a row may look like",
        PROSE["formats"],
        *parts,
    )


def augmentation_page() -> str:
    """The shelf of augmentations, and the dictionaries they ask."""
    parts = []
    common = TypeAdapter(Changes).json_schema()["properties"]
    for name in registry.names("augmentation"):
        entry = registry.entry("augmentation", name)
        kind = entry.kind
        facts = [
            {"": "makes", " ": kind.summary},
            {"": "works on", " ": kind.works_on},
            {"": "source", " ": kind.source},
            {"": "file", " ": file_link(kind)},
        ]
        parts += [
            f"## `{name}`",
            f"{inspect.getdoc(kind)}",
            formula(kind),
            table(facts),
            settings_table(entry, less=common),
        ]
    dictionaries = [
        {
            "name": f"`{entry.name}`",
            "good for": entry.good_for,
            "from": entry.origin,
            "words": f"{entry.words:,}",
            "download": f"{entry.download_mb:.1f} MB ({entry.source.package} {entry.source.version}, "
            f"{entry.source.registry})",
            "licence": entry.licence,
        }
        for entry in DICTIONARIES.values()
    ]
    meanings = registry.meanings(Changes)
    rows = [
        setting_row(key, {**field, "description": meanings[key]}, "en", required=False)
        for key, field in common.items()
    ]
    return page(
        "# Augmentation: changed copies of training rows",
        PROSE["augmentation"]["intro"],
        table(dictionaries),
        PROSE["augmentation"]["limits"],
        "## Settings that all have but `balance`",
        table(rows),
        *parts,
    )


def metrics_page(lang: str) -> str:
    """The shelf of metrics: a table of all, then each family with its formulas and settings."""
    told = yaml.safe_load((HERE / "metrics.yaml").read_text(encoding="utf-8"))
    column = ("en", "zh").index(lang)
    say = {name: pair[column] for name, pair in told["words"].items()}

    def here(english: str) -> str:
        return english if lang == "en" else told["in_chinese"][english]

    rows, parts, seen = [], [], set()
    for name in registry.names("metric"):
        kind = registry.entry("metric", name).kind
        needs = (f"`{need}`".replace("|", f"` {say['or']} `") for need in kind.needs)
        cells = {
            "name": f"`{name}`",
            "what": here(kind.summary),
            "better": say["neither"]
            if not kind.graded
            else say["higher" if kind.higher_is_better else "lower"]
            if kind.ideal is None
            else say["nearest"].format(kind.ideal),
            "needs": ", ".join(needs),
            "same": kind.source,
        }
        rows.append({say[key]: cell for key, cell in cells.items()})
    modules = sorted({registry.entry("metric", name).kind.__module__ for name in registry.names("metric")})
    for module in modules:
        entries = [registry.entry("metric", name) for name in registry.names("metric")]
        own = [entry for entry in entries if entry.kind.__module__ == module]
        title = (inspect.getdoc(sys.modules[module]) or "").partition("\n")[0]
        parts += [f"## {here(title.rstrip('.'))}", file_link(own[0].kind), formula(own[0].kind)]
        for entry in own:
            if entry.kind not in seen and dataclasses.fields(entry.kind):
                parts += [f"`{entry.name}`:", settings_table(entry, lang)]
            seen.add(entry.kind)
    intro = [part if isinstance(part, str) else part[column] for part in told["intro"]]
    return page(f"# {say['page']}", *intro, f"## {say['shelf']}", table(rows), *parts)


def sections_page() -> str:
    """The shelf of sections, and what each kind holds."""
    rows = []
    for name in registry.names("section"):
        kind = registry.entry("section", name).kind
        needs = ", ".join(f"`{need}`".replace("|", "` or `") for need in kind.needs)
        rows.append({"name": f"`{name}`", "what": kind.summary, "needs": needs, "file": file_link(kind)})
    common = section.Section.model_fields
    parts = ["## What all have", _fields(common)]
    for one in (section.Matrix, section.Table, section.Curve, section.Rows):
        own = {key: field for key, field in one.model_fields.items() if key not in {*common, "kind"}}
        parts += [f"## `{one.model_fields['kind'].default}`", f"{inspect.getdoc(one)}", _fields(own)]
    parts.append("## Their parts")
    for one in (
        section.Column,
        section.TableRow,
        section.Estimate,
        section.Line,
        section.Row,
        section.Fact,
        section.Answer,
    ):
        parts += [f"### {one.__name__}", f"{inspect.getdoc(one)}", _fields(one.model_fields)]
    return page("# Sections of the page", PROSE["sections"], "## The shelf", table(rows), *parts)


def _fields(fields: Mapping[str, Any]) -> str:
    return table(
        {
            "key": f"`{key}`",
            "may be absent": yes(not field.is_required()),
            "meaning": " ".join((field.description or "").split()) or "-",
        }
        for key, field in fields.items()
    )


ONLY_CHECKED = "No task learns from these rows yet; `weitiao data check` reads and checks them."


def _baselines(kind: Any) -> str:
    names = kind.baselines
    told = (f"`{name}` ({registry.entry('baseline', name).kind.summary})" for name in names)
    return ", ".join(told) if names else "itself before tuning"


def _formats(shape: Shape) -> str:
    return table(
        {
            "format": f"`{name}`",
            "columns": ", ".join(f"`{column}`" for column in FORMATS[name].needs),
            "may have": ", ".join(f"`{column}`" for column in FORMATS[name].may_have) or "-",
            "for example": f"`{json.dumps(ROWS[name], ensure_ascii=False)}`",
        }
        for name in shape.formats
    )


if __name__ == "__main__":
    for file, text in pages().items():
        (HERE / file).write_text(text, encoding="utf-8")
        print(f"wrote docs/{file}", file=sys.stderr)
