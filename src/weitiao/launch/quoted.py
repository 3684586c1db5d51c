"""Words as those who read them must find them written: a shell, YAML and JSON, systemd."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def as_json(value: Any) -> str:
    """A word or a list, which YAML and Dockerfiles read in the same way."""
    return json.dumps(value, ensure_ascii=False)


def as_unit(word: str) -> str:
    """A word of a line of systemd, whose `%` and `$` are its own (`man systemd.service`)."""
    plain = word.replace("%", "%%").replace("$", "$$")
    safe = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{safe}"' if set(safe) & set(" \t\\\"';#") else safe


def in_shell(words: Sequence[str]) -> list[str]:
    """Words of a shell, in which what begins with a dollar is a variable's."""
    quoted = []
    for word in words:
        head, dollar, name = word.partition("$")
        variable = dollar and re.fullmatch("[A-Za-z_]+", name)
        quoted.append(f'{head}"${name}"' if variable else shlex.quote(word))
    return quoted


FILTERS: Mapping[str, Callable[[Any], str]] = {"sh": shlex.quote, "q": as_json, "unit": as_unit}
"""Of the templates."""
