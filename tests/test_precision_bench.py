"""The bench of bfloat16 says yes only when every point of the curve and the held-out rows do.

figures of three runs by hand  ->  compare;    `--tiny` as a command  ->  its table and its JSON (`whole`)
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import precision
from benchmarks.precision import ADDED, OURS, REFERENCE, WAYS

ROOT = Path(__file__).parents[1]
STEPS = 20


def runs(**ours: object) -> dict[str, dict[str, object]]:
    """Three runs alike, but for what is said of ours."""
    same = {"loss": [2.0] * STEPS, "trained": [9] * STEPS, "rows": [[0]] * STEPS, "random": ["a"] * STEPS}
    rest = {"held_out": 2.0, "judged": 2.0, "untuned": 3.0, "train_rows": 20, "held_out_rows": 4}
    return {way: {**same, **rest, **(ours if way == OURS else {})} for way in WAYS}


@pytest.mark.parametrize(
    ("ours", "within"),
    [
        ({}, True),
        ({"loss": [2.0] * 10 + [2.09] + [2.0] * 9}, True),  # one step 4.5 % off, the mean of five 0.9 %
        ({"loss": [2.0] * 10 + [2.11] + [2.0] * 9}, False),  # 1.1 % off for five points of sixteen
        ({"loss": [2.0] * 15 + [1.97] * 5}, False),  # too low is no better
        ({"held_out": 2.019}, True),
        ({"held_out": 2.021}, False),
    ],
)
def test_no_point_of_the_curve_and_not_the_held_out_loss_may_be_further_off(ours, within):
    found = precision.compare(runs(**ours))["ways"]
    assert found[OURS]["within"] is within
    assert found[ADDED]["within"]


def test_differences_are_shares_of_the_loss_in_float32():
    found = precision.compare(runs(loss=[2.01] * 10 + [1.99] * 10))["ways"][OURS]
    assert found["largest_difference"] == pytest.approx(0.005)
    assert found["mean_difference"] == pytest.approx((12 * 0.005 + 2 * 0.001 + 2 * 0.003) / 16)
    assert found["mean_signed_difference"] == pytest.approx(0)


def test_the_gain_is_the_share_of_the_fall_in_float32_that_is_seen():
    assert precision.compare(runs(held_out=2.25))["ways"][OURS]["gain"] == pytest.approx(0.75)


@pytest.mark.parametrize("what", ["rows", "random", "trained"])
def test_runs_that_were_not_the_same_training_are_not_compared(what):
    with pytest.raises(SystemExit, match=what):
        precision.compare(runs(**{what: [0] * STEPS}))


@pytest.mark.parametrize(("off", "code"), [(0.0, None), (0.03, 1)])
def test_the_exit_code_is_the_verdict(monkeypatch, capsys, off, code):
    found = runs(loss=[2.0 + off] * STEPS)
    monkeypatch.setattr(precision, "run", lambda job, way, folder, **rest: found[way])
    if code:
        with pytest.raises(SystemExit) as left:
            precision.main(["--jobs", "chat"])
        assert left.value.code == code
    else:
        precision.main(["--jobs", "chat"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[-3:]] == ["-", "no" if code else "yes", "yes"]


@pytest.mark.whole
def test_tiny_gives_a_line_for_every_way_and_the_loss_of_every_step(tmp_path):
    command = [sys.executable, "-m", "benchmarks.precision", "--tiny", "--jobs", "reviews"]
    file = tmp_path / "figures.json"
    done = subprocess.run([*command, "--json", str(file)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in WAYS.values():
        assert f"\n{line}  " in done.stdout
    job = json.loads(file.read_text(encoding="utf-8"))["jobs"]["reviews"]
    steps = len(job["same"]["trained"])
    assert steps > 1
    curves = {way: found["loss"] for way, found in job["ways"].items()}
    assert list(curves) == list(WAYS)
    assert {len(curve) for curve in curves.values()} == {steps}
    # In earnest three ways: no two of them compute the same numbers.
    assert len({tuple(curve) for curve in curves.values()}) == len(WAYS)
    assert job["ways"][REFERENCE]["largest_difference"] == 0
