"""The memory that a training reports is its own."""

from __future__ import annotations

import subprocess
import sys

from weitiao.train.memory import peak, resident_bytes

ASKS = "from weitiao.train.memory import resident_bytes; print(resident_bytes())"
FAT = f"""
import subprocess, sys
{ASKS}
ballast = bytearray(300_000_000)
ballast[::1024] = b"x" * len(ballast[::1024])
print(resident_bytes())
print(subprocess.check_output([sys.executable, "-c", {ASKS!r}], text=True))
"""


def test_it_is_the_peak_and_not_what_a_large_parent_held():
    done = subprocess.run([sys.executable, "-c", FAT], capture_output=True, text=True, check=True)
    before, after, child = map(int, done.stdout.split())
    assert 1e6 < before < 1e8
    assert after - before > 2.9e8
    assert child < 1e8


def test_it_is_told_in_mb():
    assert set(peak()) <= {"peak_memory_mb", "peak_gpu_memory_mb"}
    assert 50 < peak()["peak_memory_mb"] <= resident_bytes() / 1e6 < 100_000
