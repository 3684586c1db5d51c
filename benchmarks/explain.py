"""What it costs to explain a review: CPU seconds, steps, and how well the shares add up.

    python -m benchmarks.explain [--rows 40] [--run RUN] [--json FILE]

MiniLM is tuned on film reviews (as `weitiao demo` does, a few steps: what an explanation costs does not depend on them), or a
run of one's own is taken.  Test rows are explained one by one, one thread, after the model is loaded and one explanation has
warmed everything up.  Seconds are of the CPU, user and system.

Exit code 1 when the median is above 2 seconds, or an explanation misses completeness by 1 % without a warning.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import machine, say
from benchmarks.worker import cpu_s

WISHED_S = 2.0


def main(words: Sequence[str] | None = None) -> None:
    """Train or load, explain, print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explain", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=40, help="that are explained (default: 40)")
    parser.add_argument("--run", help="a run folder of a classifier, instead of one that is trained")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    asked = parser.parse_args(words)
    import torch

    import weitiao as wt

    torch.set_num_threads(1)
    say(facts := machine(threads=1))
    with tempfile.TemporaryDirectory(prefix="weitiao-bench-") as folder:
        run = wt.load(asked.run) if asked.run else _trained(Path(folder) / "run")
        lines = (run.path / "data" / "test.jsonl").read_text(encoding="utf-8").splitlines()
        texts = [json.loads(line)["text"] for line in lines[: asked.rows + 1]]
        run.explain(texts[0])
        rows = [_explained(run, text) for text in texts[1:]]
    seconds = [row["cpu_s"] for row in rows]
    told = {
        "rows": len(rows),
        "tokens": statistics.median(row["tokens"] for row in rows),
        "median_s": statistics.median(seconds),
        "most_s": max(seconds),
        "steps": statistics.median(row["steps"] for row in rows),
        "gap": statistics.median(row["gap"] for row in rows),
        "warned": sum(row["warned"] for row in rows),
        "agreement": statistics.median(row["agreement"] for row in rows if row["agreement"] is not None),
    }
    for name, value in told.items():
        print(f"{name:10} {value:.4g}")
    if asked.json:
        asked.json.write_text(json.dumps({"machine": facts, **told, "each": rows}, indent=1))
    silent = any(row["gap"] >= 0.01 and not row["warned"] for row in rows)
    sys.exit(int(told["median_s"] > WISHED_S or silent))


def _trained(folder: Path) -> Any:
    import weitiao as wt

    return wt.train(
        model="minilm-l6",
        task="text_classification",
        data={"train": "film-reviews"},
        train={
            "max_steps": 30,
            "eval_strategy": "no",
            "save_strategy": "no",
            "load_best_model_at_end": False,
        },
        output_dir=str(folder),
    )


def _explained(run: Any, text: str) -> dict[str, Any]:
    before = cpu_s()
    (found,) = run.explain(text)
    took, (target,) = cpu_s() - before, found.targets
    return {
        "cpu_s": took,
        "tokens": len(run.tuned.processor(text)["input_ids"]),
        "steps": target.steps,
        "gap": target.gap,
        "agreement": target.agreement,
        "warned": bool([said for said in target.warnings if "%" in said]),
    }


if __name__ == "__main__":
    main()
