"""The base that a tuned model lies on, found again wherever the run is used.

    known = remembered(source, run)      ->  {"source": where it lies, "beside": the same seen from the run, "fingerprint"}
    found(run, known, ref="base")        ->  a folder, name or id for `load`, whose fingerprint is that one

A run may be asked from another folder than it was made in, and may have moved, alone or together with its base.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from weitiao.core.errors import fault
from weitiao.models.assets import catalog
from weitiao.models.folders import MARKS
from weitiao.models.opening import fingerprint, resolve


def remembered(source: str, run: Path) -> dict[str, str]:
    """What a tuned model keeps of the base in a folder (or of a hub id, which lies nowhere)."""
    found = {"source": source, "fingerprint": fingerprint(source)}
    if Path(source).is_dir():
        found["beside"] = os.path.relpath(Path(source).resolve(), run.resolve())
    return found


def found(run: Path, known: Mapping[str, str], *, ref: str, said: str | Path = "") -> str:
    """Where the base lies now.

    Args:
        run: the run folder.
        known: what `remembered` gave.
        ref: the recipe's word for it.
        said: where the user says it lies; nowhere else is then looked.

    Raises:
        WeitiaoError: `base_gone`; `wrong_base` where another model has taken its place; what fetching raises.
    """
    if said or ref in catalog.MODELS or known["source"] == known["fingerprint"]:
        place = str(said) if said else ref
        source = resolve(place)
        # A hub id has no files to compare with: a folder that is said to be it is believed.
        if known["fingerprint"] not in (fingerprint(source), known["source"]):
            raise fault("wrong_base", path=run, ref=place, tuned_on=known["source"])
        return place
    beside = [str(run / known["beside"])] if "beside" in known else []
    places = list(dict.fromkeys(os.path.abspath(place) for place in (*beside, known["source"], ref)))
    there = [place for place in places if any(Path(place, name).is_file() for name in MARKS)]
    for place in there:
        if fingerprint(place) == known["fingerprint"]:
            return place
    if there:
        raise fault("wrong_base", path=run, ref=there[0], tuned_on=known["source"])
    raise fault(
        "base_gone", path=run, ref=ref, places=", ".join(places), fingerprint=known["fingerprint"][:12]
    )
