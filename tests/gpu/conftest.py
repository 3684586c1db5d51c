"""Where the tests marked `gpu` run: on CUDA, or they are skipped; WEITIAO_GPU_TESTS_ON=cpu tries the tests themselves."""

from __future__ import annotations

import os

import pytest

# cuBLAS gives the same bits twice only so, and reads it when CUDA is first used.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.fixture(scope="session")
def device() -> str:
    """`cuda`, or `cpu` where that was asked for."""
    import torch

    if os.environ.get("WEITIAO_GPU_TESTS_ON") == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    return "cuda"
