"""The ways in which a model leaves its run: folded into a plain one, or in a form of the shelf `form`, verified.

run.merge("merged")  ->  a plain model of Transformers      run.export("onnx")  ->  export/onnx, which answers as the run does
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Method, Task
from weitiao.stages.recorded import Recorded

if TYPE_CHECKING:
    from weitiao.stages.events import Tell


@dataclass(repr=False)
class Leaving(Recorded, ABC):
    """A run whose model can leave it."""

    base: str | Path = ""
    """Where its base lies now, if that is not where it lay (`load`)."""

    @property
    @abstractmethod
    def task(self) -> Task:
        """What it learnt."""

    @property
    @abstractmethod
    def method(self) -> Method:
        """How it was tuned."""

    def merge(self, folder: str | Path, *, dtype: str | None = None) -> Path:
        """Fold the tuned change into the base's weights: a plain model that `from_pretrained` opens.

        Args:
            folder: where the model and its tokenizer go; must not exist yet.
            dtype: float32, bfloat16 or float16; default: what the base is stored in.

        Raises:
            WeitiaoError: `wrong_usage` when the folder exists or the method's modules cannot be folded;
                `unfinished_run`, `broken_model`.
        """
        from weitiao.stages import merge

        folder = Path(folder)
        merge.refuse(folder, dtype=dtype)
        own: dict[str, Any] = {"task": self.task, "method": self.method, "base": self.base}
        return merge.merge(self, folder, dtype=dtype, **own)

    def export(self, to: str, *, dtype: str = "", tell: Tell | None = None) -> Any:
        """Write the model into `export/` in the form that its destination wants, once it is seen to answer as this one.

        Args:
            to: a form of the shelf: `torch`, `peft`, `onnx`, `gguf`, `pt2`, `torchscript`, `executorch`.
            dtype: the precision of its weights; default: fp32.
            tell: hears how it goes; without it lines on standard error say so.

        Returns:
            Where it lies, and what was compared (`weitiao.export.Exported`).

        Raises:
            WeitiaoError: `unknown_name`, `wrong_value`; as `weitiao.export.form.Form.export`.
        """
        asked = {"name": to, **({"dtype": dtype} if dtype else {})}
        return registry.build("form", asked).export(self, tell=tell)
