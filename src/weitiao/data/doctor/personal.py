"""Personal data: how many rows hold an e-mail address, a phone, ID or card number, an IP address.

rows  ->  {"EMAIL": 12, "PHONE": 3}, where the first of them stand
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from weitiao.core.errors import language
from weitiao.data import personal as private
from weitiao.data.doctor.finding import FIX, Case, Diagnosis, Finding, Marked, Part, Row, finding, table


class Personal(Part):
    """Counts of each kind, never the data itself; examples elsewhere in a diagnosis are masked."""

    def __init__(self, case: Case):
        super().__init__(case)
        self.counts: Counter[str] = Counter()
        self.rows = Marked()

    def see(self, row: Row) -> None:
        """What its texts hold."""
        found = [one.kind for text in row.texts.values() for one in private.personal(text)]
        if found:
            self.counts.update(found)
            self.rows.add(row.index)

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """One finding with all kinds."""
        diagnosis.tables["personal"] = dict(self.counts)
        if self.rows.count:
            names, column = table()["page"], ("en", "zh").index(language())
            kinds = ", ".join(f"{names[kind][column]} {count:,}" for kind, count in self.counts.most_common())
            yield finding(
                "personal",
                "warning",
                count=self.rows.count,
                places=self.case.places(self.rows.first),
                fix=f"{FIX} --fix-with personal",
                kinds=kinds,
            )
