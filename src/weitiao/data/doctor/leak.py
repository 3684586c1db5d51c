"""Label leak: the answer stands in the text.

"[spam] Win a prize" -> spam      a token that only rows of one label hold, and most of them do
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import ClassVar

from weitiao.data.doctor.finding import Case, Diagnosis, Finding, Marked, Part, Row, finding, percent
from weitiao.data.equal_text import normalised

LOOKED_AT = 20_000  # rows, spread evenly: a leak that matters is everywhere
SUPPORT = 20  # rows of a label; below, a pure token is chance
COVERS = 0.6  # share of its label's rows that hold the token
TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W_]+|[^\w\s]")


class Leak(Part):
    """Tokens that give the label away, and texts that name their own label."""

    shapes: ClassVar[tuple[str, ...]] = ("labelled",)

    def __init__(self, case: Case):
        super().__init__(case)
        self.step = max(1, len(case.rows) // LOOKED_AT)
        self.labels: Counter[str] = Counter()
        self.tokens: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.seen: Counter[str] = Counter()
        self.own: defaultdict[str, Marked] = defaultdict(Marked)

    def see(self, row: Row) -> None:
        """Which tokens it holds; one row in several, when there are many."""
        if row.index % self.step or not row.label:
            return
        self.labels[row.label] += 1
        tokens = TOKEN.findall(normalised(" ".join(row.texts.values()))[:2_000])
        together = {a + b for a, b in zip(tokens, tokens[1:], strict=False) if a > "\u3400" and b > "\u3400"}
        distinct = set(tokens) | together
        self.seen.update(distinct)
        for token in distinct:
            self.tokens[token][row.label] += 1
        if normalised(row.label) in distinct:
            self.own[row.label].add(row.index)

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """Labels named by their own rows alone, and tokens that are pure and frequent."""
        if len(self.labels) < 2:
            return
        total = sum(self.labels.values())
        named = {}
        for label, marked in self.own.items():
            rows, elsewhere = self.labels[label], self.seen[normalised(label)] - marked.count
            rate = elsewhere / max(1, total - rows)
            if rows >= SUPPORT and marked.count >= 0.2 * rows and marked.count / rows > 5 * rate:
                named[label] = marked
        if named:
            yield finding(
                "own_label",
                "warning",
                count=sum(marked.count for marked in named.values()),
                places=self.case.places(sorted(index for marked in named.values() for index in marked.first)),
                labels=", ".join(
                    f"{name} ({percent(m.count, self.labels[name])})" for name, m in named.items()
                ),
            )
        given = []
        for token, count in self.seen.items():
            if count >= SUPPORT and len(self.tokens[token]) == 1:
                label = next(iter(self.tokens[token]))
                others = total - self.labels[label]
                if count >= COVERS * self.labels[label] and others >= SUPPORT and normalised(label) != token:
                    given.append((count, token, label))
        given.sort(reverse=True)
        diagnosis.tables["leaks"] = [
            {"token": token, "label": label, "rows": rows} for rows, token, label in given[:8]
        ]
        if given:
            pairs = ", ".join(f"“{token}” → {label} ({rows:,})" for rows, token, label in given[:4])
            yield finding("telling_token", "warning", count=given[0][0], tokens=pairs)
