"""Runners that open a model by Transformers: what the forms of plain models and of adapters have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from weitiao.core.files import write_text
from weitiao.export import speech
from weitiao.export.runners import Reader, answering, reader

if TYPE_CHECKING:
    from weitiao.stages.run import Run

HEAD = '''\
"""python runner.py $usage: this folder's model answers.  Needs torch, ${needs}transformers and numpy, no network."""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import torch
import transformers
$imports
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = json.loads(Path(HERE, "config.json").read_text("utf-8"))
$opens
$model


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
ENDS = "ENDS = np.atleast_1d(MODEL.generation_config.eos_token_id).tolist()\n"
GOES_ON = """\


def go_on(ids, max_new_tokens):
    asked = torch.tensor([ids])
    words = {"attention_mask": torch.ones_like(asked), "do_sample": False, "num_beams": 1}
    return MODEL.generate(asked, max_new_tokens=max_new_tokens, **words)[0, len(ids) :].tolist()


"""
WRITES = """\
KNOWN = MODEL.generation_config
BEGIN = [each for each in (KNOWN.decoder_start_token_id, KNOWN.forced_bos_token_id) if each is not None]


def go_on(ids, max_new_tokens):  # looked for as its generation settings say
    asked = torch.tensor([ids])
    words = {"attention_mask": torch.ones_like(asked), "do_sample": False, "decoder_input_ids": torch.tensor([BEGIN])}
    return MODEL.generate(input_ids=asked, max_new_tokens=max_new_tokens, **words)[0, len(BEGIN) :].tolist()


"""


def write_runner(
    run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str], opens: str, needs: str = ""
) -> None:
    """Write `runner.py`.

    Args:
        run: whose model.
        folder: of the form.
        inputs: names that the model is called with.
        outputs: names of what the task reads.
        opens: lines that put the model into `MODEL`; `$auto_class` is the class that it is opened by.
        needs: a package beside torch, transformers and numpy.
    """
    reads = reader(run, texts=TEXTS)
    head = HEAD.replace("$model", opens)
    goes_on = ENDS + (WRITES if speech.two_sided(run) else GOES_ON)
    runner = Template(head + (goes_on if run.task.generates else reads.reads) + "$answering")
    words = answering(run, inputs=inputs, outputs=outputs) | reads.words
    words["needs"] = "".join(f"{name}, " for name in (reads.needs, needs) if name)
    write_text(folder / "runner.py", runner.substitute(words))
