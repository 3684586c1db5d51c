"""Texts that spell a special token of the model's tokenizer, such as `<|im_end|>` or `</s>`.

rows, marks of a tokenizer  ->  which marks, in how many rows, where the first of them stand
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from weitiao.data.doctor.finding import Case, Diagnosis, Finding, Marked, Part, Row, finding
from weitiao.data.plain import any_of

NAMED = 6  # marks


class Spelt(Part):
    """They are read as characters; whoever wants them to be the tokens has to say so."""

    def __init__(self, case: Case):
        super().__init__(case)
        self.marks = any_of(case.marks)
        self.counts: Counter[str] = Counter()
        self.rows = Marked()

    def see(self, row: Row) -> None:
        """What its texts spell."""
        found = {mark for text in row.texts.values() for mark in self.marks.findall(text)}
        if found:
            self.counts.update(found)
            self.rows.add(row.index)

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """One finding with all marks."""
        if self.rows.count:
            marks = ", ".join(mark for mark, _ in self.counts.most_common(NAMED))
            places = self.case.places(self.rows.first)
            yield finding("spelt_specials", "note", count=self.rows.count, places=places, marks=marks)
