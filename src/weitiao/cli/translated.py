"""What `--help` says, in the reader's language.

command = translated(typer.main.get_command(app))      every text of it Chinese where messages are (`help.zh.yaml`)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any

import typer

from weitiao.core.errors import language
from weitiao.core.wrap import wrap

TOP = "weitiao"
_Plain: Any = typer.Context.formatter_class  # its home is not the same in all versions of typer


def translated(command: Any) -> Any:
    """The command, its verbs and their options, with their help in the reader's language; English is left as it is."""
    if language() == "zh":
        verbs, words, frame = chinese()["verbs"], chinese()["words"], chinese()["frame"]
        for path, each in walk(command):
            each.help = verbs.get(path, each.help)
            each.context_class = _Framed
            each.options_metavar = frame[each.options_metavar]
            if hasattr(each, "subcommand_metavar"):
                each.subcommand_metavar = frame[each.subcommand_metavar]
            leads, colon, examples = (each.epilog or "").partition(": ")
            each.epilog = f"{frame.get(leads, leads)}{'：' if leads in frame else colon}{examples}"
            # Typer makes `--help` itself when it is asked for it, and keeps it.
            asking = each.get_help_option(typer.Context(each, **command.context_settings))
            for param in filter(None, [*each.params, asking]):
                if told := getattr(param, "help", None):
                    param.help = words.get(told, told)
    return command


def walk(command: Any, path: str = TOP) -> Iterator[tuple[str, Any]]:
    """The command as `weitiao`, and all verbs below it, as `train` or `data check`."""
    yield path, command
    for name, verb in getattr(command, "commands", {}).items():
        yield from walk(verb, name if path == TOP else f"{path} {name}")


@cache
def chinese() -> dict[str, dict[str, str]]:
    """`verbs` by their names, `words` and `frame` by their English, and the shelves `task` and `augmentation`."""
    import yaml

    load = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = resources.files(__package__).joinpath("help.zh.yaml").read_text(encoding="utf-8")
    return dict(yaml.load(text, Loader=load))  # noqa: S506


class _Formatter(_Plain):
    """The frame of a page of help in Chinese: its headings, what stands in brackets, and lines broken as Chinese is."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """`用法：weitiao train ...`."""
        super().write_usage(prog, args, prefix or f"{chinese()['frame']['Usage']}：")

    def write_heading(self, heading: str) -> None:
        """The heading of a list."""
        self.write(f"{chinese()['frame'].get(heading, heading)}：\n")

    def write_text(self, text: str) -> None:
        """Lines, each as many as it needs."""
        indent = " " * self.current_indent
        for line in text.splitlines():
            for part in wrap(line.strip(), self.width - self.current_indent):
                self.write(f"{indent}{part}".rstrip() + "\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Names, and beside each what it is."""
        column = self.current_indent + min(max(len(name) for name, _ in rows), col_max) + col_spacing
        for name, told in rows:
            first, *others = wrap(re.sub(r"\[([^][]+)\]$", _aside, told), max(self.width - column, 20))
            name = f"{'':{self.current_indent}}{name}"
            first = (
                f"{name:{column}}{first}"
                if len(name) + col_spacing <= column
                else f"{name}\n{'':{column}}{first}"
            )
            self.write(
                "".join(
                    f"{line.rstrip()}\n" for line in (first, *(f"{'':{column}}{line}" for line in others))
                )
            )


class _Framed(typer.Context):
    formatter_class = _Formatter


def _aside(found: re.Match[str]) -> str:
    """`[default: 1; x>=1]`: `（默认：1；x>=1）`."""
    frame, parts = chinese()["frame"], []
    for part in found[1].split("; "):
        name, colon, value = part.partition(": ")
        parts.append(f"{frame[name]}{'：' if colon else ''}{value}" if name in frame else part)
    return f"（{'；'.join(parts)}）"
