"""The memory that a training reports is its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import weitiao as wt
from tests.conftest import reviews, small_run, write_csv
from weitiao.train import memory
from weitiao.train.memory import _libc, peak, resident_bytes

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


RAGGED = """
import random, sys, torch
from weitiao.train.memory import Room, now
torch.set_num_threads(1)
chance, room, held = random.Random(0), Room(), []
layers = [torch.nn.Sequential(torch.nn.Linear(256, 1024), torch.nn.GELU(), torch.nn.Linear(1024, 256)) for _ in range(6)]
net, head = torch.nn.Sequential(*layers), torch.nn.Linear(256, 8000)
for step in range(30):
    tokens, learnt = chance.randrange(400, 1200), chance.randrange(100, 300)
    if sys.argv[1] == "room":
        room.make(tokens)
    loss = head(net(torch.randn(tokens, 256))[:learnt]).logsumexp(-1).sum()
    loss.backward()
    net.zero_grad(), head.zero_grad()
    room.seen(now())
    held.append(now()["memory_mb"])
print(sum(held[12:]) / len(held[12:]) - held[0])
"""


@pytest.mark.skipif(_libc() is None, reason="only glibc can be told")
@pytest.mark.whole  # two processes that import torch, and a training of some seconds each
def test_steps_of_many_sizes_hold_no_more_the_more_there_are():
    grown = {}
    for word in ("room", "plain"):
        command = [sys.executable, "-c", RAGGED, word]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        grown[word] = float(done.stdout)
    assert grown["room"] < 0.7 * grown["plain"], "MB on average, beyond the first step; half of it was seen"


@pytest.mark.skipif(_libc() is None, reason="only Linux tells")
def test_the_loop_gives_back_what_is_held_beyond_need(bert, tmp_path):
    seen = []

    class Need(wt.Watcher):
        def on_step(self, training):
            seen.append(training.room.needed_mb)
            training.room.needed_mb = (
                1.0  # far more is held: it is given back before the next batch, and measured
            )

    rows = write_csv(tmp_path / "rows.csv", reviews(60))
    recipe = small_run(bert, "text_classification", rows, tmp_path / "run", batch=8, judge={})
    quick = {"max_steps": 3, "eval_strategy": "no", "load_best_model_at_end": False}
    wt.train(recipe(**quick), watchers=[Need()])
    assert len(seen) == 3
    assert min(seen) > 50


HOLES = """
import sys, torch
from weitiao.train.memory import now, saving
torch.ones(7_000_000)  # mapped, and freed: from here on tensors of this size lie on the heap
with saving(wanted=sys.argv[1] == "saving"):
    before = now()["memory_mb"]
    made = [torch.ones(1_500_000) for _ in range(80)]
    kept = made[::2]
    del made
    print(now()["memory_mb"] - before)
"""


@pytest.mark.skipif(_libc() is None, reason="only glibc can be told")
@pytest.mark.whole  # two processes that import torch
def test_what_is_freed_between_tensors_that_stay_is_given_back():
    held = {}
    for word in ("saving", "plain"):
        done = subprocess.run([sys.executable, "-c", HOLES, word], capture_output=True, text=True, check=True)
        held[word] = float(done.stdout)
    assert 230 < held["saving"] < 290, "forty tensors of 6 MB"
    assert held["plain"] > 400


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux tells it so")
def test_free_memory_is_what_the_system_or_a_container_leaves(tmp_path, monkeypatch):
    plain = memory.free("cpu")
    assert 1e8 < plain < 1e13
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    for name, text in {
        "memory.max": "900000000",
        "memory.current": "700000000",
        "memory.stat": "anon 1\ninactive_file 50000000",
    }.items():
        (tmp_path / name).write_text(text)
    assert memory.free("cpu") == min(plain, 250_000_000)
    (tmp_path / "memory.max").write_text("max")
    assert memory.free("cpu") > 1e8
