"""The pages of the shelves and of what rows and sections hold, in either language.

    tasks_page("zh")  ->  text of docs/tasks.zh-CN.md

What is said stands in the code; its Chinese in `in_chinese.yaml`, or where the command line has it.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from cells import (
    HERE,
    PROSE,
    either,
    file_link,
    formula,
    here,
    labels,
    page,
    setting_row,
    settings_table,
    spoken,
    table,
)
from pydantic import TypeAdapter

from weitiao.cli.translated import chinese
from weitiao.core import registry
from weitiao.core.contracts import Shape, section
from weitiao.data.augment import Changes
from weitiao.data.formats import FORMATS
from weitiao.data.shapes import SHAPES
from weitiao.models.assets.catalog import DICTIONARIES

ROWS: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "rows.yaml").read_text(encoding="utf-8"))


def tasks_page(lang: str) -> str:
    """The shelf of tasks, and the row formats that they read."""
    say, told = labels(lang), PROSE["tasks"][lang]
    parts = []
    for name in registry.names("task"):
        entry = registry.entry("task", name)
        kind = entry.kind
        primary = kind.metrics[0]
        better = "higher" if registry.entry("metric", primary).kind.higher_is_better else "lower"
        facts = {
            "good_for": _summary("task", name, lang),
            "looked_at_first": say["better"].format(f"`{primary}`", say[better]),
            "judged_by": _code(kind.metrics, lang),
            "must_beat": _baselines(kind, lang),
            "auto_class": f"`{kind.auto_class}`",
            "used_by": "`weitiao chat`" if kind().chats else "`weitiao predict`",
            "file": file_link(kind),
        }
        parts += [
            f"## `{name}`",
            here(inspect.getdoc(kind) or "", lang),
            _facts(facts, lang),
            told["rows"],
            _formats(kind.shape, lang),
            settings_table(entry, lang),
        ]
    return page(told["title"], told["other"], told["intro"], *parts)


def formats_page(lang: str) -> str:
    """The row formats, by the shape that they give."""
    say, told = labels(lang), PROSE["formats"][lang]
    parts = []
    for shape in SHAPES:
        holds = [
            {say["column"]: f"`{column}`", say["holds"]: here(what, lang)}
            for column, what in shape.columns.items()
        ]
        label = getattr(shape, "label", "one")
        learns = [
            name for name in registry.names("task") if registry.build("task", {"name": name}).shape == shape
        ]
        parts += [
            f"## {shape.name}{told['labels'].get(label, '')}",
            here(inspect.getdoc(shape) or "", lang),
            told["learnt"].format(_code(learns, lang, told["and"])) if learns else told["only_checked"],
            _formats(shape, lang),
            table(holds),
        ]
    return page(told["title"], told["other"], told["intro"], *parts)


def augmentation_page(lang: str) -> str:
    """The shelf of augmentations, and the dictionaries they ask."""
    told = PROSE["augmentation"][lang]
    parts = []
    common = TypeAdapter(Changes).json_schema()["properties"]
    for name in registry.names("augmentation"):
        entry = registry.entry("augmentation", name)
        kind = entry.kind
        facts = {
            "makes": _summary("augmentation", name, lang),
            "works_on": here(kind.works_on, lang),
            "source": kind.source,
            "file": file_link(kind),
        }
        parts += [
            f"## `{name}`",
            here(inspect.getdoc(kind) or "", lang),
            formula(kind, lang),
            _facts(facts, lang),
            settings_table(entry, lang, less=common),
        ]
    meanings = registry.meanings(Changes)
    rows = [
        setting_row(key, {**field, "description": meanings[key]}, lang, required=False)
        for key, field in common.items()
    ]
    return page(
        told["title"],
        told["other"],
        told["intro"],
        _dictionaries(lang),
        told["limits"],
        told["settings"],
        table(rows),
        *parts,
    )


def _dictionaries(lang: str) -> str:
    say = labels(lang)
    return table(
        {
            say["name"]: f"`{entry.name}`",
            say["good_for"]: spoken(entry.good_for, lang),
            say["from"]: spoken(entry.origin, lang),
            say["words"]: f"{entry.words:,}",
            say["download"]: f"{entry.download_mb:.1f} MB ({entry.source.package} {entry.source.version}, "
            f"{entry.source.registry})",
            say["licence"]: spoken(entry.licence, lang),
        }
        for entry in DICTIONARIES.values()
    )


def metrics_page(lang: str) -> str:
    """The shelf of metrics: a table of all, then each family with its formulas and settings."""
    told = yaml.safe_load((HERE / "metrics.yaml").read_text(encoding="utf-8"))
    column = ("en", "zh").index(lang)
    say = {name: pair[column] for name, pair in told["words"].items()}
    rows, parts, seen = [], [], set()
    for name in registry.names("metric"):
        kind = registry.entry("metric", name).kind
        cells = {
            "name": f"`{name}`",
            "what": here(kind.summary, lang),
            "better": say["neither"]
            if not kind.graded
            else say["higher" if kind.higher_is_better else "lower"]
            if kind.ideal is None
            else say["nearest"].format(kind.ideal),
            "needs": _needs(kind, lang),
            "same": kind.source,
        }
        rows.append({say[key]: cell for key, cell in cells.items()})
    modules = sorted({registry.entry("metric", name).kind.__module__ for name in registry.names("metric")})
    for module in modules:
        entries = [registry.entry("metric", name) for name in registry.names("metric")]
        own = [entry for entry in entries if entry.kind.__module__ == module]
        title = (inspect.getdoc(sys.modules[module]) or "").partition("\n")[0]
        parts += [f"## {here(title.rstrip('.'), lang)}", file_link(own[0].kind), formula(own[0].kind)]
        for entry in own:
            if entry.kind not in seen and dataclasses.fields(entry.kind):
                parts += [f"`{entry.name}`:", settings_table(entry, lang)]
            seen.add(entry.kind)
    intro = [part if isinstance(part, str) else part[column] for part in told["intro"]]
    return page(f"# {say['page']}", *intro, f"## {say['shelf']}", table(rows), *parts)


def sections_page(lang: str) -> str:
    """The shelf of sections, and what each kind holds."""
    say, told = labels(lang), PROSE["sections"][lang]
    rows = []
    for name in registry.names("section"):
        kind = registry.entry("section", name).kind
        cells = {
            "name": f"`{name}`",
            "what": here(kind.summary, lang),
            "needs": _needs(kind, lang),
            "file": file_link(kind),
        }
        rows.append({say[key]: cell for key, cell in cells.items()})
    common = section.Section.model_fields
    parts = [told["common"], _fields(common, lang)]
    for one in (section.Matrix, section.Table, section.Curve, section.Rows):
        own = {key: field for key, field in one.model_fields.items() if key not in {*common, "kind"}}
        heading = f"## `{one.model_fields['kind'].default}`"
        parts += [heading, here(inspect.getdoc(one) or "", lang), _fields(own, lang)]
    parts.append(told["parts"])
    for one in (
        section.Column,
        section.TableRow,
        section.Estimate,
        section.Line,
        section.Row,
        section.Fact,
        section.Answer,
    ):
        parts += [
            f"### {one.__name__}",
            here(inspect.getdoc(one) or "", lang),
            _fields(one.model_fields, lang),
        ]
    return page(told["title"], told["other"], told["intro"], told["shelf"], table(rows), *parts)


def _fields(fields: Mapping[str, Any], lang: str) -> str:
    say = labels(lang)
    return table(
        {
            say["key"]: f"`{key}`",
            say["may_be_absent"]: say["no" if field.is_required() else "yes"],
            say["meaning"]: here(" ".join((field.description or "-").split()), lang),
        }
        for key, field in fields.items()
    )


def _facts(facts: Mapping[str, str], lang: str) -> str:
    say = labels(lang)
    return table({"": say[key], " ": fact} for key, fact in facts.items())


def _summary(shelf: str, name: str, lang: str) -> str:
    """What a thing is for, as the command line says it."""
    return either(registry.entry(shelf, name).kind.summary, chinese()[shelf].get(name, ""), lang)


def _baselines(kind: Any, lang: str) -> str:
    say = labels(lang)
    told = {name: here(registry.entry("baseline", name).kind.summary, lang) for name in kind.baselines}
    beaten = (say["baseline"].format(f"`{name}`", what) for name, what in told.items())
    return either(", ", "；", lang).join(beaten) or say["itself"]


def _needs(kind: Any, lang: str) -> str:
    return _code(kind.needs, lang).replace("|", f"` {labels(lang)['or']} `")


def _code(names: Iterable[str], lang: str, between: str = "") -> str:
    return (between or either(", ", "、", lang)).join(f"`{name}`" for name in names)


def _formats(shape: Shape, lang: str) -> str:
    say = labels(lang)
    return table(
        {
            say["format"]: f"`{name}`",
            say["columns"]: _code(FORMATS[name].needs, lang),
            say["may_have"]: _code(FORMATS[name].may_have, lang) or "-",
            say["for_example"]: f"`{json.dumps(ROWS[name], ensure_ascii=False)}`",
        }
        for name in shape.formats
    )
