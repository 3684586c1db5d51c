"""How many threads compute, and how they wait for one another: said in the environment, before torch is loaded.

    settle(os.environ)      ->  OMP_WAIT_POLICY, GOMP_SPINCOUNT, and OMP_NUM_THREADS where a quota leaves less than all cores
    available()             ->  2

OpenMP's threads meet at the end of every product.  Left alone, those that wait spin: on an idle machine that is the
quickest way, but where other work fills the cores (a browser, a second run, a neighbour in the same container) they
spin away the very time that the last one needs, and a run takes many times as long.  So they spin shortly and then
sleep.  Neither changes a number.  And OpenMP counts the machine's cores, not the share of them that a container may
use (a cgroup's quota): with more threads than that all are stopped together, over and over.

Environment variables are the only door: the OpenMP library reads them once, when torch loads it.  What the user has
set stays, and a torch that is loaded already is left as it is.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

SPINS = "3000"
"""Looks at a barrier before a thread sleeps, some microseconds: as quick as spinning on an idle machine, and as
sleeping at once on a busy one (notes/LOG.md, "Threads that wait")."""


def settle(environ: MutableMapping[str, str]) -> None:
    """Set what the user has not set."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & set(environ):
        environ["OMP_WAIT_POLICY"] = "PASSIVE"  # every OpenMP library knows this one
        environ["GOMP_SPINCOUNT"] = SPINS
    if available() < _cores():
        environ.setdefault("OMP_NUM_THREADS", str(available()))


def share(environ: MutableMapping[str, str], processes: int) -> None:
    """Set the threads of each of several processes, which would take all cores each; a number of the user's stays."""
    if environ.get("OMP_NUM_THREADS", ours := str(available())) == ours:
        environ["OMP_NUM_THREADS"] = str(max(1, available() // processes))


def available(root: Path = Path("/")) -> int:
    """Cores that this process may keep busy: those it may run on, or its quota of them, rounded up.

    Args:
        root: where `proc` and `sys` are.
    """
    quotas = [math.ceil(quota) for quota in _quotas(root)]
    return max(1, min([_cores(), *quotas]))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Of the groups that this process is in, and those around them, in cores (Linux; `man 7 cgroups`)."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        for home in (mounted, mounted / "unified") if not controllers else (mounted / controllers,):
            if controllers and "cpu" not in controllers.split(","):
                continue
            own = home / path.lstrip("/")
            # In a container the path may be the host's, while only the group itself is mounted.
            for group in {home, own, *(each for each in own.parents if each.is_relative_to(home))}:
                yield from _quota(group)


def _quota(group: Path) -> Iterator[float]:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):  # version 2, version 1
        try:
            quota, period = " ".join((group / name).read_text() for name in names).split()
            if quota not in ("max", "-1"):
                yield int(quota) / int(period)
        except (OSError, ValueError):
            continue  # not of this version, or none that one could reckon with
