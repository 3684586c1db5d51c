"""How a file is to be read, as words of the command line: a way out that forgets them leads to an error.

read_as(Data(columns={"text": "mail"}))  ->  " --columns text=mail"
"""

from __future__ import annotations

import shlex

from weitiao.core.recipe import Data


def read_as(data: Data, *, decimal: str = "", task: str = "") -> str:
    """The options that a user gave, each behind a space; nothing where all is found without being said.

    Args:
        data: the section as it was asked for, before anything was guessed.
        decimal: the mark in numbers, where it was said.
        task: the task, where it was said.
    """
    columns = ",".join(f"{ours}={theirs}" for ours, theirs in data.columns.items())
    known = {
        "task": task,
        "columns": columns,
        "format": "" if data.format == "auto" else data.format,
        "encoding": "" if data.encoding == "auto" else data.encoding,
        "decimal": decimal or ("" if data.decimal == "point" else data.decimal),
    }
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in known.items() if value)
