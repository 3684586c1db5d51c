"""What a key means, in the reader's language.

meaning("The run folder.")  ->  "The run folder.", or "运行文件夹。"

The English stands under each key in the code, and the Chinese in `meanings.zh.yaml` by that English, so that a meaning
which changes is English until its Chinese does; a method or task of another package is told in its own words.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from weitiao.core.errors import language


def meaning(english: str, lang: str = "") -> str:
    """The meaning in `lang`, `en` or `zh` (default: the reader's language), without line breaks."""
    text = " ".join(english.split())
    return chinese().get(text, text) if (lang or language()) == "zh" else text


@cache
def chinese() -> dict[str, str]:
    """English -> Chinese, for every key of the recipe and every setting of a task and method."""
    import yaml

    load = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = resources.files(__package__).joinpath("meanings.zh.yaml").read_text(encoding="utf-8")
    return dict(yaml.load(text, Loader=load))  # noqa: S506
