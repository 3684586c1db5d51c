"""A program of `torch.export`: what the model computes, without the code that it was written in.

run  ->  export/pt2/{model.pt2, config.json, tokenizer.json, runner.py}
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, ClassVar, Literal

from weitiao.core.files import disk, write_text
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.export import pictures, runners
from weitiao.export.folded import folded, unfoldable
from weitiao.export.form import Form
from weitiao.export.graphs import programmed

if TYPE_CHECKING:
    from weitiao.stages.run import Run

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json")
HEAD = '''\
"""python runner.py $usage: this folder's model answers.  Needs torch, $needs and numpy, no network."""

import json
import os
import sys

import numpy as np
import torch
$imports

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = json.load(open(os.path.join(HERE, "config.json"), encoding="utf-8"))
$opens
MODEL = torch.export.load(os.path.join(HERE, "model.pt2")).module()
'''
ASKS = """\
def ask(inputs):
    with torch.inference_mode():
        said = MODEL(*(torch.from_numpy(inputs[name]) for name in $inputs))
    return {name: each.numpy() for name, each in zip($outputs, said)}


$answering"""


@register("form", "pt2")
@dataclass(frozen=True)
class Pt2(Form):
    """A program of `torch.export`."""

    dtype: Literal["fp32"] = "fp32"
    """The precision of its weights."""

    summary: ClassVar[str] = "a program of torch.export, any batch and length; no Transformers where it runs"
    source: ClassVar[str] = "torch"
    without: ClassVar[tuple[str, ...]] = ("transformers",)

    def refuses(self, run: Run) -> str:
        """What is no single pass over a text, modules that cannot be folded, tokenizers of Python."""
        from weitiao.models.folders import tokenizer

        if run.task.generates or run.task.auto_class == "AutoModelForSeq2SeqLM":
            return reason("form_of_one_pass")
        if (why := unfoldable(run, sees=True)) or run.task.shape.pictures:
            return why
        slow = not getattr(tokenizer(str(run.folder.model)), "is_fast", False)
        return reason("form_slow_tokenizer") if slow else ""

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The program, the files of what makes rows ready, the runner."""
        with tempfile.TemporaryDirectory(prefix="weitiao-pt2-", dir=folder) as made:
            plain = Path(made) / "plain"
            plain.mkdir()
            folded(run, plain)
            with disk(folder):
                words = {"inputs": inputs, "outputs": outputs, "frame": pictures.frame_of(run, plain)}
                programmed(plain, run.task.auto_class, folder / "model.pt2", **words)
                for name in FILES:
                    if (plain / name).is_file():
                        shutil.copy(plain / name, folder / name)
        reader = runners.reader(run)
        told = runners.answering(run, inputs=inputs, outputs=outputs) | reader.words
        write_text(folder / "runner.py", Template(HEAD + reader.reads + ASKS).substitute(told))
