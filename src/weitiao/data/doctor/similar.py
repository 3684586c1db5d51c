"""Near duplicates: how many, the biggest groups, and those that carry different labels or stand in two splits.

groups from `near_groups`  ->  share of near rows, groups with examples, suspects

What a group keeps together may be a part of each row: the text that several questions ask about, the query of several
passages, the prompt of several answers.  Rows are nearly the same where each of their texts is, and only these can
contradict one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.core.contracts import Record, Shape
from weitiao.data.doctor.finding import Case, Diagnosis, Finding, Part, Row, finding, percent
from weitiao.data.personal import mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUPS, EXAMPLES, CLIP = 5, 4, 160


class Similar(Part):
    """What the groups of near duplicates mean."""

    shapes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, case: Case):
        super().__init__(case)
        self.names: dict[str, int] = {}
        self.labels: list[int] = []

    def see(self, row: Row) -> None:
        """Its label, as a number."""
        if self.case.groups is not None:
            self.labels.append(self.names.setdefault(row.label, len(self.names)))

    def tell(self, diagnosis: Diagnosis) -> Iterator[Finding]:
        """Near rows, suspects, and groups on two sides of the split."""
        import numpy as np

        groups = self.case.groups
        if groups is None or not len(groups):
            return
        together = np.unique(groups, return_inverse=True)[1]
        _, first, group, sizes = np.unique(
            self._alike(together), return_index=True, return_inverse=True, return_counts=True
        )
        near = sizes[group] > 1
        extra = int((sizes - 1).sum())
        biggest = np.argsort(-sizes, kind="stable")[:GROUPS]
        diagnosis.tables["near"] = {
            "groups": int((sizes > 1).sum()),
            "rows": int(near.sum()),
            "extra": extra,
            "biggest": [self._shown(np.flatnonzero(group == one)) for one in biggest if sizes[one] > 1],
        }
        if extra:
            later = np.flatnonzero(near & (first[group] != np.arange(len(group))))
            yield finding(
                "near_duplicates",
                "warning",
                count=extra,
                places=self.case.places(later.tolist()),
                share=percent(extra, len(groups)),
                groups=f"{int((sizes > 1).sum()):,}",
            )
        if extra and len(self.names) > 1:
            # Two spellings of one label are no contradiction.
            same = np.array(
                [self.names.get(diagnosis.mapping.get(name, name), i) for name, i in self.names.items()]
            )
            mixed = _differ(group, same[self.labels], len(sizes))
            diagnosis.tables["near"]["suspects"] = int(mixed[group].sum())
            yield from self._suspects("near_other_label", np.flatnonzero(mixed[group]))
        side = np.full(len(group), -1)
        for number, indices in enumerate(self.case.splits.values()):
            side[np.asarray(indices, dtype=int)] = number
        dealt = side >= 0
        if dealt.any():
            across = _differ(together[dealt], side[dealt], len(groups))
            yield from self._suspects("near_across", np.flatnonzero(across[together] & dealt))

    def _alike(self, group: NDArray[Any]) -> NDArray[Any]:
        """The groups (N,), each parted into rows of which every column is near."""
        import numpy as np

        from weitiao.data.near import Texts, near_groups

        near = np.flatnonzero(np.bincount(group)[group] > 1)
        rows = [self.case.rows[int(index)] for index in near]
        columns = {address.split(".")[0] for row in rows for address in self.case.shape.texts(row.values)}
        parts = [group[near]]
        for column in sorted(columns):
            text = partial(_text, self.case.shape, column)
            parts.append(near_groups(Texts(rows, text), threshold=self.case.near_threshold))
        alike = group.copy()
        alike[near] = len(group) + np.unique(np.stack(parts), axis=1, return_inverse=True)[1].reshape(-1)
        return alike

    def _suspects(self, code: str, indices: NDArray[Any]) -> Iterator[Finding]:
        if len(indices):
            severity: Any = "fault" if code == "near_across" else "warning"
            yield finding(code, severity, count=len(indices), places=self.case.places(indices.tolist()))

    def _shown(self, indices: NDArray[Any]) -> dict[str, Any]:
        rows = [self.case.rows[int(index)] for index in indices[:EXAMPLES]]
        shape = self.case.shape
        return {
            "rows": len(indices),
            "examples": [
                {
                    "place": row.place,
                    "text": mask(" ⏎ ".join(shape.texts(row.values).values()))[0][:CLIP],
                    "label": shape.stratum(row.values),
                    "pictures": [row.values[column] for column in shape.pictures],
                }
                for row in rows
            ],
        }


def _text(shape: Shape, column: str, row: Record) -> str:
    """All that a column of a row says, such as every turn of a conversation."""
    texts = shape.texts(row.values)
    return " ".join(text for address, text in texts.items() if address.split(".")[0] == column)


def _differ(group: NDArray[Any], values: NDArray[Any], groups: int) -> NDArray[Any]:
    """For each group: do its members differ in `values`?"""
    import numpy as np

    low, high = np.full(groups, np.iinfo(np.int64).max), np.full(groups, -1)
    np.minimum.at(low, group, values)
    np.maximum.at(high, group, values)
    return high > low
