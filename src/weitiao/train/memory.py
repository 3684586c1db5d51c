"""How much memory this process holds, and has held at most.

now()   ->  {"memory_mb": 790.1}, and "gpu_memory_mb" where CUDA was used; in MB of 10^6 bytes
peak()  ->  {"peak_memory_mb": 812.4}, and "peak_gpu_memory_mb"
free("cpu")  ->  19_200_000_000 bytes that could still be taken
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")
STATM = Path("/proc/self/statm")
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
LIMITS = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Folder of a control group -> its files with the limit and with what is taken, and the line of files not in use."""

# malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 32 << 20
"""The largest size up to which glibc itself puts memory on the heap (mallopt(3))."""
MAPPED, KEPT = 4 << 20, 2_000_000_000


def now() -> dict[str, float]:
    """The resident size, and what tensors take on the GPU; whatever the system tells."""
    import torch

    found = {}
    try:
        pages = int(STATM.read_text(encoding="ascii").split()[1])
        found["memory_mb"] = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError, IndexError, AttributeError):
        pass  # only Linux tells it so
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["gpu_memory_mb"] = torch.cuda.memory_allocated() / 1e6
    return found


def peak() -> dict[str, float]:
    """The largest resident size so far, and the most that tensors took on the GPU; whatever the system tells."""
    import torch

    found = {}
    if size := resident_bytes():
        found["peak_memory_mb"] = size / 1e6
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["peak_gpu_memory_mb"] = torch.cuda.max_memory_allocated() / 1e6
    return found


def resident_bytes() -> int:
    """The largest resident size of this program so far; 0 where the system does not tell."""
    # Not getrusage where Linux tells better: its ru_maxrss is handed on over fork and exec (fs/exec.c, exec_mmap), so
    # that a small process started by a large one would report the large one's peak.  VmHWM is this program's own.
    if (size := _told(STATUS, "VmHWM")) is not None:
        return size
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def trim() -> None:
    """Give back to the system what was freed, such as float32 weights that were cast; only glibc can be told to."""
    if (libc := _libc()) is not None:
        libc.malloc_trim(0)


GROWN = 1.15
"""So many times what a step needs may be held before all that is free is given back."""


@dataclass
class Room:
    """Gives back what steps of other sizes left behind.

    The C library keeps freed memory in pieces, of which a batch of another size can use only some, and between which lie
    things that stay: where hardly two steps are of one size (rows end to end) a process held three times as much after 500
    steps as at first.  Giving all of it back costs a step some percent, for its pages come anew.  So it is done before a
    batch that is larger than all so far, which is rare (about ln n times in n batches), and where much more is held than
    was behind the largest step that began with nothing kept.
    """

    largest: int = 0
    """Positions of the largest micro-batch so far, padding included."""
    needed_mb: float = 0.0
    """Held behind a step that began with nothing kept, at most."""
    held_mb: float = 0.0
    """Behind the last step."""
    given_back: bool = False
    """Since the last step?"""

    def make(self, positions: int) -> None:
        """Before a micro-batch."""
        if positions > self.largest or self.held_mb > GROWN * self.needed_mb:
            self.largest, self.held_mb, self.given_back = max(positions, self.largest), 0.0, True
            trim()

    def seen(self, held: Mapping[str, float]) -> None:
        """After a step: what `now` says."""
        self.held_mb = held.get("memory_mb", 0.0)
        if self.given_back:
            self.needed_mb, self.given_back = max(self.needed_mb, self.held_mb), False


@contextmanager
def saving(*, wanted: bool) -> Iterator[None]:
    """While it is held, glibc maps every tensor of some size by itself, and gives it back when it is freed.

    Recomputation leaves pieces of freed memory between the tensors that stay, which larger ones cannot use: SmolLM2 with
    LoRA held 2,320 MB in place of 1,490.  Mapping costs time: 6 % there, a third where tensors are large and blocks few.

    Args:
        wanted: else nothing happens.
    """
    libc = _libc() if wanted else None
    if libc is None:
        yield
        return
    try:
        libc.mallopt(M_MMAP_THRESHOLD, MAPPED)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)
        yield
    finally:
        # As glibc's own adjusting would have left them: it ends for good when they are set.
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * LARGEST)


def _libc() -> Any:
    """glibc, or None: another C library has no such functions, and keeps nothing worth the trouble."""
    import ctypes

    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None


def free(device: str) -> int | None:
    """Bytes that may still be taken there: by tensors on a GPU, else by this process; None where the system is silent.

    Of main memory it is what Linux could give without swapping, or what is left of a container's limit where that is
    less.
    """
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    found = [
        _told(MEMINFO, "MemAvailable"),
        *(_left(CGROUP / folder, *names) for folder, names in LIMITS.items()),
    ]
    return min((size for size in found if size is not None), default=None)


def _told(file: Path, name: str) -> int | None:
    """Bytes of `name:  123 kB` in a file of Linux; None where there is no such file or line."""
    if not file.exists():
        return None
    lines = file.read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def _left(folder: Path, limit: str, used: str, stat: str) -> int | None:
    """What a control group may still take; None without a limit."""
    try:
        most, taken = (int((folder / name).read_text(encoding="ascii")) for name in (limit, used))
        known = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):  # no such group, or "max"
        return None
    # Files that were read and are not in use are counted as taken, and given back when memory is asked for.
    return most - taken + next((int(line.split()[1]) for line in known if line.split()[0] == stat), 0)
