"""What pages are made of: tables of settings and the rows of tables, in either language.

    settings_table(entry)                     ->  | key | type | default | meaning |
    page("# Title", "Words.", table(rows))    ->  text of a file
    here("How alike are two texts?", "zh")    ->  "两段文本有多相似？"

What is said of a setting comes from the setting itself.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from weitiao.api import methods
from weitiao.cli.translated import chinese
from weitiao.core import registry
from weitiao.core.meanings import meaning

HERE = Path(__file__).parent
PROSE = yaml.safe_load((HERE / "prose.yaml").read_text(encoding="utf-8"))
IN_CHINESE: dict[str, str] = yaml.safe_load((HERE / "in_chinese.yaml").read_text(encoding="utf-8"))
MADE = "<!-- Made by `python docs/make.py`; do not edit by hand. -->"
TYPES = {
    "string": ("text", "文本"),
    "integer": ("whole number", "整数"),
    "number": ("number", "数"),
    "boolean": ("true or false", "true 或 false"),
    "null": ("null", "null"),
    "object": ("mapping", "映射"),
}
BOUNDS = {
    "minimum": ("at least {}", "不小于 {}"),
    "exclusiveMinimum": ("above {}", "大于 {}"),
    "maximum": ("at most {}", "不大于 {}"),
    "exclusiveMaximum": ("below {}", "小于 {}"),
}


def settings_table(entry: registry.Entry, lang: str = "en", *, less: Iterable[str] = ()) -> str:
    """Every setting of what stands on a shelf, less those named in `less`."""
    schema = TypeAdapter(entry.kind).json_schema()
    meanings = registry.meanings(entry.kind)
    rows = []
    for key, field in schema["properties"].items():
        if key in less:
            continue
        field = {**field, "description": meanings.get(key, "")}
        if key in entry.preset:
            field["default"] = entry.preset[key]
        rows.append(setting_row(key, field, lang, required=key in schema.get("required", ())))
    if not rows:
        return labels(lang)["none_of_its_own"] if less else methods.words(lang)["no_settings"]
    return table(rows)


def formula(kind: type, lang: str = "en") -> str:
    """What the module says below its first line; without `lang` as it stands."""
    _, _, rest = (inspect.getdoc(inspect.getmodule(kind)) or "").partition("\n")
    return f"```text\n{here(rest.strip(), lang)}\n```" if rest.strip() else ""


def setting_row(key: str, field: Mapping[str, Any], lang: str, *, required: bool) -> dict[str, str]:
    """A key of the recipe with its type, default and meaning."""
    say = methods.words(lang)
    default = f"`{_plain(field['default'])}`" if "default" in field else "-"
    return {
        say["key"]: f"`{key}`",
        say["type"]: _type(field, lang),
        say["default"]: either("required", "必填", lang) if required else default,
        # A line break would end the row of the table.
        say["meaning"]: meaning(field.get("description", ""), lang) or "-",
    }


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _type(field: Mapping[str, Any], lang: str) -> str:
    if "anyOf" in field:
        return either(", or ", "，或 ", lang).join(_type(choice, lang) for choice in field["anyOf"])
    if "enum" in field:
        return " / ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        items = field["items"]
        if "enum" in items or "anyOf" in items:
            return f"{either('list of', '列表，各项为', lang)} {_type(items, lang)}"
        one = either(*TYPES[items["type"]], lang)
        return either(f"list of {one}s", f"列表，各项为{one}", lang)
    bounds = [
        either(*words, lang).format(_plain(field[bound])) for bound, words in BOUNDS.items() if bound in field
    ]
    return either(", ", "，", lang).join([either(*TYPES[field["type"]], lang), *bounds])


def either(english: str, chinese: str, lang: str) -> str:
    """The words of a language."""
    return chinese if lang == "zh" else english


def labels(lang: str) -> dict[str, str]:
    """Name -> what stands in the heads and first columns of tables."""
    return {name: either(*pair, lang) for name, pair in PROSE["labels"].items()}


def here(english: str, lang: str) -> str:
    """What the code says of itself, paragraph by paragraph; its Chinese stands in `in_chinese.yaml`."""
    if lang == "en":
        return english
    paragraphs = [" ".join(paragraph.split()) for paragraph in english.split("\n\n")]
    if lacking := [text for text in paragraphs if text not in IN_CHINESE]:
        raise KeyError(f"docs/in_chinese.yaml has no Chinese for: {lacking[0]}")
    return "\n\n".join(IN_CHINESE[text] for text in paragraphs)


def spoken(english: str, lang: str) -> str:
    """What an embedded thing says of itself; its Chinese stands where the command line finds it."""
    return chinese()["assets"][english] if lang == "zh" else english


def table(rows: Iterable[Mapping[str, str]]) -> str:
    """Rows of equal columns as a table of Markdown."""
    rows = list(rows)
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def file_link(kind: type) -> str:
    """Where a class is written."""
    module = kind.__module__.split(".")
    path = "/".join(["src", *module]) + ".py"
    return f"[{path}](../{path})" if module[0] == "weitiao" else f"`{kind.__module__}`"


def page(title: str, *parts: str) -> str:
    """A whole page from its title and paragraphs; empty ones are left out."""
    return "\n\n".join([title, MADE, *(part for part in parts if part)]) + "\n"
