"""A page or another file out of a template that lies beside the code: self-contained, escaped if it is HTML, and always UTF-8.

render(folder, "page.html.j2", values, filters={...})  ->  the HTML
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template


def render(
    folder: Path,
    template: str,
    values: Mapping[str, Any],
    *,
    filters: Mapping[str, Any] | None = None,
    parts: Path | None = None,
) -> str:
    """The page; a name that the template asks for and nobody gives is an error, not a blank.

    Args:
        folder: where the template lies.
        template: its name.
        values: what it is filled with.
        filters: what its values may go through.
        parts: where templates lie that it takes in, if that is another folder.
    """
    # Half a surrogate pair in a user's row cannot be UTF-8; a reference to it is shown as the usual �.
    folders = (folder, parts) if parts else (folder,)
    page = _compiled(folders, template, tuple((filters or {}).items())).render(values)
    return page.encode("utf-8", "xmlcharrefreplace").decode("utf-8")


@lru_cache(maxsize=8)
def _compiled(folders: tuple[Path, ...], template: str, filters: tuple[tuple[str, Any], ...]) -> Template:
    # Compiling takes several times as long as rendering, and a comparison or a test makes many pages.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        autoescape=".html" in template,
        keep_trailing_newline=".html" not in template,
        loader=FileSystemLoader(folders, encoding="utf-8"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= dict(filters)
    return templates.get_template(template)
