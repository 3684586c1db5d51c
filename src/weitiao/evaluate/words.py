"""Every label of the report page, in English and Chinese.

words("zh")  ->  {"tuned": "微调后", ...}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weitiao.core import worded
from weitiao.core.errors import language


def pairs() -> dict[str, tuple[str, str]]:
    """Name -> its label in English and in Chinese."""
    return worded.pairs("weitiao.evaluate")


def named(name: str) -> str:
    """A metric, system, side, status or state as the terminal calls it: in English as it is spelt everywhere."""
    return pairs()[name][1] if language() == "zh" and name in pairs() else name


def words(lang: str) -> dict[str, str]:
    """Name -> label in `lang`, `en` or `zh`."""
    return worded.words("weitiao.evaluate", lang)


def metric_word(name: str, lang: str) -> str:
    """What a sentence calls a metric: as the table does; a user's own keeps its name."""
    named = words(lang)
    return named.get(f"macro_{name}", named.get(name, name))


def spelt(numbers: Mapping[str, Any], lang: str) -> dict[str, Any]:
    """The numbers of a sentence, with what they say of a `metric` and of a `system` in words."""
    found, named = dict(numbers), words(lang)
    if "metric" in found:
        found["metric"] = metric_word(found["metric"], lang)
    if "system" in found:
        found["system"] = named.get(found["system"], found["system"])
    return found


def named_goal(name: str) -> str:
    """What a search wants, in the reader's language: a metric, or what a run costs."""
    return words(language()).get(f"goal_{name}", named(name))
