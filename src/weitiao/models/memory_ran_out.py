"""Was it memory that did not suffice?

ran_out(error)  ->  True for torch.OutOfMemoryError, MemoryError, and what the CPU's allocator raises in their place
"""

from __future__ import annotations


def ran_out(error: BaseException) -> bool:
    """Whether that error says so."""
    import torch

    # The CPU's allocator has no exception of its own.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def give_back(device: str) -> None:
    """Let a GPU have back what was freed, so that smaller pieces find room."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.empty_cache()
