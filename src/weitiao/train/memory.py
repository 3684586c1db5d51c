"""How much memory this process holds, and has held at most.

now()   ->  {"memory_mb": 790.1}, and "gpu_memory_mb" where CUDA was used; in MB of 10^6 bytes
peak()  ->  {"peak_memory_mb": 812.4}, and "peak_gpu_memory_mb"
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
STATM = Path("/proc/self/statm")


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
    if STATUS.exists():
        for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def trim() -> None:
    """Give back to the system what was freed, such as float32 weights that were cast; only glibc can be told to."""
    import ctypes

    if sys.platform == "linux":
        # Another C library has no such function, and keeps nothing worth the trouble.
        release = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if release is not None:
            release(0)
