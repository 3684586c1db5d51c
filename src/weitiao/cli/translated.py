"""What `--help` says, in the reader's language.

command = translated(typer.main.get_command(app))      every text of it Chinese where messages are (`help.zh.yaml`)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import typer

from weitiao.core.errors import language

TOP = "weitiao"


def translated(command: Any) -> Any:
    """The command, its verbs and their options, with their help in the reader's language; English is left as it is."""
    if language() == "zh":
        verbs, words = chinese()["verbs"], chinese()["words"]
        for path, each in walk(command):
            each.help = verbs.get(path, each.help)
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
    """`verbs` by their names, `words` by their English, and what lies on the shelves `task` and `augmentation`."""
    import yaml

    load = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = resources.files(__package__).joinpath("help.zh.yaml").read_text(encoding="utf-8")
    return dict(yaml.load(text, Loader=load))  # noqa: S506
