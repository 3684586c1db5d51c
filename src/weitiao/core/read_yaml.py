"""A recipe's YAML as a mapping, every fault told with its line.

    read_yaml(Path("recipe.yaml"))  ->  {"model": ..., "data": {...}}
    typed("1e-4")                   ->  0.0001

`written_yaml` and `written` keep beside each value how it was written (`weitiao.core.written`).
"""

from __future__ import annotations

import shlex
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from weitiao.core.errors import fault
from weitiao.core.why import because, reason
from weitiao.core.written import Scalar, plain

# The same loader on libyaml is several times faster; PyYAML's wheels have it.
_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Endings of what holds rows and never a recipe; a recipe may be JSON.
TABLES = (
    ".csv",
    ".tsv",
    ".jsonl",
    ".ndjson",
    ".txt",
    ".md",
    ".conll",
    ".parquet",
    ".xlsx",
    ".xlsm",
    ".xls",
    ".gz",
)


# What PyYAML and libyaml say -> what it means; the first that is in it.
PROBLEMS = {
    "violates indentation": "yaml_tab",
    "expected ',' or": "yaml_unclosed",
    "unexpected end of stream": "yaml_unended",
    "mapping values are not allowed": "yaml_two_colons",
    "block sequence entries are not allowed": "yaml_two_colons",
    "could not find expected ':'": "yaml_no_colon",
    "did not find expected key": "yaml_indent",
    "expected <block end>": "yaml_indent",
    "'-' indicator": "yaml_indent",
    "cannot start any token": "yaml_character",
    "expected node content": "yaml_character",
    "expected the node content": "yaml_character",
    "undefined alias": "yaml_alias",
    "for the tag": "yaml_tag",
    "unknown escape character": "yaml_escape",
    "found another document": "yaml_two_recipes",
}


def _why(error: yaml.MarkedYAMLError, text: str) -> str:
    """What is wrong, in the reader's language; PyYAML's own words are English, and speak of tokens."""
    said, mark = str(error.problem), error.problem_mark
    kind = next((kind for words, kind in PROBLEMS.items() if words in said), "")
    if not kind:
        # Of a key it was said by us.
        ours = isinstance(error, yaml.constructor.ConstructorError) and not error.context
        return said if ours else reason("yaml_says", problem=said)
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    character = line[mark.column : mark.column + 1] if mark else ""
    if kind == "yaml_character" and character == "\t":
        kind = "yaml_tab"
    opened = error.context_mark.line + 1 if error.context_mark else 0
    return reason(kind, opened=opened, character=character or "-")


class _UniqueKeys(_Safe):
    """PyYAML keeps the last of two equal keys in silence; here that is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # `<<: *usual`, whose keys may be said otherwise
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):  # such as `output_dir: {{name}}`
                raise yaml.constructor.ConstructorError(
                    None, None, reason("no_yaml_key", key=key), key_node.start_mark
                )
            if key in seen:
                twice = reason("yaml_key_twice", key=key)
                raise yaml.constructor.ConstructorError(None, None, twice, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _as_written(loader: _UniqueKeys, node: yaml.ScalarNode) -> Any:
    value = yaml.SafeLoader.yaml_constructors[node.tag](loader, node)
    # libyaml calls a plain style "", PyYAML None; `!!int "1"` is meant as a number.
    return value if node.style else Scalar(value, node.value)


for kind in ("bool", "float", "int", "null", "timestamp"):
    _UniqueKeys.add_constructor(f"tag:yaml.org,2002:{kind}", _as_written)


def written(text: str) -> Any:
    """What was typed behind the `=` of a word, understood as YAML, with `Scalar`s in it."""
    try:
        return yaml.load(text, Loader=_UniqueKeys) if text else ""  # noqa: S506 - a SafeLoader
    except yaml.YAMLError:
        return text  # such as `a: b: c`, which is a plain sentence to whoever typed it


def typed(text: str) -> Any:
    """What was typed behind the `=` of a word, understood as YAML."""
    return plain(written(text))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        WeitiaoError: as `written_yaml`.
    """
    return plain(written_yaml(path))


def written_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, with `Scalar`s in it.

    Raises:
        WeitiaoError: `recipe_missing`, `table_for_recipe`, `wrong_usage` for a folder, `no_permission`, or `bad_yaml` with the line.
    """
    rows = (
        path if path.is_file() else Path(str(path).partition("#")[0])
    )  # `reviews.csv#20` is a sample of one
    if rows.is_file() and rows.suffixes and rows.suffixes[-1].lower() in TABLES:
        raise fault("table_for_recipe", path=path, quoted=shlex.quote(str(path)))
    if path.is_dir():
        raise fault("wrong_usage", **because("folder_for_recipe", path=path))
    if not path.is_file():
        raise fault("recipe_missing", path=path)
    try:
        raw = path.read_bytes()
    except PermissionError:
        raise fault("no_permission", action="read", path=path) from None
    try:
        tree = yaml.load(raw.decode("utf-8-sig"), Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise fault("bad_yaml", path=path, line=line, why=_why(error, raw.decode("utf-8-sig"))) from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise fault("bad_yaml", path=path, line=line, why=reason("not_utf8")) from None
    except yaml.reader.ReaderError as error:
        line = raw.decode("utf-8-sig").count("\n", 0, error.position) + 1
        raise fault(
            "bad_yaml", path=path, line=line, why=reason("a_character", character=f"{error.character:#x}")
        ) from None
    if isinstance(tree, list) and path.suffix.lower() == ".json":
        raise fault("table_for_recipe", path=path, quoted=shlex.quote(str(path)))
    if not isinstance(tree, dict):
        raise fault("bad_yaml", path=path, line=1, why=reason("not_keys"))
    return tree
