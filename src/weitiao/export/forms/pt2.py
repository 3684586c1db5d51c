"""A program of `torch.export`: what the model computes, without the code that it was written in.

run  ->  export/pt2/{model.pt2, config.json, tokenizer.json, runner.py}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from weitiao.core.registry import register
from weitiao.export import programs
from weitiao.export.form import Form
from weitiao.export.graphs import programmed

if TYPE_CHECKING:
    from weitiao.stages.run import Run

LOADS = 'MODEL = torch.export.load(os.path.join(HERE, "model.pt2")).module()\n'


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
        """What is no single pass, modules that cannot be folded, tokenizers of Python."""
        return programs.why_not(run)

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The program, the files of what makes rows ready, the runner."""

        def make(plain: Path, auto_class: str, **words: Any) -> None:
            programmed(plain, auto_class, folder / "model.pt2", **words)

        programs.written(
            run,
            folder,
            inputs=inputs,
            outputs=outputs,
            head=programs.HEAD + LOADS,
            asks=programs.ASKS,
            make=make,
        )
