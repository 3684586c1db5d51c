"""A module of TorchScript, for programs that load nothing else yet: PyTorch develops it no more, `pt2` is what follows it.

run  ->  export/torchscript/{model.pt, config.json, tokenizer.json, runner.py}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from weitiao.core.registry import register
from weitiao.export import programs
from weitiao.export.form import Form
from weitiao.export.graphs import scripted

if TYPE_CHECKING:
    from weitiao.stages.run import Run

LOADS = 'MODEL = torch.jit.load(os.path.join(HERE, "model.pt"))\n'


@register("form", "torchscript")
@dataclass(frozen=True)
class TorchScript(Form):
    """A module of TorchScript."""

    dtype: Literal["fp32"] = "fp32"
    """The precision of its weights."""

    summary: ClassVar[str] = "a module of TorchScript, which PyTorch develops no more; pt2 follows it"
    source: ClassVar[str] = "torch"
    without: ClassVar[tuple[str, ...]] = ("transformers",)
    legacy: ClassVar[str] = "pt2"

    def refuses(self, run: Run) -> str:
        """What is no single pass, modules that cannot be folded, tokenizers of Python."""
        return programs.why_not(run)

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The module, the files of what makes rows ready, the runner."""

        def make(plain: Path, auto_class: str, **words: Any) -> None:
            scripted(plain, auto_class, folder / "model.pt", **words)

        programs.written(
            run,
            folder,
            inputs=inputs,
            outputs=outputs,
            head=programs.HEAD + LOADS,
            asks=programs.ASKS,
            make=make,
        )
