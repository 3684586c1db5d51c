"""A program of ExecuTorch for phones and small devices: XNNPACK computes on their CPU, and nothing of Python is needed there.

run  ->  export/executorch/{model.pte, config.json, tokenizer.json, runner.py}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from weitiao.core.registry import register
from weitiao.export.graphs import lowered
from weitiao.export.programs import IMPORTS, Program

if TYPE_CHECKING:
    from weitiao.stages.run import Run

ROWS = 8
"""Rows of a call, at most: memory is laid out for so many as long as the model reads."""
HEAD = '''\
"""python runner.py $usage: this folder's model answers.  Needs executorch (with torch), $needs and numpy, no network."""

'''
HEAD += (
    IMPORTS
    + """from executorch.runtime import Runtime

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = json.loads(Path(HERE, "config.json").read_text("utf-8"))
$opens
PROGRAM = Runtime.get().load_program(os.path.join(HERE, "model.pte"))
MODEL = PROGRAM.load_method("forward")
"""
)
ASKS = """\
def ask(inputs):  # $most rows at most are asked at once
    given = [torch.from_numpy(inputs[name]) for name in $inputs]
    parts = []
    for at in range(0, len(given[0]), $most):
        said = MODEL.execute([each[at : at + $most] for each in given])
        parts.append([each.numpy() for each in said])
    return {name: np.concatenate([part[place] for part in parts]) for place, name in enumerate($outputs)}


$answering""".replace("$most", str(ROWS))


@register("form", "executorch")
@dataclass(frozen=True)
class ExecuTorch(Program):
    """A program of ExecuTorch."""

    summary: ClassVar[str] = "a program of ExecuTorch for phones, computed by XNNPACK"
    source: ClassVar[str] = "ExecuTorch"
    modules: ClassVar[tuple[str, ...]] = ("executorch",)
    extra: ClassVar[str] = "mobile"
    file: ClassVar[str] = "model.pte"
    head: ClassVar[str] = HEAD
    asks: ClassVar[str] = ASKS

    def trace(self, run: Run, plain: Path, auto_class: str, file: Path, **words: Any) -> None:
        """Up to `ROWS` rows of any length that the run reads."""
        lowered(plain, auto_class, file, most=(ROWS, run.limit), **words)
