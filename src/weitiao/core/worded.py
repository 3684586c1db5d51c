"""Labels of pages, in English and Chinese, as the `words.yaml` of a package has them.

words("weitiao.evaluate", "zh")  ->  {"tuned": "微调后", ...}
"""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def pairs(package: str) -> dict[str, tuple[str, str]]:
    """Name -> its label in English and in Chinese."""
    import yaml

    load = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = resources.files(package).joinpath("words.yaml").read_text(encoding="utf-8")
    told: dict[str, list[str]] = yaml.load(text, Loader=load)  # noqa: S506
    return {name: (english, chinese) for name, (english, chinese) in told.items()}


def words(package: str, lang: str) -> dict[str, str]:
    """Name -> label in `lang`, `en` or `zh`."""
    column = ("en", "zh").index(lang)
    return {name: pair[column] for name, pair in pairs(package).items()}
