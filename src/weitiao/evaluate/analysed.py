"""Which sections judged rows have, and how the results keep them.

Judged  ->  analyses  ->  {"confusion": Confusion(), ...}, those whose needs the predictions meet
{"confusion": Matrix(...)}  ->  in_order  ->  {"confusion": {"kind": "matrix", ...}}, as a page has them
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weitiao.core import registry
from weitiao.core.contracts import Analysis, Judged, Section
from weitiao.core.contracts.section import KINDS


def analyses(judged: Judged) -> dict[str, Analysis]:
    """Those of the shelf that the tuned model's predictions suffice for."""
    holds = {key for told in judged.systems["tuned"] for key in told}
    built = {name: registry.build("section", {"name": name}) for name in registry.names("section")}
    return {name: analysis for name, analysis in built.items() if not analysis.lacks(holds)}


def in_order(sections: Mapping[str, Section]) -> dict[str, Any]:
    """What is counted, then what is drawn, then rows one by one; plain values."""
    return dict(sorted(plain(sections).items(), key=lambda pair: KINDS.index(pair[1]["kind"])))


def plain(sections: Mapping[str, Section]) -> dict[str, Any]:
    """As results keep them."""
    return {name: section.model_dump(exclude_none=True) for name, section in sections.items()}
