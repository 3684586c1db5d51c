"""Train, validation and test without a text on two sides.

    list[Record]  ->  split(records, task, settings, seed=0)  ->  {"train": ..., "validation": ..., "test": ...}

Where a row goes depends on its text and the seed, not on its place in the file: rows with equal text (after
`normalised`) form a group, groups are ordered by a hash, and each label's groups are dealt by the shares.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence

from weitiao.core.contracts import Record, Task
from weitiao.core.errors import fault
from weitiao.core.recipe import Split
from weitiao.data.check import normalised

SPLITS = ("train", "validation", "test")


def split(records: Sequence[Record], task: Task, settings: Split, *, seed: int) -> dict[str, list[Record]]:
    """Deal records into the three splits, each in file order.

    Raises:
        WeitiaoError: `too_few_rows` when a split that was asked for would stay empty, or a label would be
            missing from the training rows.
    """
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[normalised(task.group(record))].append(record)
    strata: dict[str, list[str]] = defaultdict(list)
    for key, members in groups.items():
        strata[task.stratum(members[0]) if settings.stratify else ""].append(key)
    side: dict[str, str] = {}
    for keys in strata.values():
        side |= _deal(keys, {key: len(groups[key]) for key in keys}, settings, seed=seed)
    dealt: dict[str, list[Record]] = {name: [] for name in SPLITS}
    for record in records:
        dealt[side[normalised(task.group(record))]].append(record)
    _refuse_empty(dealt, task, settings, rows=len(records))
    return dealt


def _deal(keys: Sequence[str], sizes: dict[str, int], settings: Split, *, seed: int) -> dict[str, str]:
    ordered = sorted(keys, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    rows = sum(sizes.values())
    upto = {"test": round(settings.test * rows)}
    upto["validation"] = upto["test"] + round(settings.validation * rows)
    side, dealt = {}, 0
    for key in ordered:
        side[key] = next((name for name in ("test", "validation") if dealt < upto[name]), "train")
        dealt += sizes[key]
    return side


def _refuse_empty(dealt: dict[str, list[Record]], task: Task, settings: Split, *, rows: int) -> None:
    asked = {"validation": settings.validation, "test": settings.test}
    empty = [name for name, share in asked.items() if share and not dealt[name]]
    if not dealt["train"]:
        empty.append("train")
    if empty:
        smallest = min((share for share in asked.values() if share), default=1.0)
        needed = max(rows + 1, math.ceil(1 / smallest) * 2)
        raise fault(
            "too_few_rows", rows=rows, why=f"none would be left for {', '.join(empty)}", needed=needed
        )
    everywhere = {task.stratum(record) for name in SPLITS for record in dealt[name]}
    missing = sorted(everywhere - {task.stratum(record) for record in dealt["train"]})
    if missing:
        why = f'the label "{missing[0]}" would have no training row'
        raise fault("too_few_rows", rows=rows, why=why, needed=rows + 1)
