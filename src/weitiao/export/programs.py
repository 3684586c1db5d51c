"""What programs of one pass (`torch.export`, TorchScript, ExecuTorch) have in common: for which models they can be had, and what lies beside them.

run  ->  {the program, config.json, tokenizer.json or preprocessor_config.json, runner.py}
"""

from __future__ import annotations

import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from weitiao.core.files import disk, write_text
from weitiao.core.why import reason
from weitiao.export import pictures, runners
from weitiao.export.folded import folded, unfoldable
from weitiao.export.form import Form

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


@dataclass(frozen=True)
class Program(Form):
    """A model that is one program, which the runner calls with what it reads."""

    dtype: Literal["fp32"] = "fp32"
    """The precision of its weights."""

    file: ClassVar[str]
    """The program's, in the form's folder."""
    head: ClassVar[str]
    """Of the runner, up to where it reads rows; it puts the program into `MODEL`."""
    asks: ClassVar[str] = ASKS
    """Of the runner, from where the program is asked."""
    without: ClassVar[tuple[str, ...]] = ("transformers",)

    @abstractmethod
    def trace(self, run: Run, plain: Path, auto_class: str, file: Path, **words: Any) -> None:
        """Write the program.

        Args:
            run: whose model.
            plain: the model as a folder of Transformers.
            auto_class: that opens it.
            file: the program's.
            words: what it is traced with.
        """

    def refuses(self, run: Run) -> str:
        """What is no single pass, modules that cannot be folded, tokenizers of Python."""
        from weitiao.models.folders import tokenizer

        if run.task.generates:
            return reason("form_of_one_pass")
        if (why := unfoldable(run, sees=True)) or run.task.shape.pictures:
            return why
        slow = not getattr(tokenizer(str(run.folder.model)), "is_fast", False)
        return reason("form_slow_tokenizer") if slow else ""

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The program, the files of what makes rows ready, the runner."""
        with tempfile.TemporaryDirectory(prefix="weitiao-program-", dir=folder) as made:
            plain = Path(made) / "plain"
            plain.mkdir()
            folded(run, plain)
            with disk(folder):
                words = {"inputs": inputs, "outputs": outputs, "frame": pictures.frame_of(run, plain)}
                self.trace(run, plain, run.task.auto_class, folder / self.file, **words)
                for name in FILES:
                    if (plain / name).is_file():
                        shutil.copy(plain / name, folder / name)
        reader = runners.reader(run)
        told = runners.answering(run, inputs=inputs, outputs=outputs) | reader.words
        write_text(folder / "runner.py", Template(self.head + reader.reads + self.asks).substitute(told))
