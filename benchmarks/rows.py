"""Deal the rows once, into one JSON file that every system reads.

    python -m benchmarks.rows FILE [--tiny] [--jobs NAME ...]  ->  {job: {"model": folder, "train": [...], "held_out": [...]}}

A process of its own, so that the driver stays small: on Linux a child inherits its parent's peak memory.
"""

from __future__ import annotations

import csv
import json
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.jobs import JOBS, SEED, TINY, Job


def deal(names: Sequence[str] = tuple(JOBS), *, tiny: bool) -> dict[str, Any]:
    """Rows of every job (the same for all of a kind), without a text on both sides, none longer than the job's `max_length`."""
    from weitiao.api import fetch

    dealt = {}
    for name in names:
        job = JOBS[name]
        model, file = fetch(job.model), fetch(job.data)
        train, held_out = TINY[job.kind] if tiny else (job.train_rows, job.held_out_rows)
        rows = READ[job.kind](next(file.glob("*.*sv"), file) if file.is_dir() else file)
        random.Random(SEED).shuffle(rows)
        rows = first(rows, train + held_out, fit=fits(job, model))
        dealt[name] = {"model": str(model), "train": rows[:train], "held_out": rows[train:]}
    return dealt


def _reviews(file: Path) -> list[dict[str, Any]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list({row["text"]: row for row in csv.DictReader(lines)}.values())


def _chat(file: Path) -> list[dict[str, Any]]:
    by_prompt = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        prompt = row["instruction"] + (f"\n\n{row['input']}" if row["input"] else "")
        turns = ({"role": "user", "content": prompt}, {"role": "assistant", "content": row["output"]})
        if row["output"].strip():
            by_prompt[prompt] = {"messages": list(turns)}
    return list(by_prompt.values())


READ: dict[str, Callable[[Path], list[dict[str, Any]]]] = {"reviews": _reviews, "chat": _chat}


def fits(job: Job, model: Path) -> Callable[[dict[str, Any]], bool]:
    """Is a row short enough for everybody?"""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    template = 60  # more than the chat template's own tokens around two turns

    def fit(row: dict[str, Any]) -> bool:
        text = row["text"] if "text" in row else "\n".join(turn["content"] for turn in row["messages"])
        return len(tokenizer.encode(text).ids) + template <= job.max_length

    return fit


def first(rows: list[dict[str, Any]], count: int, *, fit: Callable[..., bool]) -> list[dict[str, Any]]:
    """As many rows as are asked for, of those that fit."""
    found = []
    for row in rows:
        if len(found) == count:
            break
        if fit(row):
            found.append(row)
    if len(found) < count:
        raise SystemExit(
            f"{len(found)} rows fit, {count} are asked for: lower the numbers in benchmarks/jobs.py"
        )
    return found


if __name__ == "__main__":
    file, *words = sys.argv[1:]
    names = words[words.index("--jobs") + 1 :] if "--jobs" in words else list(JOBS)
    Path(file).write_text(json.dumps(deal(names, tiny="--tiny" in words)), encoding="utf-8")
