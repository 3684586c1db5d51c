"""Every error a user can meet: a code, what is wrong, where, and the way out.

    raise fault("file_missing", path=path)  ->  [file_missing] reviews.csv does not exist.
                                                 Way out: check the path, or ...

The texts live beside this file in `messages/*.yaml`, in English and Chinese, one file a room, so that a code
has one meaning and a translator needs no Python.  `WEITIAO_LANG` (`en` or `zh`) chooses; else the locale does.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import locale
import os
import string
from collections.abc import Iterable
from functools import cache
from importlib import resources
from types import ModuleType
from typing import Any

LANGUAGES = ("en", "zh")


def language() -> str:
    """The language of messages: `WEITIAO_LANG` if set, else the locale's, else English."""
    asked = os.environ.get("WEITIAO_LANG") or locale.getlocale()[0] or os.environ.get("LANG") or "en"
    return "zh" if asked.lower().startswith(("zh", "chinese")) else "en"


@cache
def messages() -> dict[str, dict[str, Any]]:
    """Code -> {exit, en: {what, way}, zh: {what, way}}, from every file in `messages/`."""
    import yaml

    table: dict[str, dict[str, Any]] = {}
    for file in sorted(
        resources.files(__package__).joinpath("messages").iterdir(), key=lambda entry: entry.name
    ):
        if file.name.endswith(".yaml"):
            table |= yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return table


class WeitiaoError(Exception):
    """An error with a code from `messages/`, the place, and the way out in the reader's language.

    `code` names the message, `values` fill its placeholders, `exit_code` is what the command line returns:
    2 the recipe or the command, 3 the data, 4 the model, 5 the run, 6 the machine.
    """

    def __init__(self, code: str, **values: Any):
        self.code, self.values = code, values
        self.exit_code: int = messages()[code]["exit"]
        super().__init__(self.text())

    def text(self, lang: str | None = None) -> str:
        """What is wrong and the way out, in `lang` (default: the reader's language)."""
        lang = lang or language()
        message = messages()[self.code][lang]
        formatter = string.Formatter()
        what, way = (formatter.vformat(message[part], (), self.values) for part in ("what", "way"))
        return f"[{self.code}] {what}\n{'Way out' if lang == 'en' else '解决办法'}: {way}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the code, the text, the exit code."""
        return {"error": self.code, "message": self.text(), "exit": self.exit_code}


def fault(code: str, **values: Any) -> WeitiaoError:
    """The error of that code, to be raised by the caller: `raise fault("file_missing", path=path)`."""
    return WeitiaoError(code, **values)


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The known word closest to `word`, or an empty string when none is close."""
    by_lower = {str(name).lower(): str(name) for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?` (or its Chinese), with a leading space, or nothing when no known word is close."""
    near = nearest(word, known)
    if not near:
        return ""
    return f' Did you mean "{near}"?' if language() == "en" else f' 您是不是想写 "{near}"？'


def need(module: str, *, extra: str) -> ModuleType:
    """Import a module that comes with an extra; `missing_extra` names the pip line when it is absent."""
    if importlib.util.find_spec(module) is None:
        raise fault("missing_extra", module=module, extra=extra)
    return importlib.import_module(module)
