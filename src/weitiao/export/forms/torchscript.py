"""A module of TorchScript, for programs that load nothing else yet: PyTorch develops it no more, `pt2` is what follows it.

run  ->  export/torchscript/{model.pt, config.json, tokenizer.json, runner.py}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.core.registry import register
from weitiao.export.graphs import scripted
from weitiao.export.programs import HEAD, Program

if TYPE_CHECKING:
    from weitiao.stages.run import Run


@register("form", "torchscript")
@dataclass(frozen=True)
class TorchScript(Program):
    """A module of TorchScript."""

    summary: ClassVar[str] = "a module of TorchScript, which PyTorch develops no more; pt2 follows it"
    source: ClassVar[str] = "torch"
    legacy: ClassVar[str] = "pt2"
    file: ClassVar[str] = "model.pt"
    head: ClassVar[str] = HEAD + 'MODEL = torch.jit.load(os.path.join(HERE, "model.pt"))\n'

    def trace(self, run: Run, plain: Path, auto_class: str, file: Path, **words: Any) -> None:
        """Any batch and length."""
        scripted(plain, auto_class, file, **words)
