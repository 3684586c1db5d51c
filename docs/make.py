"""The pages that are made from the code, so that they cannot drift from it.

    Recipe, registry, formats  ->  python docs/make.py  ->  docs/{recipe,recipe.zh-CN,tasks,formats,augmentation,sections}.md
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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
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
MADE = "<!-- Made by `python docs/make.py`; do not edit by hand. -->"
# A row as it comes, for every row format; a test converts each of them.
ROWS: dict[str, dict[str, Any]] = {
    "table": {"text": "A film to see twice.", "label": "positive"},
    "messages": {
        "messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "Four."}]
    },
    "prompt_completion": {"prompt": "2 + 2?", "completion": "Four."},
    "alpaca": {"instruction": "Add the numbers.", "input": "2, 2", "output": "Four."},
    "sharegpt": {"conversations": [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "Four."}]},
    "multi_label": {"text": "A sad and funny film.", "labels": ["comedy", "drama"]},
    "regression": {"text": "A film to see twice.", "label": 4.5},
    "text": {"text": "Once upon a time there was a film."},
    "preference": {"prompt": "2 + 2?", "chosen": "Four.", "rejected": "Five."},
    "kto": {"prompt": "2 + 2?", "completion": "Four.", "label": True},
    "kto_messages": {
        "messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "Five."}],
        "label": False,
    },
    "tags": {"tokens": ["Ada", "lived", "in", "London"], "tags": ["B-PER", "O", "O", "B-LOC"]},
    "source_target": {"source": "Good morning.", "target": "Guten Morgen."},
    "image": {"image": "photos/17.png", "label": "cat"},
    "pairs": {
        "anchor": "How do I reset my password?",
        "positive": "Click on Forgot password.",
        "negative": "Our shop opens at nine.",
    },
    "query_passage": {"query": "reset password", "passage": "Click on Forgot password."},
    "question_answer": {"question": "How do I reset it?", "answer": "Click on Forgot password."},
    "scored_pairs": {"sentence1": "A dog runs.", "sentence2": "A dog is running.", "score": 4.8},
    "query_passages": {
        "query": "reset password",
        "passages": ["Click on Forgot password.", "Our shop opens at nine."],
        "labels": [1, 0],
    },
    "query_passage_label": {"query": "reset password", "passage": "Our shop opens at nine.", "label": 0},
    "query_positives": {
        "query": "reset password",
        "positives": ["Click on Forgot password."],
        "negatives": ["Our shop opens at nine.", "We sell bread."],
    },
    "query_positive": {
        "query": "reset password",
        "positive": "Click on Forgot password.",
        "negative": "Our shop opens at nine.",
    },
    "squad": {
        "question": "Where did Ada live?",
        "context": "Ada lived in London.",
        "answers": {"text": ["London"], "answer_start": [13]},
    },
    "squad_table": {
        "question": "Where did Ada live?",
        "context": "Ada lived in London.",
        "answer": "London",
        "answer_start": 13,
    },
}
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


RECIPE = {
    "en": (
        "# The recipe, key by key",
        "[中文](recipe.zh-CN.md)",
        "One YAML file says what is asked of one run. `weitiao init FILE` writes one with all of these keys, the "
        "defaults filled in and the meaning above each; `weitiao train RECIPE key=value` changes single keys from "
        "the command line, with dots between the levels (`train.learning_rate=1e-4`). A key that is not listed "
        "here is an error that names the nearest one. Whatever was not written is filled in, and the whole of it "
        "lies in the run folder as `recipe.yaml`.",
        "## At the top",
        "## `method` and `task`",
        "Their settings lie beside the name: `method: {name: lora, r: 8}`. They are listed in "
        "[methods.md](methods.md) and [tasks.md](tasks.md).",
        "## Spellings from elsewhere",
        "These are not accepted, but the error says what the key is called here.",
    ),
    "zh": (
        "# 配方的每个键",
        "[English](recipe.md)",
        "一个 YAML 文件写明一次运行要做什么。`weitiao init 文件` 写出含有下列所有键的配方，填好默认值，并在每个键上方注明含义"
        "（语言由 `WEITIAO_LANG` 决定）；`weitiao train 配方 key=value` 在命令行上改动个别的键，各级之间用点连接"
        "（`train.learning_rate=1e-4`）。不在此列的键会报错，并指出最接近的键。没有写的键取默认值，完整的配方存为运行文件夹中的 "
        "`recipe.yaml`。",
        "## 顶层",
        "## `method` 与 `task`",
        "它们的设置与名称写在一起：`method: {name: lora, r: 8}`。见 [methods.zh-CN.md](methods.zh-CN.md) 与 "
        "[tasks.md](tasks.md)（英文）。",
        "## 其他工具的写法",
        "这些写法不被接受，但错误信息会说明这里的键叫什么。",
    ),
}


def recipe_page(lang: str) -> str:
    """Every key of the recipe, section by section."""
    tree, say = Recipe.model_json_schema(), methods.words(lang)
    title, other, intro, at_the_top, shelved, settings, elsewhere, spellings = RECIPE[lang]
    top: list[dict[str, str]] = []
    sections: list[str] = []
    for name, field in tree["properties"].items():
        if "$ref" in field:
            sections += _section(name, field["$ref"], tree["$defs"], lang)
        else:
            top.append(_row(name, field, lang, required=name in tree["required"]))
    # A method and a task are written as a name alone, or as a mapping with their settings.
    for row in top:
        if row[say["key"]] in ("`task`", "`method`"):
            row[say["type"]] = _in("name, or mapping with `name`", "名称，或含 `name` 的映射", lang)
            row[say["default"]] = row[say["default"]].replace('{"name": "lora"}', "lora")
    here = _in("here", "这里", lang), _in("elsewhere", "其他工具", lang)
    rows = [{here[1]: f"`{theirs}`", here[0]: ours} for theirs, ours in spelt(lang).items()]
    return _page(
        title,
        other,
        intro,
        at_the_top,
        _table(top),
        *sections,
        shelved,
        settings,
        elsewhere,
        spellings,
        _table(rows),
    )


def _section(name: str, ref: str, known: Mapping[str, Any], lang: str) -> list[str]:
    section = known[ref.rpartition("/")[2]]
    rows, below = [], []
    for key, field in section["properties"].items():
        if "$ref" in field:
            below += _section(f"{name}.{key}", field["$ref"], known, lang)
        else:
            rows.append(_row(key, field, lang, required=key in section.get("required", ())))
    return [f"## `{name}`", meaning(section["description"], lang), _table(rows), *below]


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
        told["file"] = _file(entry.kind)
        parts += [
            f"### `{name}`",
            _called(one, lang),
            _formula(entry.kind),
            _table({"": say[key], " ": text} for key, text in told.items()),
            _settings(entry, lang),
        ]
    intro = say["intro"].format(head_too=say["head_too"], families=_known_families())
    return _page(f"# {say['page']}", intro, _table(rows), *_suits(lang), *parts)


PAIRS = {
    "en": (
        "## Which tasks",
        "Every method with every task: `+` goes together, a number says below why not. A model may refuse besides what a "
        "task takes (a Llama has no biases, so `bitfit` finds none): that is said before any row is read.",
    ),
    "zh": (
        "## 适用的任务",
        "每种方法与每项任务：`+` 表示可以搭配，数字表示不能，原因见下。此外模型本身也可能不适用（如 Llama 没有偏置，`bitfit` 无从训练），读取数据之前就会说明。",
    ),
}


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
            rows.append({_in("method", "方法", lang): f"`{one['name']}`", **cells})
    return [*PAIRS[lang], _table(rows), "\n".join(f"{number}. {text}" for text, number in why.items())]


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
            _table(
                [
                    {"": "good for", " ": kind.summary},
                    {"": "looked at first", " ": f"`{primary}` ({better} is better)"},
                    {"": "judged by", " ": ", ".join(f"`{name}`" for name in (primary, *others))},
                    {"": "must beat", " ": _baselines(kind)},
                    {"": "Transformers class", " ": f"`{kind.auto_class}`"},
                    {"": "used by", " ": "`weitiao chat`" if kind().chats else "`weitiao predict`"},
                    {"": "file", " ": _file(kind)},
                ]
            ),
            "Rows:",
            _formats(kind.shape),
            _settings(entry),
        ]
    return _page(
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
        parts += [f"## {shape.name}{many}", f"{inspect.getdoc(shape)}", used, _formats(shape), _table(holds)]
    return _page(
        "# Row formats: what a row may look like",
        "A file's format is recognised by the names of its columns, or named with `data.format`. Columns that are "
        "called otherwise are mapped with `data.columns: {ours: theirs}`; when a name is close, the error says "
        "which column was probably meant. Each format gives one shape, and a task learns from one shape. Which "
        "files are read is told in [data.md](data.md).",
        *parts,
    )


AUGMENTATION = """\
`data.augment` lists augmentations; each makes changed copies of training rows, and the rows themselves stay. A name
alone takes the defaults:

```yaml
data:
  augment:
    - {name: synonyms, share: 0.2}
    - {name: delete, p: 0.1, copies: 2}
    - balance
```

**Training rows only.** Rows are split first. Rows that have not been split are refused, and so are training rows
that stand in validation or test too (`augment_before_split`); a made row that reads like a validation or test row
is thrown away and counted.

**The same rows every time.** What becomes of a row is decided by the seed, the augmentation's name and the row's
own content, so neither the order of the rows nor the other rows matter; only which of two equal made rows stays
does depend on the order. A made row that is equal to another row (case, width and spaces apart) is not added.

**In order.** Each augmentation copies the training rows, not what earlier ones made. `balance` is the exception: its
plain copies are changed by whatever comes after it. Last in the list it evens out what the others made.

**What is changed.** In conversations and preferences the user's turns, never an answer; of a translation the source, of texts that
belong together the one that asks; of a question the context too, and its answers go with their words;
of tagged words only those tagged `O`, and tags stay with their words; labels never. Words are runs of letters and
digits; Chinese is cut by jieba (extra `zh`), or character by character with `segment: characters`.

**Counted.** The ledger says for each augmentation how many rows were `made`, `unchanged` (nothing in the row could be
changed), `repeated` (an equal row was there), `held_out` (it read like a validation or test row), `unusable`, or
`copied` (plain copies of `balance`), and from which lines of which files.

**Dictionaries** are fetched when they are first needed. A file of your own serves as well, one word a line: the word,
a tab, what may stand for it, separated by commas (`_` stands for a space); the lines of Cilin (`Aa01A01= 人 士 人物`)
are read too. Only words in the very form that is listed are replaced; a capital stays one."""

AUGMENTATION_LIMITS = """\
Whether copies help is for the test rows to say: train once with and once without. No translation model comes along,
and no embedded model has a masked-word head: `back_translation` and `masked` are tested on toy models made for the
purpose, and `masked` refuses the embedded ones. `keyboard` knows QWERTY alone. `synonyms` does not inflect: "films"
is not "movies"."""


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
            {"": "file", " ": _file(kind)},
        ]
        parts += [
            f"## `{name}`",
            f"{inspect.getdoc(kind)}",
            _formula(kind),
            _table(facts),
            _settings(entry, less=common),
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
        _row(key, {**field, "description": meanings[key]}, "en", required=False)
        for key, field in common.items()
    ]
    return _page(
        "# Augmentation: changed copies of training rows",
        AUGMENTATION,
        _table(dictionaries),
        AUGMENTATION_LIMITS,
        "## Settings that all have but `balance`",
        _table(rows),
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
            "better": say["higher" if kind.higher_is_better else "lower"]
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
        parts += [f"## {here(title.rstrip('.'))}", _file(own[0].kind), _formula(own[0].kind)]
        for entry in own:
            if entry.kind not in seen and dataclasses.fields(entry.kind):
                parts += [f"`{entry.name}`:", _settings(entry, lang)]
            seen.add(entry.kind)
    intro = [part if isinstance(part, str) else part[column] for part in told["intro"]]
    return _page(f"# {say['page']}", *intro, f"## {say['shelf']}", _table(rows), *parts)


SECTIONS = """\
What there is to be seen of the test rows beside their metrics lies in `results.json` under `sections`, by name and in the
order of the page. A section says of what kind it is; page, terminal and drawings draw the kind, whatever is in it. It is
there when predictions hold what it needs, of whatever task. Words are `{"en": ..., "zh": ...}`, or a plain text where they
come from the rows (a label). To add one: [CONTRIBUTING.md](../CONTRIBUTING.md)."""


def sections_page() -> str:
    """The shelf of sections, and what each kind holds."""
    rows = []
    for name in registry.names("section"):
        kind = registry.entry("section", name).kind
        needs = ", ".join(f"`{need}`".replace("|", "` or `") for need in kind.needs)
        rows.append({"name": f"`{name}`", "what": kind.summary, "needs": needs, "file": _file(kind)})
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
    return _page("# Sections of the page", SECTIONS, "## The shelf", _table(rows), *parts)


def _fields(fields: Mapping[str, Any]) -> str:
    return _table(
        {
            "key": f"`{key}`",
            "may be absent": _yes(not field.is_required()),
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
    return _table(
        {
            "format": f"`{name}`",
            "columns": ", ".join(f"`{column}`" for column in FORMATS[name].needs),
            "may have": ", ".join(f"`{column}`" for column in FORMATS[name].may_have) or "-",
            "for example": f"`{json.dumps(ROWS[name], ensure_ascii=False)}`",
        }
        for name in shape.formats
    )


def _settings(entry: registry.Entry, lang: str = "en", *, less: Iterable[str] = ()) -> str:
    schema = TypeAdapter(entry.kind).json_schema()
    meanings = registry.meanings(entry.kind)
    rows = []
    for key, field in schema["properties"].items():
        if key in less:
            continue
        field = {**field, "description": meanings.get(key, "")}
        if key in entry.preset:
            field["default"] = entry.preset[key]
        rows.append(_row(key, field, lang, required=key in schema.get("required", ())))
    if not rows:
        return "It has no settings of its own." if less else methods.words(lang)["no_settings"]
    return _table(rows)


def _formula(kind: type) -> str:
    """What the module says below its first line, as it stands."""
    _, _, rest = (inspect.getdoc(inspect.getmodule(kind)) or "").partition("\n")
    return f"```text\n{rest.strip()}\n```" if rest.strip() else ""


def _row(key: str, field: Mapping[str, Any], lang: str, *, required: bool) -> dict[str, str]:
    say = methods.words(lang)
    default = f"`{_plain(field['default'])}`" if "default" in field else "-"
    return {
        say["key"]: f"`{key}`",
        say["type"]: _type(field, lang),
        say["default"]: _in("required", "必填", lang) if required else default,
        # A line break would end the row of the table.
        say["meaning"]: meaning(field.get("description", ""), lang) or "-",
    }


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _type(field: Mapping[str, Any], lang: str) -> str:
    if "anyOf" in field:
        return _in(", or ", "，或 ", lang).join(_type(choice, lang) for choice in field["anyOf"])
    if "enum" in field:
        return " / ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        items = field["items"]
        if "enum" in items:
            return f"{_in('list of', '列表，各项为', lang)} {_type(items, lang)}"
        one = _in(*TYPES[items["type"]], lang)
        return _in(f"list of {one}s", f"列表，各项为{one}", lang)
    bounds = [
        _in(*words, lang).format(_plain(field[bound])) for bound, words in BOUNDS.items() if bound in field
    ]
    return _in(", ", "，", lang).join([_in(*TYPES[field["type"]], lang), *bounds])


def _in(english: str, chinese: str, lang: str) -> str:
    return chinese if lang == "zh" else english


def _table(rows: Iterable[Mapping[str, str]]) -> str:
    rows = list(rows)
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _file(kind: type) -> str:
    module = kind.__module__.split(".")
    path = "/".join(["src", *module]) + ".py"
    return f"[{path}](../{path})" if module[0] == "weitiao" else f"`{kind.__module__}`"


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([title, MADE, *(part for part in parts if part)]) + "\n"


if __name__ == "__main__":
    for file, text in pages().items():
        (HERE / file).write_text(text, encoding="utf-8")
        print(f"wrote docs/{file}", file=sys.stderr)
