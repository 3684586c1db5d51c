"""What could go wrong and is no error, in the reader's language.

notice("one_label", rows=12, side="test", label="good")  ->  a sentence
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from weitiao.core.errors import language


@cache
def notices() -> dict[str, dict[str, str]]:
    """Code -> {en, zh}."""
    import yaml

    text = resources.files(__package__).joinpath("notices.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)  # type: ignore[no-any-return]


def notice(code: str, **values: Any) -> str:
    """The sentence of that code."""
    return notices()[code][language()].format(**values)
