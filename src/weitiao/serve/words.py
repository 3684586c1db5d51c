"""Every word of the page on which a model is tried, in English and Chinese.

words("zh")  ->  {"send": "发送", ...}
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import yaml


@cache
def _pairs() -> dict[str, list[str]]:
    text = resources.files(__package__).joinpath("words.yaml").read_text(encoding="utf-8")
    told: dict[str, list[str]] = yaml.safe_load(text)
    return told


def words(lang: str) -> dict[str, str]:
    """Name -> word in `lang`, `en` or `zh`."""
    column = ("en", "zh").index(lang)
    return {name: pair[column] for name, pair in _pairs().items()}
