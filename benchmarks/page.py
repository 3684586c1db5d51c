"""How long many predictions take to become a page, and how large it is.

python -m benchmarks.page [ROWS]  ->  a line a kind of answer: CPU seconds of the sections, of the page, bytes of page and results

Rows are random letters with random answers, a third of them wrong: no page has more to choose its worst rows from.
"""

from __future__ import annotations

import json
import random
import string
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from weitiao.core.contracts import Judged
from weitiao.core.results import VERSION
from weitiao.evaluate.analysed import analyses, in_order
from weitiao.evaluate.report import write_report

LABELS = ("a", "b", "c")


def labelled(rows: int, rng: np.random.Generator) -> tuple[list[Any], list[Any]]:
    true = rng.integers(0, 3, rows)
    said = np.where(rng.random(rows) < 0.33, rng.integers(0, 3, rows), true)
    shares = rng.dirichlet((1, 1, 1), rows)
    shares.sort(axis=1)
    told = []
    for one, share in zip(said.tolist(), shares.tolist(), strict=True):
        low, middle, high = share
        others = [label for label in LABELS if label != LABELS[one]]
        told.append({"label": LABELS[one], "score": high, "scores": {LABELS[one]: high, others[0]: middle, others[1]: low}})  # fmt: skip
    return [{"label": LABELS[one]} for one in true], told


def numbered(rows: int, rng: np.random.Generator) -> tuple[list[Any], list[Any]]:
    true = rng.normal(0, 10, rows)
    said = true + rng.normal(0, 3, rows)
    return [{"number": one} for one in true.tolist()], [
        {"number": one, "low": one - 4, "high": one + 4} for one in said.tolist()
    ]


def answered(rows: int, rng: np.random.Generator) -> tuple[list[Any], list[Any]]:
    words = [" ".join(rng.choice(list(string.ascii_lowercase), 12)) for _ in range(1000)]
    which = rng.integers(0, 1000, (2, rows)).tolist()
    return [{"reference": words[i]} for i in which[0]], [{"answer": words[i]} for i in which[1]]


def main(rows: int) -> None:
    letters, rng = random.Random(0), np.random.default_rng(0)
    for name, make in (("labels", labelled), ("numbers", numbered), ("answers", answered)):
        references, told = make(rows, rng)
        for line, row in enumerate(references):
            text = " ".join("".join(letters.choices(string.ascii_lowercase, k=6)) for _ in range(40))
            row |= {"prompt" if name == "answers" else "text": text, "file": "rows.csv", "line": line + 2}
        before = time.process_time()
        judged = Judged(references, {"tuned": told}, labels=LABELS if name == "labels" else ())
        found = {key: one.section(judged) for key, one in analyses(judged).items()}
        sections = in_order({key: section for key, section in found.items() if section})
        made = time.process_time()
        results = {
            "version": VERSION,
            "task": name,
            "model": "m",
            "method": "lora",
            "primary": "score",
            "higher_is_better": True,
            "rows": rows,
            "metrics": {"tuned": {"score": 0.5}},
            "verdict": {"learned": None, "sentence": "A bench."},
            "sections": sections,
        }
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "results.json"
            file.write_text(json.dumps(results), encoding="utf-8")
            page = write_report(Path(folder))
            print(
                f"{name:<8} sections {made - before:5.2f} s   page {time.process_time() - made:5.2f} s   "
                f"report.html {page.stat().st_size / 1e6:.2f} MB   results.json {file.stat().st_size / 1e6:.2f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
