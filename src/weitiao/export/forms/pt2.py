"""A program of `torch.export`: what the model computes, without the code that it was written in.

run  ->  export/pt2/{model.pt2, config.json, tokenizer.json, runner.py}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.core.registry import register
from weitiao.export.graphs import programmed
from weitiao.export.programs import HEAD, Program

if TYPE_CHECKING:
    from weitiao.stages.run import Run


@register("form", "pt2")
@dataclass(frozen=True)
class Pt2(Program):
    """A program of `torch.export`."""

    summary: ClassVar[str] = "a program of torch.export, any batch and length; no Transformers where it runs"
    source: ClassVar[str] = "torch"
    file: ClassVar[str] = "model.pt2"
    head: ClassVar[str] = HEAD + 'MODEL = torch.export.load(os.path.join(HERE, "model.pt2")).module()\n'

    def trace(self, run: Run, plain: Path, auto_class: str, file: Path, **words: Any) -> None:
        """Any batch and length."""
        programmed(plain, auto_class, file, **words)
