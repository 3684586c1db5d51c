import time

import pytest
import torch

from weitiao.train.pace import REAL, Pace, Work, pace


def test_work_is_done_one_after_the_other():
    step = Work(flops=100, moved=10, operations=4)
    assert Pace(flops=50, moved=5, operations=2).seconds(step) == pytest.approx(REAL * 6)
    assert step.times(3, calls=2) + step == Work(flops=400, moved=40, operations=12)


def test_a_product_takes_what_the_measured_rate_says():
    found = pace("cpu", torch.float32)
    left, right = torch.rand(1024, 1024), torch.rand(1024, 1024)
    best = 1e9
    for _ in range(5):
        started = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - started)
    assert 0.2 < 2 * 1024**3 / found.flops / best < 20, "a busy machine is slower by a few times, not by ten"
