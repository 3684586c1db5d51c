"""What the ledger knows already: rows that cannot be used, and rows that stand there twice.

{"rows": [{"status": "dropped", "reason": "the text is empty", ...}]}  ->  findings by reason
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from weitiao.core.contracts import place
from weitiao.data.doctor.finding import FIX, Diagnosis, Finding, Part, Row, Severity, finding, percent

# As `core/messages/reasons/rows.yaml` says it, in the language of whoever made the ledger.
CONTRADICTION = re.compile("same text is labelled|同一文本在此处的标签")
SEVERITY: dict[str, Severity] = {
    "bad_rows": "fault",
    "empty_rows": "fault",
    "contradictions": "fault",
    "duplicate_rows": "warning",
}
EMPTY = re.compile(r"\bis (?:empty|missing)\b|\bNoneType\b|为空|缺失|缺少标签")


class Unused(Part):
    """Bad, empty, contradicting and repeated rows, as the ledger has them."""

    def see(self, row: Row) -> None:
        """The ledger has seen the rows."""

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """One finding a kind."""
        ledger = self.case.ledger
        total = ledger.get("total", len(self.case.rows))
        kinds: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in ledger.get("rows", ()):
            kinds[_kind(row)].append(row)
        reasons = Counter(
            _plain(row["reason"]) for kind in kinds for row in kinds[kind] if kind != "duplicate_rows"
        )
        diagnosis.tables["unused"] = {
            "total": total,
            "counts": dict(ledger.get("counts", {})),
            "reasons": dict(reasons.most_common(12)),
            "contradictions": len(kinds["contradictions"]),
        }
        diagnosis.tables["files"] = [dict(file) for file in ledger.get("files", ())]
        for kind, severity in SEVERITY.items():
            if rows := kinds[kind]:
                examples = Counter(_plain(row["reason"]) for row in rows)
                said = {_plain(row["reason"]): row["reason"] for row in reversed(rows)}
                yield finding(
                    kind,
                    severity,
                    count=len(rows),
                    places=[place(row["file"], row["line"], row.get("nth", 0)) for row in rows[:8]],
                    fix=FIX if kind != "contradictions" else "",
                    share=percent(len(rows), total),
                    reasons="; ".join(
                        f"{said[plain]} ({count:,})" for plain, count in examples.most_common(3)
                    ),
                )


def _kind(row: Mapping[str, Any]) -> str:
    if row["status"] == "duplicate":
        return "duplicate_rows"
    if CONTRADICTION.search(row["reason"]):
        return "contradictions"
    if row["status"] in ("dropped", "quarantined"):
        return "empty_rows" if EMPTY.search(row["reason"]) else "bad_rows"
    return "other"


def _plain(reason: str) -> str:
    """Reasons that differ in a number or a quoted value count as one."""
    return re.sub(r"\d+", "n", re.sub(r'"[^"]*"', '"..."', reason))
