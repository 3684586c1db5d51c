"""How often a report names a slice where there is none, and where one of eight points is planted.

python -m benchmarks.slices [REPORTS]  ->  a line a kind of rows: of so many reports, how often a slice was named

Parts are those of every report (length, file, language, label) and two columns; rows are drawn by numpy, nothing is trained.
"""

from __future__ import annotations

import sys

import numpy as np

from weitiao.core import registry
from weitiao.evaluate.analysis.parts import parts_of
from weitiao.evaluate.analysis.slices import slices

ROWS = {
    "200 rows, 90 % right": (200, 0.9),
    "1,000 rows, 80 % right": (1000, 0.8),
    "1,000 rows, 98 % right": (1000, 0.98),
}
PLANTED = 2000
POINTS = 0.08


def named(seed: int, *, rows: int, right: float, planted: float = 0.0) -> list[str]:
    """The slices that one report names.

    Args:
        seed: of the rows.
        rows: how many.
        right: the share that is right.
        planted: by how much less of one shop in four.
    """
    rng = np.random.default_rng(seed)
    told = [
        {"text": "a" * int(size), "file": f"{'ab'[int(file)]}.csv", "line": line, "label": "xyz"[int(label)]}
        for line, (size, file, label) in enumerate(
            zip(
                rng.integers(10, 400, rows),
                rng.integers(2, size=rows),
                rng.integers(3, size=rows),
                strict=True,
            )
        )
    ]
    shop, year = rng.choice(list("abcd"), rows), rng.integers(2000, 2026, rows)
    hits = rng.random(rows) < right - planted * (shop == "c")
    rows_NK = np.stack([hits.astype(float), np.ones(rows)], axis=1)
    metric = registry.build("metric", {"name": "accuracy"})
    parts = parts_of(told, {"shop": shop.tolist(), "year": year.tolist()})
    words = {"confidence": 0.95, "resamples": 200, "seed": seed}
    found = slices(parts, rows_NK, "accuracy", metric, list(range(rows)), **words)
    return [f"{one['by']} {one['name']}" for one in found["slices"] if one["named"]]


def main(reports: int = 400) -> int:
    """Print the shares; 1 where without an effect more than one report in twenty names one, beyond chance."""
    bad = 0
    for kind, (rows, right) in ROWS.items():
        count = sum(bool(named(seed, rows=rows, right=right)) for seed in range(reports))
        # Three standard errors of one in twenty.
        bad += count / reports > 0.05 + 3 * (0.05 * 0.95 / reports) ** 0.5
        print(f"no effect, {kind}: {100 * count / reports:.1f} % of {reports} reports name a slice")
    some = reports // 4
    count = sum("shop c" in named(seed, rows=PLANTED, right=0.9, planted=POINTS) for seed in range(some))
    print(
        f"8 points planted in a quarter of {PLANTED:,} rows: named in {100 * count / some:.1f} % of {some} reports"
    )
    return int(bad or count < 0.8 * some)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
