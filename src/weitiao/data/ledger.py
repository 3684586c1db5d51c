"""The ledger: every row that came in ends as exactly one of six things, and the counts add up.

ledger.note(record, "truncated", "12 tokens lost")  ->  ledger.counts()  ->  {"kept": 998, "truncated": 1, ...}
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from weitiao.core.contracts import place
from weitiao.core.errors import fault
from weitiao.core.files import write_json, write_lines
from weitiao.core.why import reason

# What a row can end as, from the least to the most that happened to it; "kept" as it was is none of them.
STATUSES = ("repaired", "truncated", "duplicate", "dropped", "quarantined")
LOST = ("dropped", "quarantined")
SHOWN = 8  # rows named in an error; the ledger has them all


Place: TypeAlias = tuple[str, int, int]


class Placed(Protocol):
    """A row, good or bad, that knows where it stands."""

    @property
    def file(self) -> str:
        """Its file."""

    @property
    def line(self) -> int:
        """Its line."""

    @property
    def nth(self) -> int:
        """Which row of its line."""


@dataclass
class Ledger:
    """What became of every row; only rows that were not kept as they were have a line of their own."""

    files: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0
    split: dict[str, int] = field(default_factory=dict)
    labels: dict[str, dict[str, int]] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    leaks: dict[str, int] = field(default_factory=dict)
    """Groups of equal or nearly equal rows that the split kept together, and rows it took out of training."""
    missed: dict[str, list[int]] = field(default_factory=dict)
    """Sides that the groups left smaller or larger than asked for: [rows, rows asked for]."""
    made: dict[str, Any] = field(default_factory=dict)
    """Rows that augmentation added (`made`, `made_from`, and what became of them when `encoded`); they are no input
    and stand outside the counts."""
    _fates: dict[Place, tuple[str, list[str]]] = field(default_factory=dict, repr=False)
    _raw: dict[Place, Any] = field(default_factory=dict, repr=False)

    def note(self, row: Placed, status: str, reason: str, *, raw: Any = None) -> None:
        """Something happened to a row; the gravest thing is what it ends as, and every reason stays.

        Args:
            raw: the row itself, for the quarantine.
        """
        where = row.file, row.line, row.nth
        before, reasons = self._fates.get(where, (STATUSES[0], []))
        self._fates[where] = (max(before, status, key=STATUSES.index), [*reasons, reason])
        if status == "quarantined":
            self._raw[where] = raw

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A line for every row that was not kept as it was, file by file."""
        return [self._line(where) for where in self._placed()]

    def _placed(self) -> list[Place]:
        order = {file["path"].partition("#")[0]: number for number, file in enumerate(self.files)}
        return sorted(self._fates, key=lambda where: (order.get(where[0], -1), where))

    def _line(self, where: Place) -> dict[str, Any]:
        file, line, nth = where
        status, reasons = self._fates[where]
        found = {"file": file, "line": line, **({"nth": nth} if nth else {})}
        return {**found, "status": status, "reason": "; ".join(reasons)}

    def copy(self) -> Ledger:
        """One of its own, in which more may be noted."""
        return replace(self, made=dict(self.made), _fates=dict(self._fates), _raw=dict(self._raw))

    def state(self) -> Iterator[dict[str, Any]]:
        """What is needed to have it again: first what is said of all rows, then each row that was noted."""
        yield {name: getattr(self, name) for name in ("files", "total", "leaks", "missed", "made")}
        for where, (status, reasons) in self._fates.items():
            raw = {"raw": self._raw[where]} if where in self._raw else {}
            yield {"where": where, "status": status, "reasons": reasons, **raw}

    @classmethod
    def restored(cls, state: Iterator[Mapping[str, Any]]) -> Ledger:
        """The ledger whose `state` that is."""
        ledger = cls(**next(state))
        for noted in state:
            file, line, nth = noted["where"]
            ledger._fates[file, line, nth] = noted["status"], noted["reasons"]
            if "raw" in noted:
                ledger._raw[file, line, nth] = noted["raw"]
        return ledger

    def counts(self) -> dict[str, int]:
        """Rows by what became of them; they add up to the input."""
        ended = Counter(status for status, _ in self._fates.values())
        return {
            "kept": self.total - sum(ended.values()),
            **{name: ended[name] for name in STATUSES if ended[name]},
        }

    def lost(self) -> list[dict[str, Any]]:
        """The rows that nothing will learn from."""
        return [row for row in self.rows if row["status"] in LOST]

    def quarantine(self) -> list[dict[str, Any]]:
        """The rows set aside with the reason, to be mended and brought back.

        A row that could not be converted is as it came; one that was refused later, as it contradicts another or
        does not fit the chat template, is in the columns of its shape.
        """
        return [
            {**self._line(where), "row": self._raw[where]} for where in self._placed() if where in self._raw
        ]

    def refuse_losses(self, fraction: float, *, read_as: str = "") -> None:
        """Stop when more rows were lost than the recipe accepts.

        Args:
            fraction: of the rows that may be lost.
            read_as: options by which `weitiao data check` reads the files as they were read here.

        Raises:
            WeitiaoError: `lost_rows`, naming the first of them and the setting that accepts the loss; `bad_rows`
                when no row at all would be left.
        """
        lost = self.lost()
        if lost and len(lost) == self.total:
            raise fault("bad_rows", count=len(lost), total=self.total, rows=named_rows(lost))
        # As a quotient, like the share that is offered: 0.29 * 100 is a little less than 29.
        if lost and len(lost) / self.total > fraction:
            accepts = math.ceil(1e4 * len(lost) / self.total) / 1e4
            raise fault(
                "lost_rows",
                count=len(lost),
                total=self.total,
                rows=named_rows(lost),
                fraction=f"{fraction:g}",
                accepts=f"{accepts:g}",
                read_as=read_as,
            )

    def write(self, folder: Path) -> None:
        """`ledger.json` into that folder, and `quarantine.jsonl` where rows were set aside."""
        write_json(folder / "ledger.json", self.to_dict())
        if rows := self.quarantine():
            write_lines(folder / "quarantine.jsonl", rows)

    def to_dict(self) -> dict[str, Any]:
        """The ledger as it is written to `data/ledger.json`."""
        return {
            "files": self.files,
            "total": self.total,
            "counts": self.counts(),
            "split": self.split,
            "labels": self.labels,
            "tokens": self.tokens,
            "leaks": self.leaks,
            **({"missed": self.missed} if self.missed else {}),
            **({"made": {}} | self.made),
            "rows": self.rows,
        }


def brief(value: Any, longest: int = 80) -> str:
    """A value as messages name it: a cell may hold a megabyte."""
    text = str(value)
    return text if len(text) <= longest else f"{text[:longest]}…"


def named_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """The first of them, a line each, as errors say it."""
    named = "\n".join(
        f"  {place(row['file'], row['line'], row.get('nth', 0))}: {brief(row['reason'], 300)}"
        for row in rows[:SHOWN]
    )
    more = len(rows) - SHOWN
    return named + (f"\n  {reason('more_rows', count=more)}" if more > 0 else "")
