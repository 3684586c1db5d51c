"""Does PEFT, as it is installed, put every layer of a saved adapter back?

left_out(runs/x/model, base, task)  ->  [], or ["model.layers.1.mlp.gate_proj", ...]

PEFT gives layers of some mixtures of experts other names than the model has, and what was learnt in them is then left
out with no more than a warning of its own.  Which ones is asked of PEFT, on the model's skeleton: no weight is read.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from weitiao.core.contracts import Task
from weitiao.models.load import skeleton
from weitiao.models.quiet import quiet


def left_out(folder: Path, ref: str, task: Task) -> list[str]:
    """Layers of a saved LoRA that PEFT's own loading would not fill, by name; none where PEFT is not installed.

    Args:
        folder: of `adapter_config.json`.
        ref: the base.
        task: what was learnt.
    """
    card = folder / "adapter_config.json"
    if not card.is_file() or json.loads(card.read_text(encoding="utf-8")).get("peft_type") != "LORA":
        return []
    bare = skeleton(ref, task).model
    # Only where Transformers gives a checkpoint's weights other names does PEFT do so; importing PEFT takes seconds.
    if not _renamed(bare.config.model_type) or not find_spec("peft"):
        return []
    import peft
    from safetensors.torch import load_file

    state = load_file(folder / "adapter_model.safetensors")
    try:
        with quiet():
            model = peft.get_peft_model(
                bare, peft.PeftConfig.from_pretrained(str(folder)), low_cpu_mem_usage=True
            )
            found: Any = peft.set_peft_model_state_dict(model, state, low_cpu_mem_usage=True)
        lost = found.unexpected_keys
    except Exception:  # noqa: BLE001 - whatever it is, PEFT does not open the adapter
        lost = [name for name in state if ".lora_" in name]
    names = {name.partition(".lora_")[0].removeprefix("base_model.model.") for name in lost}
    return sorted(names)


def _renamed(kind: str) -> bool:
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    return get_checkpoint_conversion_mapping(kind) is not None
