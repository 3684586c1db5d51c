"""Too little data, by rules of thumb that are called so.

40 rows of a conversation  ->  "200 are a rule of thumb"
"""

from __future__ import annotations

from collections.abc import Iterator

from weitiao.data.doctor.finding import Diagnosis, Finding, Part, Row, finding

A_LABEL = 50
ROWS = {
    "conversation": 200,
    "preference": 500,
    "unpaired": 500,
    "tagged": 200,
    "translation": 1_000,
    "plain": 200,
}
TEST_ROWS = 100  # of them an accuracy near 0.9 is known to about +-0.06 (95 % interval of a proportion)


class Amount(Part):
    """Are there enough rows?"""

    def see(self, row: Row) -> None:
        """The rows are counted by the examination."""

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """Rows a label, or rows in all, and rows to judge by."""
        rows = diagnosis.rows
        labels = diagnosis.tables.get("labels")
        if labels and diagnosis.shape in ("labelled", "pictured"):
            few = [
                name for name, n in labels["counts"].items() if n < A_LABEL and name not in diagnosis.mapping
            ]
            if few:
                named = ", ".join(few[:8])
                yield finding("few_rows_a_label", "warning", count=len(few), labels=named, least=A_LABEL)
        elif rows < ROWS.get(diagnosis.shape, A_LABEL):
            least = f"{ROWS.get(diagnosis.shape, A_LABEL):,}"
            yield finding("few_rows", "warning", count=rows, least=least)
        test = len(self.case.splits.get("test", ()))
        if 0 < test < TEST_ROWS:
            yield finding("few_test_rows", "note", count=test, least=TEST_ROWS)
