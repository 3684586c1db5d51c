"""One file for llama.cpp and what is built on it (Ollama, LM Studio, phones), with Ollama's Modelfile.

run  ->  export/gguf/{model.gguf, Modelfile, tokenizer..., runner.py}
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, ClassVar, Literal

from weitiao.core.files import disk, write_text
from weitiao.core.registry import register
from weitiao.core.why import reason
from weitiao.export import gguf_file, gguf_words, ollama, runners
from weitiao.export.folded import folded, unfoldable
from weitiao.export.form import Form
from weitiao.export.parity import Bounds

if TYPE_CHECKING:
    from weitiao.stages.run import Run

FILE = "model.gguf"
KINDS = {"fp32": "F32", "fp16": "F16", "int8": "Q8_0", "int4": "Q4_0"}
ROOM = 64
"""Tokens beyond those of a row that the runner keeps room for: it answers in no more when it is compared."""
RUNNER = '''\
"""python runner.py "a question": this folder's model answers.  Needs llama-cpp-python, no torch and no network.

Without that Transformers reads the same weights out of the file, with torch and gguf, and the tokenizer beside it."""

import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FILE = os.path.join(HERE, "model.gguf")
try:
    import llama_cpp
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    READER = "llama.cpp"
    MORE = {"n_ctx": $room, "n_batch": $room, "n_threads": 1, "n_threads_batch": 1, "type_k": $kept, "type_v": $kept}
    MODEL = llama_cpp.Llama(FILE, logits_all=True, verbose=False, **MORE)
    FACTS = MODEL.metadata
    WORDS = [MODEL._model.token_get_text(int(FACTS.get(f"tokenizer.ggml.{name}_token_id", 0))) for name in ("eos", "bos")]

    def chat(turns):
        return Jinja2ChatFormatter(FACTS["tokenizer.chat_template"], *WORDS)(messages=turns).prompt

    def read(text):
        return MODEL.tokenize(text.encode(), add_bos=False, special=True)

    def text_of(ids):
        return MODEL.detokenize(ids).decode(errors="replace")

    def scores(ids, kept=0):  # of all ids behind the first `kept`, which were asked before
        MODEL.n_tokens = kept
        MODEL.eval(ids[kept:])
        return MODEL.scores[kept : len(ids)]
except ImportError:
    import torch
    import transformers
    from gguf import GGUFReader

    READER = "transformers"
    FACTS = {name: each.contents() for name, each in GGUFReader(FILE).fields.items() if "_token_id" in name}
    TOKENIZER = transformers.AutoTokenizer.from_pretrained(HERE)
    MODEL = transformers.AutoModelForCausalLM.from_pretrained(HERE, gguf_file="model.gguf", dtype=torch.float32).eval()

    def chat(turns):
        return TOKENIZER.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)

    def read(text):
        return TOKENIZER(text, add_special_tokens=False)["input_ids"]

    def text_of(ids):
        return TOKENIZER.decode(ids)

    def scores(ids, kept=0):
        global CACHE
        CACHE = CACHE if kept else transformers.DynamicCache(config=MODEL.config)
        with torch.inference_mode():
            return MODEL(torch.tensor([ids[kept:]]), past_key_values=CACHE).logits[0].numpy()

NAMES = [f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom")]
ENDS = [int(FACTS[name]) for name in NAMES if name in FACTS]


def ask(inputs):  # ids and mask (B, T), filled up on the right, to logits (B, T, V)
    rows = [scores(ids[mask == 1].tolist()).copy() for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"])]
    long = max(map(len, rows))
    return {"logits": np.stack([np.pad(row, ((0, long - len(row)), (0, 0))) for row in rows])}


def go_on(ids, max_new_tokens):
    said, seen = [], list(ids)
    while len(said) < max_new_tokens and (not said or said[-1] not in ENDS):
        said.append(int(scores(seen, kept=len(seen) - 1 if said else 0)[-1].argmax()))
        seen.append(said[-1])
    return said


def spoken(turns, max_new_tokens=50):  # [{"role": "user", "content": "..."}, ...]
    text = $prompt
    ids = read(text)
    return {"text": text, "ids": ids, "said": go_on(ids, max_new_tokens)}


if __name__ == "__main__":
    print(text_of([end for end in spoken([{"role": "user", "content": sys.argv[1]}])["said"] if end not in ENDS]))
'''


@register("form", "gguf")
@dataclass(frozen=True)
class Gguf(Form):
    """One file for llama.cpp."""

    dtype: Literal["fp32", "fp16", "int8", "int4"] = "fp32"
    """The precision of its weights: F32 answers as the judged model does; F16, Q8_0 (int8) and Q4_0 (int4) are a half, a
    quarter and an eighth as large, and the score may move."""

    summary: ClassVar[str] = "one file for llama.cpp and Ollama, with tokenizer, template and Modelfile"
    source: ClassVar[str] = "llama.cpp"
    modules: ClassVar[tuple[str, ...]] = ("gguf",)

    @property
    def bounds(self) -> Bounds:
        """llama.cpp has exponentials of its own (SmolLM2: 1.03e-4); four bits cost something, and are told what."""
        return Bounds(self.exact, close=1e-3, points=0.1 if self.dtype == "int4" else 0.005)

    def refuses(self, run: Run) -> str:
        """What does not go on with a text; families and tokenizers that llama.cpp has not, or not so."""
        from weitiao.models import folders
        from weitiao.models.opening import resolve

        if not run.task.generates:
            return reason("form_of_words_alone")
        if why := unfoldable(run):
            return why
        source = resolve(run.where_base_lies())
        why = gguf_file.why_not(folders.configuration(source, ref=run.recipe.model))
        return why or gguf_words.why_not(folders.tokenizer(str(run.folder.model)))

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The file, Ollama's Modelfile, the tokenizer's own files for those who have no llama.cpp, the runner."""
        from weitiao.models import marks

        processor = run.tuned.processor
        ends = sorted(marks.ends(run.tuned.model, processor), key=lambda end: end != processor.eos_token_id)
        begins = gguf_words.begins(processor)
        with tempfile.TemporaryDirectory(prefix="weitiao-gguf-", dir=folder) as made:
            plain = Path(made) / "plain"
            plain.mkdir()
            folded(run, plain)
            with disk(folder):
                gguf_file.written(
                    plain,
                    folder / FILE,
                    KINDS[self.dtype],
                    name=run.path.resolve().name,
                    words=lambda writer, size: gguf_words.words(writer, size, processor, ends=ends),
                )
                for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
                    if (plain / name).is_file():
                        shutil.copy(plain / name, folder / name)
        write_text(folder / "Modelfile", ollama.modelfile(run, FILE, ends=ends, begins=begins))
        words = {
            "room": str(run.limit + ROOM),
            "kept": "0" if self.exact else "1",  # ggml's numbers of F32 and F16
            "prompt": "chat(turns)" if run.task.chats else runners.WORDS,
        }
        write_text(folder / "runner.py", Template(RUNNER).substitute(words))
