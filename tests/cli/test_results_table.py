"""The table of scores, in terminals of any width: no number is cut."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from weitiao.cli.show import results_table

SYSTEMS = ("tuned", "untuned", "tfidf", "majority")
METRICS = ("accuracy", "f1", "balanced_accuracy", "subset_accuracy", "mcc")


def results() -> dict:
    """Five metrics of four systems, every number its own."""
    metrics = {
        system: {
            name: {"value": v, "low": round(v - 0.0717, 4), "high": round(v + 0.0513, 4)}
            for name, v in ((name, 0.3 + 0.1 * i + 0.01 * j) for j, name in enumerate(METRICS))
        }
        for i, system in enumerate(SYSTEMS)
    }
    metrics["majority"]["mcc"] = {"value": -0.05, "low": -0.111, "high": -0.012}
    return {"rows": 63, "metrics": metrics}


def drawn(width: int) -> str:
    heard = io.StringIO()
    Console(file=heard, width=width, soft_wrap=True).print(results_table(results(), width=width))
    return heard.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_no_number_is_cut(width):
    text = drawn(width)
    assert "…" not in text
    for system in SYSTEMS:
        for found in results()["metrics"][system].values():
            assert f"{found['value']:.3f}" in text
            assert f"{found['low']:.3f}-{found['high']:.3f}" in text


def test_a_metric_is_a_column_where_there_is_room_and_else_a_line():
    first = {
        width: next(line for line in drawn(width).splitlines() if "tuned" in line) for width in (80, 140)
    }
    assert "majority" in first[80], "a column for each system"
    assert "majority" not in first[140], "a line for each system"
    assert all(len(line) <= 140 for line in drawn(140).splitlines())
