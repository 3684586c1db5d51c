"""What a reader must know of rows that were given to be judged by, instead of the locked ones.

{"given": {"files": ["new.csv"], "total": 120, ...}}  ->  "Judged by new.csv: 112 of 120 rows.", ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weitiao.core.contracts import places
from weitiao.core.errors import did_you_mean
from weitiao.core.why import reason


def told(results: Mapping[str, Any]) -> list[str]:
    """Which rows it was judged by, where they are not the locked ones, and labels that the model does not know."""
    if not (given := results.get("given")):
        return []
    counts = {name: count for name, count in given["counts"].items() if name != "kept" and count}
    others = sum(counts.get(name, 0) for name in ("dropped", "quarantined")) - given["seen"]
    facts = {"files": ", ".join(given["files"]), "rows": results["rows"], "total": given["total"]}
    lines = [reason("judged_by", **facts)]
    asked = {"left_seen": given["seen"], "left_repeated": counts.get("duplicate", 0), "left_unusable": others}
    lines += [reason(kind, count=count, name=given["name"]) for kind, count in asked.items() if count]
    if column := given.get("ungrouped"):
        lines.append(reason("rows_ungrouped", column=column))
    known = [label for label in results["labels"] if label not in {one["label"] for one in given["unknown"]}]
    for one in given["unknown"]:
        where = ", ".join(places(one["places"])) + ", ..." * (one["rows"] > len(one["places"]))
        hint = did_you_mean(one["label"], known)
        facts = {"label": one["label"], "rows": one["rows"], "where": where, "hint": hint}
        lines.append(reason("label_unknown", **facts))
    return lines
