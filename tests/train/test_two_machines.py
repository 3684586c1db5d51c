"""Two machines on one run, begun by what `weitiao launch train` writes: two network namespaces, joined by a cable."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import weitiao as wt
from tests.train.test_loop import events, steps, weights

pytestmark = pytest.mark.whole  # starts processes that import torch

EXACT = {"max_grad_norm": 0, "learning_rate": 1e-3, "save_steps": 3, "num_train_epochs": 4, "eval_steps": 50}


@dataclass(frozen=True)
class Machine:
    """A network namespace, and the end of the cable in it."""

    name: str
    cable: str
    address: str

    def start(self, script: Path, *, meeting: str) -> subprocess.Popen:
        """Its part of the run."""
        # Names of real machines lead to them; these have none.
        own = {
            "GLOO_SOCKET_IFNAME": self.cable,
            "PET_LOCAL_ADDR": self.address,
            "PET_RDZV_CONF": f"is_host={str(self.address == meeting).lower()}",
        }
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, str(script)],
            env={**os.environ, **own, "MEETING": f"{meeting}:29500"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def lose_power(self) -> None:
        """Everything that runs on it ends at once."""
        for pid in ip("netns", "pids", self.name).split():
            os.kill(int(pid), signal.SIGKILL)


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def machines() -> Iterator[list[Machine]]:
    """Two of them; what still runs on them in the end is ended."""
    own = os.getpid()
    both = [Machine(f"weitiao-{own}-{n}", f"wt{own}-{n}", f"10.77.0.{n}") for n in (1, 2)]
    try:
        for one in both:
            ip("netns", "add", one.name)
        first, second = both
        ip(
            "link",
            "add",
            first.cable,
            "netns",
            first.name,
            "type",
            "veth",
            "peer",
            "name",
            second.cable,
            "netns",
            second.name,
        )
        for one in both:
            ip("-n", one.name, "addr", "add", f"{one.address}/24", "dev", one.cable)
            for device in ("lo", one.cable):
                ip("-n", one.name, "link", "set", device, "up")
    except (OSError, subprocess.CalledProcessError) as error:
        _take_down(both)
        pytest.skip(f"no network namespaces can be made here: {getattr(error, 'stderr', '') or error}")
    yield both
    _take_down(both)


def _take_down(machines: list[Machine]) -> None:
    for one in machines:
        if Path("/run/netns", one.name).exists():
            one.lose_power()
            ip("netns", "del", one.name)


def test_one_machine_loses_power_and_the_run_of_two_ends_with_the_same_bytes(
    converse, two_processes, machines, tmp_path
):
    two_processes.train(converse(output_dir=str(tmp_path / "two"), **EXACT))
    recipe = converse(output_dir=str(tmp_path / "apart"), **EXACT)
    file = tmp_path / "apart.yaml"
    file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    script = wt.launch_train(file, on="torchrun", nodes=2, out=tmp_path / "files").path / "run.sh"
    first, second = machines
    running = [one.start(script, meeting=first.address) for one in machines]
    wait_for_step(tmp_path / "apart", 8, running)
    second.lose_power()
    running[1].communicate(timeout=30)
    running[1] = second.start(script, meeting=first.address)
    for process in running:
        said = process.communicate(timeout=200)[0]
        assert process.returncode == 0, said
    assert steps(tmp_path / "apart") == steps(tmp_path / "two")
    apart, two = weights(tmp_path / "apart"), weights(tmp_path / "two")
    assert all(apart[name].equal(two[name]) for name in two)


def wait_for_step(folder: Path, step: int, running: list[subprocess.Popen]) -> None:
    for _ in range(2400):
        if len(events(folder, "step")) >= step:
            return
        for process in running:
            assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    pytest.fail("the run did not get that far")
