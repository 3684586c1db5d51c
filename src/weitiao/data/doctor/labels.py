"""The label table: how many, how even, how written, and whether each can be learnt.

rows labelled positive (900), negative (40), postive (3)  ->  imbalance, a typo with its mapping, too few rows
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

from weitiao.data.doctor.finding import (
    FIX,
    PLACES,
    Case,
    Diagnosis,
    Finding,
    Marked,
    Part,
    Row,
    finding,
    percent,
)
from weitiao.data.doctor.synonyms import propose

RARE_ROWS = 10
MAJORITY, RATIO = (
    0.8,
    10.0,
)  # rules of thumb: beyond them accuracy says little, and rare labels are hardly seen
SHOWN = 30  # labels of the table in the diagnosis
REMEMBERED = 5_000  # labels whose places are kept


class Labels(Part):
    """Labels of `labelled`, `pictured` and `unpaired` rows."""

    shapes: ClassVar[tuple[str, ...]] = ("labelled", "pictured", "unpaired")

    def __init__(self, case: Case):
        super().__init__(case)
        self.counts: Counter[str] = Counter()
        self.rows: dict[str, list[int]] = {}
        self.numbers = array("d")

    def see(self, row: Row) -> None:
        """Count its label."""
        label = row.record.values.get("label")
        if not row.label and isinstance(label, int | float):
            self.numbers.append(label)
            return
        for one in label if isinstance(label, list) else [row.label]:
            self.counts[str(one)] += 1
            if len(self.rows) < REMEMBERED or str(one) in self.rows:
                first = self.rows.setdefault(str(one), [])
                if len(first) < PLACES:
                    first.append(row.index)

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """The table, and what is odd in it."""
        if self.numbers:
            ordered = sorted(self.numbers)
            at = {
                name: ordered[round(q * (len(ordered) - 1))]
                for name, q in (("min", 0), ("median", 0.5), ("max", 1))
            }
            diagnosis.tables["numbers"] = at
            if at["min"] == at["max"]:
                yield finding("one_label", "fault", count=len(ordered), label=at["min"])
            return
        if not self.counts:
            return
        total = sum(self.counts.values())
        ranked = self.counts.most_common()
        (most, top), (least, few) = ranked[0], ranked[-1]
        entropy = -sum(count / total * math.log(count / total) for count in self.counts.values())
        diagnosis.tables["labels"] = {
            "counts": dict(self.counts.most_common(SHOWN)),
            "labels": len(self.counts),
            "majority": top / total,
            "ratio": top / few,
            "effective": math.exp(entropy),  # the number of equally frequent labels that would be as uneven
        }
        if len(self.counts) == 1:
            yield finding("one_label", "fault", count=total, label=most)
            return
        if len(self.counts) > max(50, total / 5):
            yield finding("free_labels", "fault", count=len(self.counts), rows=f"{total:,}")
            return
        yield from self._written(diagnosis)
        yield from self._only_in()
        merged: Counter[str] = Counter()
        for label, count in self.counts.items():
            merged[diagnosis.mapping.get(label, label)] += count
        (most, top), (least, few) = merged.most_common()[0], merged.most_common()[-1]
        if top / total > MAJORITY or top / few > RATIO:
            yield finding(
                "imbalance",
                "warning",
                most=most,
                share=percent(top, total),
                least=least,
                few=f"{few:,}",
                ratio=f"{top / few:.0f}",
            )
        rare = [
            label
            for label, count in self.counts.items()
            if count < RARE_ROWS and label not in diagnosis.mapping
        ]
        if rare:
            named = ", ".join(f"{label} ({self.counts[label]})" for label in rare[:PLACES])
            indices = [index for label in rare for index in self.rows.get(label, ())]
            rows = sum(self.counts[label] for label in rare)
            yield finding(
                "rare_labels",
                "warning",
                count=rows,
                places=self.case.places(indices),
                labels=named,
                least=RARE_ROWS,
            )

    def _written(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        proposed = propose(self.counts)
        diagnosis.mapping = {label: meant for label, (meant, _) in proposed.items()}
        if proposed:
            indices = sorted(index for label in proposed for index in self.rows.get(label, ()))
            pairs = ", ".join(
                f'"{label}" → "{meant}"' for label, (meant, _) in list(proposed.items())[:PLACES]
            )
            rows = sum(self.counts[label] for label in proposed)
            places = self.case.places(indices)
            yield finding("label_spellings", "fault", count=rows, places=places, fix=FIX, pairs=pairs)
        left = [label for label in self.counts if label not in proposed]
        numbers = [label for label in left if _number(label)]
        words = [label for label in left if not _number(label)]
        if numbers and words:
            fewer = min(numbers, words, key=lambda labels: sum(self.counts[label] for label in labels))
            indices = sorted(index for label in fewer for index in self.rows.get(label, ()))
            yield finding(
                "mixed_labels",
                "fault",
                count=sum(self.counts[label] for label in fewer),
                places=self.case.places(indices),
                numbers=", ".join(numbers[:5]),
                words=", ".join(words[:5]),
            )

    def _only_in(self) -> Iterator[Finding]:
        splits, stratum = self.case.splits, self.case.shape.stratum
        if "train" not in splits:
            return
        seen = {stratum(self.case.rows[index].values) for index in splits["train"]}
        for name, indices in splits.items():
            only: Counter[str] = Counter()
            marked = Marked()
            for index in indices if name != "train" else ():
                label = stratum(self.case.rows[index].values)
                if label not in seen:
                    only[label] += 1
                    marked.add(index)
            if only:
                labels = ", ".join(f"{label} ({count})" for label, count in only.most_common(PLACES))
                places = self.case.places(marked.first)
                yield finding(
                    "labels_only_in", "fault", count=marked.count, places=places, split=name, labels=labels
                )


def _number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return label.strip().lower() not in ("nan", "inf", "infinity")
