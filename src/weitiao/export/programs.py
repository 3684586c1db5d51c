"""What programs of one pass (`torch.export`, TorchScript, ExecuTorch) have in common: for which models they can be had, and what lies beside them.

why_not(run)                   ->  why it cannot be had; empty when it can
written(run, folder, head, ..) ->  config.json, tokenizer.json or preprocessor_config.json, runner.py; `make` puts in the program
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from weitiao.core.files import disk, write_text
from weitiao.core.why import reason
from weitiao.export import pictures, runners
from weitiao.export.folded import folded, unfoldable

if TYPE_CHECKING:
    from weitiao.stages.run import Run

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json")
IMPORTS = """\
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
$imports
"""
HEAD = '''\
"""python runner.py $usage: this folder's model answers.  Needs torch, $needs and numpy, no network."""

'''
HEAD += (
    IMPORTS
    + """
HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = json.loads(Path(HERE, "config.json").read_text("utf-8"))
$opens
"""
)
"""Of a runner that torch alone asks; the line that puts the program into `MODEL` follows."""
ASKS = """\
def ask(inputs):
    with torch.inference_mode():
        said = MODEL(*(torch.from_numpy(inputs[name]) for name in $inputs))
    return {name: each.numpy() for name, each in zip($outputs, said)}


$answering"""


def why_not(run: Run) -> str:
    """What is no single pass, modules that cannot be folded, tokenizers of Python."""
    from weitiao.models.folders import tokenizer

    if run.task.generates:
        return reason("form_of_one_pass")
    if (why := unfoldable(run, sees=True)) or run.task.shape.pictures:
        return why
    slow = not getattr(tokenizer(str(run.folder.model)), "is_fast", False)
    return reason("form_slow_tokenizer") if slow else ""


def written(
    run: Run,
    folder: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    head: str,
    asks: str,
    make: Callable[..., None],
) -> None:
    """Write a form of one pass.

    Args:
        run: whose model.
        folder: that is there, and empty.
        inputs: names that the model is called with.
        outputs: names of what the task reads.
        head: of the runner, up to where it reads rows.
        asks: of the runner, from where it is asked.
        make: writes the program, given a folder of Transformers, the Auto class and what it is traced with.
    """
    with tempfile.TemporaryDirectory(prefix="weitiao-program-", dir=folder) as made:
        plain = Path(made) / "plain"
        plain.mkdir()
        folded(run, plain)
        with disk(folder):
            frame = pictures.frame_of(run, plain)
            make(plain, run.task.auto_class, inputs=inputs, outputs=outputs, frame=frame)
            for name in FILES:
                if (plain / name).is_file():
                    shutil.copy(plain / name, folder / name)
    reader = runners.reader(run)
    told = runners.answering(run, inputs=inputs, outputs=outputs) | reader.words
    write_text(folder / "runner.py", Template(head + reader.reads + asks).substitute(told))
