"""A program of ExecuTorch for phones and small devices: XNNPACK computes on their CPU, and nothing of Python is needed there.

run  ->  export/executorch/{model.pte, config.json, tokenizer.json, runner.py}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from weitiao.core.registry import register
from weitiao.export import programs
from weitiao.export.form import Form
from weitiao.export.graphs import lowered

if TYPE_CHECKING:
    from weitiao.stages.run import Run

ROWS = 8
"""Rows of a call, at most: memory is laid out for so many as long as the model reads."""
HEAD = '''\
"""python runner.py $usage: this folder's model answers.  Needs executorch (with torch), $needs and numpy, no network."""

'''
HEAD += (
    programs.IMPORTS
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
class ExecuTorch(Form):
    """A program of ExecuTorch."""

    dtype: Literal["fp32"] = "fp32"
    """The precision of its weights."""

    summary: ClassVar[str] = "a program of ExecuTorch for phones, computed by XNNPACK"
    source: ClassVar[str] = "ExecuTorch"
    modules: ClassVar[tuple[str, ...]] = ("executorch",)
    extra: ClassVar[str] = "mobile"
    without: ClassVar[tuple[str, ...]] = ("transformers",)

    def refuses(self, run: Run) -> str:
        """What is no single pass, modules that cannot be folded, tokenizers of Python."""
        return programs.why_not(run)

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The program, the files of what makes rows ready, the runner."""

        def make(plain: Path, auto_class: str, **words: Any) -> None:
            lowered(plain, auto_class, folder / "model.pte", most=(ROWS, run.limit), **words)

        programs.written(run, folder, inputs=inputs, outputs=outputs, head=HEAD, asks=ASKS, make=make)
