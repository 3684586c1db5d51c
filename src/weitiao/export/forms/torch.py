"""A plain folder of Transformers: what was tuned is folded into the base's weights.

run  ->  export/torch/{config.json, model.safetensors, tokenizer..., runner.py}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from weitiao.core.registry import register
from weitiao.export.folded import folded, unfoldable
from weitiao.export.form import Form
from weitiao.export.plain import write_runner

if TYPE_CHECKING:
    from weitiao.stages.run import Run

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
OPENS = 'MODEL = transformers.$auto_class.from_pretrained(HERE, dtype="auto").eval()'


@register("form", "torch")
@dataclass(frozen=True)
class Torch(Form):
    """A plain folder of Transformers."""

    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    """The precision of its weights: fp32 answers as the judged model does; bf16 and fp16 are half as large, and the score may
    move by half a point."""

    summary: ClassVar[str] = "a plain folder of Transformers, tuned weights folded in"
    source: ClassVar[str] = "torch, Transformers"

    def refuses(self, run: Run) -> str:
        """Modules that cannot be folded."""
        return unfoldable(run, sees=True)

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The merged model, what makes rows ready, the runner."""
        folded(run, folder, dtype=PRECISIONS[self.dtype])
        write_runner(run, folder, inputs=inputs, outputs=outputs, opens=OPENS)
