"""A graph for onnxruntime: any number of rows of any length, and no torch where it runs.

run  ->  export/onnx/{model.onnx, config.json, tokenizer.json, runner.py}; of an encoder-decoder two graphs
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from weitiao.core.files import disk, write_text
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.export import pictures, runners, speech
from weitiao.export.eight_bits import in_bytes
from weitiao.export.folded import folded, unfoldable
from weitiao.export.form import Form
from weitiao.export.graphs import keeps_plainly, traced, traced_decoder
from weitiao.export.graphs_of_two import traced_writer
from weitiao.export.runners import answering

if TYPE_CHECKING:
    from weitiao.stages.run import Run

GRAPH = "model.onnx"
FILES = (
    "config.json",
    "generation_config.json",
    "chat_template.jinja",
    "tokenizer.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
)
HEAD = '''\
"""python runner.py $usage: this folder's model answers.  Needs onnxruntime, $needs and numpy$more, no network."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import onnxruntime
$imports

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = json.loads(Path(HERE, "config.json").read_text("utf-8"))
$opens


def graph(name):
    return onnxruntime.InferenceSession(os.path.join(HERE, name), providers=["CPUExecutionProvider"])


'''
MODEL = 'MODEL = graph("model.onnx")\n'
ASKS = """\
def ask(inputs):
    return dict(zip($outputs, MODEL.run($outputs, {name: inputs[name] for name in $inputs})))


$answering"""
SETTINGS = """\
SETTINGS = json.loads(Path(HERE, "generation_config.json").read_text("utf-8"))
ENDS = np.atleast_1d(SETTINGS["eos_token_id"]).tolist()
"""
GOES_ON = """\
PAST = {each.name: each.shape for each in MODEL.get_inputs() if each.name.startswith("past_key_values")}


def step(ids, mask, past):  # ids (B, T), mask (B, P + T), keys and values of P tokens; logits, and keys and values of all
    logits, *kept = MODEL.run(None, {"input_ids": ids, "attention_mask": mask, **past})
    return logits, dict(zip(PAST, kept))


def nothing(rows):
    return {name: np.zeros((rows, shape[1], 0, shape[3]), np.float32) for name, shape in PAST.items()}


def ask(inputs):
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    return {"logits": step(ids, mask, nothing(len(ids)))[0]}


def go_on(ids, max_new_tokens):
    said, new, past = [], list(ids), nothing(1)
    while len(said) < max_new_tokens and (not said or said[-1] not in ENDS):
        logits, past = step(np.array([new]), np.ones((1, len(ids) + len(said)), np.int64), past)
        new = [int(logits[0, -1].argmax())]
        said += new
    return said


$chat
"""
SPEAKS = """\
def spoken(turns, max_new_tokens=200):  # [{"role": "user", "content": "..."}, ...]
    text = $prompt
    ids = TOKENIZER.encode(text$bare).ids
    return {"text": text, "ids": ids, "said": go_on(ids, max_new_tokens)}


if __name__ == "__main__":
    print(TOKENIZER.decode(spoken([{"role": "user", "content": sys.argv[1]}])["said"]))
"""
WRITES = """\
TOKENIZER.encode_special_tokens = $characters
TOKENIZER.enable_truncation($limit, direction="$cut_side")
ENCODER, DECODER = graph("encoder_model.onnx"), graph("decoder_model.onnx")
SHAPES = {each.name: each.shape for each in DECODER.get_inputs()[2:]}
PAST, ROW = ([name for name in SHAPES if side in name] for side in (".decoder.", ".encoder."))
FIRST = (SETTINGS.get(name) for name in ("decoder_start_token_id", "forced_bos_token_id"))
BEGIN = [each for each in FIRST if each is not None]


def looked_at(ids, mask):  # ids (B, S), mask (B, S); keys and values of the row, and none of what is written
    row = dict(zip(ROW, ENCODER.run(None, {"input_ids": ids, "attention_mask": mask})))
    return {"encoder_attention_mask": mask, **row}, {
        name: np.zeros((len(ids), SHAPES[name][1], 0, SHAPES[name][3]), np.float32) for name in PAST
    }


def step(ids, row, past):  # ids (B, T), keys and values of P tokens; logits, and keys and values of all
    logits, *kept = DECODER.run(None, {"input_ids": ids, **row, **past})
    return logits, dict(zip(PAST, kept))


def ask(inputs):
    row, past = looked_at(inputs["input_ids"], inputs["attention_mask"])
    return {"logits": step(inputs["decoder_input_ids"], row, past)[0]}


def go_on(ids, max_new_tokens):
    row, past = looked_at(np.array([ids]), np.ones((1, len(ids)), np.int64))
    said, new = [], BEGIN
    while len(said) < max_new_tokens and (not said or said[-1] not in ENDS):
        logits, past = step(np.array([new]), row, past)
        new = [int(logits[0, -1].argmax())]
        said += new
    return said


"""
CHAT = """\
def chat(turns):
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(why):
        raise ValueError(why)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    template = made.from_string(open(os.path.join(HERE, "chat_template.jinja"), encoding="utf-8").read())
    marks = json.loads(Path(HERE, "tokenizer_config.json").read_text("utf-8"))
    marks = {name: each for name, each in marks.items() if name.endswith("_token") and isinstance(each, str)}
    return template.render(messages=turns, add_generation_prompt=True, raise_exception=refuse, **marks)


"""


@register("form", "onnx")
@dataclass(frozen=True)
class Onnx(Form):
    """A graph for onnxruntime."""

    dtype: Literal["fp32", "int8"] = "fp32"
    """The precision of its weights: fp32 answers as the judged model does; int8 is a quarter as large, and the score may move
    by half a point."""

    summary: ClassVar[str] = "a graph for onnxruntime, any batch and length; no torch where it runs"
    source: ClassVar[str] = "onnxruntime"
    modules: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")
    without: ClassVar[tuple[str, ...]] = ("torch", "transformers")

    def refuses(self, run: Run) -> str:
        """Modules that cannot be folded, tokenizers of Python, what keeps more than keys and values, answers that are looked for."""
        from weitiao.models import folders
        from weitiao.models.opening import resolve

        if (why := unfoldable(run, sees=True)) or run.task.shape.pictures:
            return why
        if not getattr(folders.tokenizer(str(run.folder.model)), "is_fast", False):
            return reason("form_slow_tokenizer")
        if run.task.generates:
            config = folders.configuration(resolve(run.where_base_lies()), ref=run.recipe.model)
            if not keeps_plainly(config):
                return reason("form_no_cache", kind=config.model_type)
            if speech.two_sided(run) and (how := looks_for(run.task)):
                return reason("form_looked_for", settings=how)
        return ""

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The graph, the files of what makes rows ready, the runner."""
        writes = speech.two_sided(run)
        with tempfile.TemporaryDirectory(prefix="weitiao-onnx-", dir=folder) as made:
            plain, exact = Path(made) / "plain", Path(made) / "exact"
            plain.mkdir()
            exact.mkdir()
            folded(run, plain)
            with disk(folder):
                graphs = folder if self.exact else exact
                if writes:
                    traced_writer(plain, graphs)
                elif run.task.generates:
                    traced_decoder(plain, graphs / GRAPH)
                else:
                    one = {"inputs": inputs, "outputs": outputs, "frame": pictures.frame_of(run, plain)}
                    traced(plain, run.task.auto_class, graphs / GRAPH, **one)
                for graph in exact.glob("*.onnx"):
                    in_bytes(graph, folder / graph.name, seen=pictures.learnt(run, plain, inputs))
                for name in FILES:
                    if (plain / name).is_file():
                        shutil.copy(plain / name, folder / name)
        runner, words = self._runner(run)
        words |= answering(run, inputs=inputs, outputs=outputs)
        write_text(folder / "runner.py", Template(runner).substitute(words))

    def _runner(self, run: Run) -> tuple[str, dict[str, str]]:
        """Its template, and the words that are its own."""
        reader, chats = runners.reader(run), getattr(run.task, "chats", False)
        if not run.task.generates:
            return HEAD + MODEL + reader.reads + ASKS, reader.words | {"more": ""}
        words = reader.words | {"usage": '"a text"', "more": ", of chats jinja2" if chats else ""}
        if speech.two_sided(run):
            return HEAD + SETTINGS + WRITES + SPEAKS, words | {"prompt": runners.source(run), "bare": ""}
        words |= {"chat": CHAT if chats else "", "prompt": "chat(turns)" if chats else runners.WORDS}
        return HEAD + MODEL + SETTINGS + GOES_ON + SPEAKS, words | {"bare": ", add_special_tokens=False"}


def looks_for(task: Any) -> str:
    """What a task says of how answers are looked for, beside the likeliest word each time; empty where it says nothing."""
    plain = {"num_beams": 1, "no_repeat_ngram_size": 0}
    return ", ".join(
        f"{name}: {getattr(task, name)}" for name, usual in plain.items() if getattr(task, name) != usual
    )
