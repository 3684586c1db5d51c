"""Tags: the table of them, and spans that begin in the middle (I- without B-).

["B-PER", "I-PER", "O", "I-LOC"]  ->  one span that begins with I-LOC
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar

from weitiao.data.doctor.finding import Case, Diagnosis, Finding, Marked, Part, Row, finding, percent

FEW_SPANS = 10


class Tags(Part):
    """How tags are used."""

    shapes: ClassVar[tuple[str, ...]] = ("tagged",)

    def __init__(self, case: Case):
        super().__init__(case)
        self.tags: Counter[str] = Counter()
        self.spans: Counter[str] = Counter()
        self.broken, self.plain = Marked(), Marked()

    def see(self, row: Row) -> None:
        """Its tags."""
        tags = [str(tag) for tag in row.record.values["tags"]]
        self.tags.update(tags)
        self.spans.update(tag[2:] for tag in tags if tag[:2] in ("B-", "S-", "U-"))
        if loose(tags):
            self.broken.add(row.index)
        if all(tag == "O" for tag in tags):
            self.plain.add(row.index)

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """The table; broken spans; kinds with few spans; rows without any."""
        diagnosis.tables["tags"] = dict(self.tags.most_common(40))
        # Without any B- the file is written in IO or IOB1, where a span may begin with I-.
        if self.broken.count and self.spans:
            yield finding(
                "loose_tags", "fault", count=self.broken.count, places=self.case.places(self.broken.first)
            )
        few = {name: count for name, count in self.spans.items() if count < FEW_SPANS}
        if few:
            named = ", ".join(f"{name} ({count})" for name, count in few.items())
            yield finding("rare_tags", "warning", count=sum(few.values()), tags=named, least=FEW_SPANS)
        rows = len(self.case.rows)
        if self.spans and self.plain.count > 0.8 * rows:
            share = percent(self.plain.count, rows)
            yield finding("untagged", "note", count=self.plain.count, share=share)


def loose(tags: Sequence[str]) -> list[int]:
    """Where an `I-X` or `E-X` stands whose span has not begun: before it is neither `B-X` nor `I-X`."""
    before = ["O", *tags]
    return [
        place
        for place, tag in enumerate(tags)
        if tag[:2] in ("I-", "E-") and (before[place][2:] != tag[2:] or before[place][:2] not in ("B-", "I-"))
    ]
