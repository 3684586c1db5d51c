"""A plain folder of Transformers: what was tuned is folded into the base's weights.

run  ->  export/torch/{config.json, model.safetensors, tokenizer..., runner.py}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, ClassVar, Literal

from weitiao.core.files import write_text
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.export.folded import folded, unfoldable
from weitiao.export.form import Form
from weitiao.export.runners import Reader, answering, reader

if TYPE_CHECKING:
    from weitiao.stages.run import Run

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
HEAD = '''\
"""python runner.py $usage: this folder's model answers.  Needs torch, ${needs}transformers and numpy, no network."""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import torch
import transformers
$imports
HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = json.load(open(os.path.join(HERE, "config.json"), encoding="utf-8"))
$opens
MODEL = transformers.$auto_class.from_pretrained(HERE, dtype="auto").eval()


def ask(inputs):
    with torch.inference_mode():
        given = {name: torch.from_numpy(each) for name, each in inputs.items()}
        said = MODEL(**{n: each.to(MODEL.dtype) if each.is_floating_point() else each for n, each in given.items()})
    return {name: said[name].float().numpy() for name in $outputs}


'''
READS = """\
def read(rows):  # [("a text",), ...] or [("a text", "its pair"), ...]
    found = TOKENIZER(*map(list, zip(*rows)), padding=True, truncation=True, max_length=$limit, $plain)
    return {name: np.array(found[name]) for name in $inputs}


"""
TEXTS = Reader("", "", "TOKENIZER = transformers.AutoTokenizer.from_pretrained(HERE)", READS)
GOES_ON = """\
ENDS = np.atleast_1d(MODEL.generation_config.eos_token_id).tolist()


def go_on(ids, max_new_tokens):
    asked = torch.tensor([ids])
    words = {"attention_mask": torch.ones_like(asked), "do_sample": False, "num_beams": 1}
    return MODEL.generate(asked, max_new_tokens=max_new_tokens, **words)[0, len(ids) :].tolist()


"""


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
        """Modules that cannot be folded; tasks that answer otherwise than by one pass."""
        if run.task.auto_class == "AutoModelForSeq2SeqLM":
            return reason("form_not_written")
        return unfoldable(run, sees=True)

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The merged model, what makes rows ready, the runner."""
        folded(run, folder, dtype=PRECISIONS[self.dtype])
        reads = reader(run, texts=TEXTS)
        runner = Template(HEAD + (GOES_ON if run.task.generates else reads.reads) + "$answering")
        words = answering(run, inputs=inputs, outputs=outputs) | reads.words
        words["needs"] = f"{reads.needs}, " if reads.needs else ""
        write_text(folder / "runner.py", runner.substitute(words))
