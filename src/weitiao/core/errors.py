"""Every error a user can meet: a code, what is wrong, where, and the way out.

    raise fault("file_missing", path=path)  ->  [file_missing] reviews.csv does not exist.
                                                 Way out: check the path, or ...

The texts live beside this file in `messages/*.yaml`, in English and Chinese, one file a room, so that a code
has one meaning and a translator needs no Python.  `WEITIAO_LANG` (`en` or `zh`) chooses; else the locale does.
"""

from __future__ import annotations

import importlib
import importlib.util
import locale
import os
import re
import string
import sysconfig
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path
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
        what, way = with_pages(what), with_pages(way)
        return f"[{self.code}] {what}\n{'Way out' if lang == 'en' else '解决办法'}: {way}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the code, the text, the exit code."""
        return {"error": self.code, "message": self.text(), "exit": self.exit_code}


def fault(code: str, **values: Any) -> WeitiaoError:
    """The error of that code, to be raised by the caller: `raise fault("file_missing", path=path)`."""
    return WeitiaoError(code, **values)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that `word` probably was meant to be, or an empty string: no hint is better than a wrong one.

    That is one which differs in case and marks alone, of which it is the greater part, or from which a typing error or
    two have led here.
    """
    by_plain = {_unmarked(str(name)): str(name) for name in known}
    typed = _unmarked(word)
    if typed in by_plain:
        return by_plain[typed]
    longer = [
        name for plain, name in by_plain.items() if plain.startswith(typed) and len(typed) >= 0.6 * len(plain)
    ]
    longer.sort(key=lambda name: len(_unmarked(name)))
    if longer and (len(longer) == 1 or len(_unmarked(longer[0])) < len(_unmarked(longer[1]))):
        return longer[0]  # of several that begin so, the one that lacks least
    # Whoever writes adam_beta3 has not mistyped adam_beta1; a digit that is left out is another matter.
    close = {
        plain: mistakes(typed, plain, most=_forgiven(plain))
        for plain in by_plain
        if _holds(_digits(plain), _digits(typed))
    }
    best = min((count for count in close.values() if count is not None), default=None)
    found = [plain for plain, count in close.items() if count is not None and count == best]
    return by_plain[found[0]] if found else ""


def _digits(word: str) -> list[str]:
    return [char for char in word if char.isdigit()]


def _holds(whole: list[str], some: list[str]) -> bool:
    """Do they stand in it, in this order?"""
    left = iter(whole)
    return all(each in left for each in some)


def _forgiven(word: str) -> float:
    """Mistakes that may be in a word: none in three letters (正面 is not 负面), else one, two in ten, three at most."""
    return 0 if len(word) < 4 else min(max(1.0, 0.22 * len(word)), 3.0)


def _unmarked(word: str) -> str:
    return "".join(char for char in word.lower() if char not in "_- .")


def mistakes(one: str, other: str, *, most: float) -> int | None:
    """How many letters must be put in, left out, changed or swapped with the next to make the other word; None when
    more than `most` (optimal string alignment, Boytsov 2011, 2.1)."""
    if abs(len(one) - len(other)) > most:
        return None
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, char in enumerate(one, start=1):
        older, before, row = before, row, [i]
        for j, its in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != its))
            if i > 1 and j > 1 and char == other[j - 2] and its == one[i - 2]:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(*row, *before) > most:
            return None
    return row[-1] if row[-1] <= most else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?` (or its Chinese), with a leading space, or nothing when no known word is close."""
    near = nearest(word, known)
    if not near:
        return ""
    return f' Did you mean "{near}"?' if language() == "en" else f' 您是不是想写 "{near}"？'


def need(module: str, *, extra: str) -> ModuleType:
    """Import a module that comes with an extra; `missing_extra` names the pip line when it is absent."""
    if importlib.util.find_spec(module) is None:
        raise fault("missing_extra", module=module, install=_pip_line(extra))
    return importlib.import_module(module)


def _pip_line(extra: str) -> str:
    """What installs an extra of this very weitiao: by name, or from the clone that it runs from."""
    clone = _HERE.parents[1]
    if (clone / "pyproject.toml").is_file():
        return f'pip install -e "{clone}[{extra}]"'
    return f'pip install "weitiao[{extra}]"'


def with_pages(text: str) -> str:
    """The text with whole paths for the pages that it names, where they do not lie below the folder one works in."""
    return _PAGE.sub(lambda found: found[0] if os.path.exists(found[0]) else _page(found[0]), text)


def _page(name: str) -> str:
    homes = (_HERE.parents[1] / "docs", Path(sysconfig.get_path("data")) / "share" / "doc" / "weitiao")
    return next((str(home / Path(name).name) for home in homes if (home / Path(name).name).is_file()), name)


_HERE = Path(__file__).resolve().parents[1]
_PAGE = re.compile(r"docs/[\w-]+(?:\.[\w-]+)?\.md")
