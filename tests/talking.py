"""A toy language model whose answers hang on the question."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope="session")
def wordy(llama, tmp_path_factory) -> str:
    """The toy with weights so large that its answers hang on the question, and some end."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("wordy") / "model"
    shutil.copytree(llama, folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn_like(weight)
    model.save_pretrained(folder)
    return str(folder)
