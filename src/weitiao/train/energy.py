"""What energy the machine's processors take, where Linux tells it (RAPL, of Intel and AMD).

    before = counters()        {"/sys/class/powercap/intel-rapl:0": (12_345_678, 262_143_328_850)}
    taken(before)          ->  {"energy_j": 41.3}, and nothing where nobody tells

Of whole processors and their memory: what other programs do meanwhile counts, and a GPU does not.
https://docs.kernel.org/power/powercap/powercap.html
"""

from __future__ import annotations

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
PARTS = ("package", "dram")
"""Names of zones that do not hold one another; `core` and `uncore` lie in `package`, and all of them in `psys`."""

Counters = dict[Path, tuple[int, int]]
"""By zone: microjoules so far, and at how many the counter begins anew."""


def counters(root: Path = POWERCAP) -> Counters:
    """How far every counter is; none where there are none, or where they may not be read.

    Args:
        root: where the zones lie.
    """
    found: Counters = {}
    for zone in sorted(root.glob("intel-rapl:*")):
        try:
            if (zone / "name").read_text(encoding="ascii").startswith(PARTS):
                numbers = (zone / "energy_uj", zone / "max_energy_range_uj")
                now, range_uj = (int(file.read_text(encoding="ascii")) for file in numbers)
                found[zone] = (now, range_uj)
        except (OSError, ValueError):  # since 2020 many systems let root alone read them
            continue
    return found


def taken(before: Counters, root: Path = POWERCAP) -> dict[str, float]:
    """Joules since then, under the name that a line of the log has; empty where nothing is told.

    Args:
        before: the counters at that time, less than one turn of a counter ago (about an hour at full power).
        root: where the zones lie.
    """
    if not before:
        return {}
    now = counters(root)
    if now.keys() != before.keys():
        return {}
    steps = ((now[zone][0] - start) % (range_uj + 1) for zone, (start, range_uj) in before.items())
    return {"energy_j": sum(steps) / 1e6}
