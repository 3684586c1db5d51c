"""The frozen trunk of several runs of one study computed once: whoever comes first keeps it, the others read it.

    shared(folder, print_of(...), make)  ->  the file, the tokens of its rows, and whether it was made now

The print holds everything that decides the states: the frozen weights themselves, byte by byte, the rows, the blocks, how rows
lie in batches, precision, versions and code.  Another run's states are those that this one would compute, bit for bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from weitiao.core.contracts import Example
from weitiao.data.code import code_print


def print_of(model: nn.Module, examples: Sequence[Example], task: type, *facts: Any) -> str:
    """By what states of these rows are known again.

    Args:
        model: all of whose weights that do not train count.
        examples: the rows.
        task: its class, and the code behind it.
        facts: what else decides.
    """
    found = hashlib.sha256()
    versions = [version("torch"), version("transformers"), torch.get_num_threads(), code_print(task)]
    found.update(json.dumps([*facts, *versions]).encode())
    frozen = [(name, weight) for name, weight in model.named_parameters() if not weight.requires_grad]
    for name, numbers in [*frozen, *model.named_buffers()]:
        found.update(f"{name} {numbers.dtype} {tuple(numbers.shape)} ".encode() + _bytes(numbers))
    for example in examples:
        for name in sorted(example.inputs):
            values = np.asarray(example.inputs[name])
            found.update(
                f"{name} {values.dtype} {values.shape} ".encode() + np.ascontiguousarray(values).tobytes()
            )
    return found.hexdigest()[:40]


def _bytes(numbers: Tensor) -> bytes:
    return numbers.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().tobytes()


def shared(folder: Path, print_: str, make: Callable[[Path], Tensor]) -> tuple[Path, Tensor, bool]:
    """The file of states, the tokens by which its rows are known, and whether they were made now.

    A run that is making them is waited for; one that was killed meanwhile has left nothing that counts.

    Args:
        folder: of the study.
        print_: as `print_of` says.
        make: writes the states into a file, and gives the tokens.
    """
    folder.mkdir(parents=True, exist_ok=True)
    states, tokens = folder / f"{print_}.states", folder / f"{print_}.tokens.npy"
    with FileLock(folder / f"{print_}.lock"):
        if made := not tokens.is_file():
            ids_N = make(folder / f"{print_}.tmp")
            (folder / f"{print_}.tmp").replace(states)
            with (folder / f"{print_}.tokens.tmp").open("wb") as file:
                np.save(file, ids_N.numpy())
            (folder / f"{print_}.tokens.tmp").replace(tokens)
    return states, torch.from_numpy(np.load(tokens)), made
