"""The device that a run is on: what it is, waiting for it, and what tensors take there.  On a CPU nothing waits or counts.

python -m benchmarks.device FILE  ->  {"gpu": "NVIDIA H100 80GB HBM3", "gpu_memory_mb": 85899.3, "driver": "580.65.06", ...}
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any


def wait() -> None:
    """Until all that was asked of the GPU is done."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def held_mb() -> float:
    """What tensors take on the GPU now, in MB of 10^6 bytes; the peak is counted anew from here."""
    import torch

    if not torch.cuda.is_available():
        return 0.0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated() / 1e6


def peak_mb() -> float:
    """The most that tensors took on the GPU at once."""
    import torch

    return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else 0.0


def facts() -> dict[str, Any]:
    """What figures on this device depend on; `gpu` is None where torch sees none."""
    import torch

    found: dict[str, Any] = {"gpu": None, "torch": torch.__version__, "cuda": torch.version.cuda}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "gpu": properties.name,
            "gpu_memory_mb": properties.total_memory / 1e6,
            "capability": ".".join(map(str, torch.cuda.get_device_capability())),
            "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
            "driver": _driver(),
        }
    return found


def _driver() -> str:
    if not shutil.which("nvidia-smi"):
        return "unknown"
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return said[0] if said else "unknown"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(facts()), encoding="utf-8")
