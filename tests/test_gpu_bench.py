"""The GPU's script ends in time whatever hangs, says what is missing, and goes its whole way on a CPU (`whole`)."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.jobs import GPU_JOBS, GPU_SYSTEMS, SETTINGS

ROOT = Path(__file__).parents[1]


def run(seconds: float, memory: float, **more: object) -> dict[str, object]:
    """Figures of one run by hand."""
    same = {"steps": 40, "targets": 900, "parameters": 7, "tokens": 1000, "train_cpu_s": 1.0, "loss": 2.0}
    return {**same, "train_wall_s": seconds, "peak_gpu_mb": memory, **more}


def test_a_ratio_compares_runs_of_one_round():
    names = {"weitiao": "weitiao", "trl-gpu": "TRL"}
    runs = {"weitiao": [run(1.0, 100), run(10.0, 100)], "trl-gpu": [run(2.0, 300), run(30.0, 300)]}
    said = gpu.table("gpu-chat", runs, names)
    (line,) = (line.split() for line in said.splitlines() if line.startswith("TRL"))
    # 1000 tokens in 2 and in 30 s; 2 and 3 times ours, each by the run beside it
    assert line == ["TRL", "267", "16.00", "2.50", "300", "3.00", "1.00", "2.0000", "2"]
    assert "NOT THE SAME" not in said
    runs["trl-gpu"] = [run(2.0, 300, targets=901)]
    assert "NOT THE SAME JOB: targets" in gpu.table("gpu-chat", runs, names)
    assert "TRL" in gpu.table("gpu-chat", {"trl-gpu": [run(2.0, 0)]}, names), (
        "ours ran out of time, or no GPU"
    )


def session(folder: Path, parts: dict[str, object]) -> gpu.Session:
    """Parts by hand: a function each, or a program."""
    made = gpu.Session(folder, gpu.Runner(dict(os.environ)), tiny=True, device="cpu")
    for name, part in parts.items():
        program = ("-S", "-c", part) if isinstance(part, str) else None
        vars(made)[name] = (lambda program=program: made.run(*program)) if program else part
    return made


@pytest.mark.whole
def test_what_hangs_is_ended_with_all_that_it_started_and_the_others_go_on(tmp_path, capsys):
    child = "import time, pathlib; time.sleep(3.2); pathlib.Path({!r}).touch()".format(
        str(tmp_path / "lived")
    )
    hangs = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {child!r}])"
    done = []
    parts = {
        "machine": lambda: done.append("machine"),
        "tests": hangs,
        "models": "raise SystemExit('no disk')",
        "numerics": lambda: done.append("numerics"),
    }
    began = time.monotonic()
    failed = gpu.go(session(tmp_path, parts), ["tests", "numerics"], until=began + 5.0)
    assert time.monotonic() - began < 5.0
    assert done == ["machine", "numerics"]
    assert list(failed) == ["tests", "models"]
    assert "out of time" in failed["tests"]
    assert "no disk" in failed["models"]
    assert "no disk" in capsys.readouterr().out
    time.sleep(max(0.0, began + 4.5 - time.monotonic()))
    assert not (tmp_path / "lived").exists()


def bench(folder: Path, *, fails: str) -> gpu.Session:
    """A session in which workers are by hand: one of them fails."""

    class Workers(gpu.Runner):
        def __call__(self, *words: object, **_: object) -> str:
            *_, system, _, place, _ = words
            if system == fails:
                raise gpu.Failed("no memory")
            Path(str(place), "facts.json").write_text(json.dumps(run(1.0, 100)), encoding="utf-8")
            return ""

    return gpu.Session(folder, Workers({}, deadline=math.inf), tiny=False, device="cuda")


def test_who_is_not_there_or_fails_is_said_and_the_others_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "find_spec", lambda name: None if name == "unsloth" else name)
    made = bench(tmp_path, fails="trl-gpu")
    made.bench("gpu-chat")
    said = capsys.readouterr().out
    assert "Unsloth, bf16, no recomputation: not measured, not installed: unsloth" in said
    assert "gpu-chat, round 1: no memory" in said
    assert "round 2: no memory" not in said
    assert {system: len(runs) for system, runs in made.found["gpu-chat"].items()} == {"weitiao": gpu.ROUNDS}
    (tmp_path / "ours").mkdir()
    with pytest.raises(gpu.Failed, match="ours did not run"):
        bench(tmp_path / "ours", fails="weitiao").bench("gpu-reviews")


@pytest.mark.whole
def test_a_further_round_is_begun_only_where_it_fits(tmp_path):
    """The first took 0.2 s a system: with 0.6 s there is one round of two, with 5 s there are all."""
    for seconds, rounds in ((0.6, 1), (5.0, gpu.ROUNDS)):
        (place := tmp_path / str(seconds)).mkdir()
        made = bench(place, fails="unsloth")
        quick = made.run

        def slow(*words: object, quick: gpu.Runner = quick, **more: object) -> str:
            time.sleep(0.2)
            return quick(*words, **more)

        made.run = type(
            "Slow", (), {"__call__": staticmethod(slow), "deadline": time.monotonic() + seconds}
        )()
        made.bench("gpu-reviews")
        assert {len(runs) for runs in made.found["gpu-reviews"].values()} == {rounds}


def test_every_system_of_a_gpu_job_has_its_settings():
    assert {system for systems in GPU_SYSTEMS.values() for system in systems} <= set(SETTINGS)
    assert {job.kind for job in GPU_JOBS.values()} == set(GPU_SYSTEMS)


def started(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.whole
def test_without_a_gpu_it_says_so_in_both_languages_and_all_is_well():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    done = started()
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert "no GPU is seen" in line
    assert "未检测到 GPU" in line


@pytest.mark.whole
def test_the_script_goes_its_way_on_a_cpu(tmp_path):
    """The tests marked `gpu` too, which nobody else runs where there is none."""
    words = ("--tiny", "--device", "cpu", "--parts", "tests", "reviews", "--json", str(tmp_path / "all.json"))
    done = started(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert found["failed"] == {}
    assert found["tests"] == "passed"
    (ours,), (theirs,) = found["gpu-reviews"].values()
    assert ours["steps"] == 2
    assert ours["train_wall_s"] > 0
    assert [theirs[key] for key in gpu.SAME] == [ours[key] for key in gpu.SAME]
