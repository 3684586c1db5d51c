"""How long many predictions take to become a page, and how large it is.

python -m benchmarks.page [ROWS]  ->  a line a kind of answer: CPU seconds of the sections, the analysis, the page; bytes

Rows are random letters with random answers, a third of them wrong: no page has more to choose its worst rows from.  As many
again, but at most 20,000, are validation rows, by which the analysis chooses.
"""

from __future__ import annotations

import random
import string
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from weitiao.core.contracts import Judged, Record
from weitiao.core.files import write_json, write_lines
from weitiao.core.recipe import Recipe
from weitiao.core.results import VERSION
from weitiao.core.run import RunFolder
from weitiao.evaluate.analysed import analyses, in_order
from weitiao.evaluate.report import write_report
from weitiao.stages.analyse import analyse
from weitiao.stages.kept_rows import keep
from weitiao.stages.run import Run
from weitiao.stages.validation_rows import FILE as VALIDATION

LABELS = ("a", "b", "c")
CHOOSING = 20_000


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


TASKS = {
    "labels": {"name": "text_classification", "labels": [*LABELS]},
    "numbers": {"name": "text_regression"},
    "answers": {"name": "sft"},
}


def judged_run(folder: Path, name: str, lines: list[Any], told: list[Any], results: dict[str, Any]) -> Run:
    """A run of which everything is there that an analysis and a page read."""
    recipe = {"model": "m", "task": TASKS[name]["name"], "method": "head", "data": {"train": "rows.csv"}}
    asked = Recipe.model_validate({**recipe, "output_dir": str(folder)}).model_dump(mode="json")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(asked), encoding="utf-8")
    (folder / "data").mkdir()
    (folder / "model").mkdir()
    card = {"task": TASKS[name], "method": {"name": "head"}, "files": {}}
    write_json(folder / "model" / "weitiao.json", card)
    records = [Record(row["file"], row["line"], {"text": row.get("text", "")}) for row in lines]
    write_json(folder / "facts.json", {"weitiao": "0", "fingerprints": {}})
    sides = {"train": records[:0], "validation": records[:CHOOSING], "test": records}
    dealt = {side: [record.id for record in rows] for side, rows in sides.items()}
    write_json(folder / "data" / "split.json", dealt)
    keep(RunFolder(folder), sides, {side: np.arange(len(rows)) for side, rows in sides.items()})
    both = [{**row, "tuned": one} for row, one in zip(lines, told, strict=True)]
    write_lines(folder / "predictions.jsonl", both)
    write_lines(folder / VALIDATION, both[:CHOOSING])
    write_json(folder / "results.json", results)
    return Run(RunFolder(folder))


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
            "labels": list(LABELS) if name == "labels" else [],
            "lower_is_better": [],
            "metrics": {"tuned": {"score": 0.5}},
            "verdict": {"learned": None, "sentence": "A bench."},
            "sections": sections,
        }
        with tempfile.TemporaryDirectory() as folder:
            run = judged_run(Path(folder), name, references, told, results)
            begun = time.process_time()
            analyse(run)
            analysed = time.process_time()
            page = write_report(run.path)
            sizes = {
                one: (run.path / one).stat().st_size / 1e6
                for one in (page.name, "results.json", "analysis.json")
            }
            print(
                f"{name:<8} sections {made - before:5.2f} s   analysis {analysed - begun:5.2f} s   "
                f"page {time.process_time() - analysed:5.2f} s   "
                + "   ".join(f"{one} {size:.2f} MB" for one, size in sizes.items()),
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
