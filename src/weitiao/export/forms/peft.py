"""The adapter alone, as PEFT reads it: some megabytes, for whoever has the base (vLLM, text-generation-inference, PEFT).

run  ->  export/peft/{adapter_config.json, adapter_model.safetensors, config.json, tokenizer..., runner.py}
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from weitiao.core.contracts import OURS
from weitiao.core.files import disk
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.export.folded import unseen
from weitiao.export.form import Form
from weitiao.export.plain import write_runner

if TYPE_CHECKING:
    from weitiao.stages.run import Run

CARD = "adapter_config.json"
OPENS = """\
import peft

BASE = os.environ.get("BASE") or json.loads(Path(HERE, "adapter_config.json").read_text("utf-8"))["base_model_name_or_path"]
MODEL = transformers.$auto_class.from_pretrained(
    BASE, config=transformers.AutoConfig.from_pretrained(HERE), dtype=torch.float32
)
if os.path.exists(os.path.join(HERE, "generation_config.json")):  # the base may stop at fewer tokens
    MODEL.generation_config = transformers.GenerationConfig.from_pretrained(HERE)
MODEL = peft.PeftModel.from_pretrained(MODEL, HERE).eval()"""


@register("form", "peft")
@dataclass(frozen=True)
class Peft(Form):
    """The adapter alone."""

    dtype: Literal["fp32"] = "fp32"
    """The precision of its weights."""

    summary: ClassVar[str] = "the adapter alone, in PEFT's form; vLLM takes those of LoRA beside the base"
    source: ClassVar[str] = "PEFT, vLLM"
    modules: ClassVar[tuple[str, ...]] = ("peft",)

    def refuses(self, run: Run) -> str:
        """Pictures, whole models, adapters that PEFT does not know, a base in 4 bits."""
        if why := unseen(run):
            return why
        card = run.folder.model / CARD
        if not card.is_file() or json.loads(card.read_text(encoding="utf-8"))["peft_type"] == OURS:
            return reason("form_no_adapter", method=run.recipe.method["name"])
        return reason("form_four_bits") if run.method.base_bits == 4 else ""

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The adapter's files as the run has them, the base's configuration with the labels, the runner."""
        with disk(folder):
            for path in run.folder.model.iterdir():
                if path.name != "weitiao.json" and path.is_file():
                    shutil.copy(path, folder / path.name)
            run.tuned.model.config.save_pretrained(folder)
        write_runner(run, folder, inputs=inputs, outputs=outputs, opens=OPENS, needs="peft")
