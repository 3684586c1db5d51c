"""Runners of `model.gguf`: of one that goes on with a text, and of one that tells of texts.

Each asks llama.cpp's binding where it is installed, and says so (`READER`).  Else a language model is read out of the same file
by Transformers; a BERT, of which Transformers reads none, by gguf and NumPy: its words, weights, labels and pooling out of the
file, its formulas as llama.cpp has them.
"""

from __future__ import annotations

import inspect
import textwrap
from functools import cache
from string import Template
from typing import TYPE_CHECKING

from weitiao.export import piece_reader, runners

if TYPE_CHECKING:
    from weitiao.stages.run import Run

ROOM = 64
"""Tokens beyond those of a row that the runner keeps room for: it answers in no more when it is compared."""
SPEAKS = '''\
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
READS = '''\
"""python runner.py "a text": this folder's model answers.  Needs llama-cpp-python, no torch and no network.

Without that gguf and NumPy read the same file and compute as llama.cpp does, GELU by tanh."""

import functools
import json
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FILE = os.path.join(HERE, "model.gguf")
LIMIT = $limit
try:
    import llama_cpp

    READER = "llama.cpp"
    MORE = {"n_ctx": LIMIT, "n_batch": LIMIT, "n_ubatch": LIMIT, "n_threads": 1, "n_threads_batch": 1}

    @functools.cache
    def opened(pooling=llama_cpp.LLAMA_POOLING_TYPE_UNSPECIFIED):
        return llama_cpp.Llama(FILE, embedding=True, verbose=False, pooling_type=pooling, **MORE)

    MODEL = opened()
    COUNT = llama_cpp.llama_model_n_cls_out(MODEL._model.model)
    LABELS = [llama_cpp.llama_model_cls_label(MODEL._model.model, at) for at in range(COUNT)]
    LABELS = [label.decode() for label in LABELS if label]

    def whole(text):
        return MODEL.tokenize(text.encode(), special=False)

    def heard(model, ids):
        model._batch.reset()
        model._batch.add_sequence(ids, 0, True)
        model._ctx.decode(model._batch)
        return model._ctx.ctx

    def tokens(ids):  # (T, H)
        context = heard(opened(llama_cpp.LLAMA_POOLING_TYPE_NONE), ids)
        return np.ctypeslib.as_array(llama_cpp.llama_get_embeddings(context), (len(ids), MODEL.n_embd())).copy()

    def pooled(ids):  # a vector, or a head's scores, as the file says
        found = llama_cpp.llama_get_embeddings_seq(heard(MODEL, ids), 0)
        return np.ctypeslib.as_array(found, ($width,)).copy()
except ImportError:
    import unicodedata
    from collections.abc import Mapping

    from gguf import GGUFReader
    from gguf.quants import dequantize

    READER = "numpy"
    OPENED = GGUFReader(FILE)
    FACTS = {name: each.contents() for name, each in OPENED.fields.items()}
    WEIGHTS = {each.name: dequantize(each.data, each.tensor_type) for each in OPENED.tensors}
    PLACES = {word: place for place, word in enumerate(FACTS["tokenizer.ggml.tokens"])}
    CLEANS = ("lower", "lowercase"), ("strips", "strip_accents")
    MARKED = ("begin", "bos"), ("end", "seperator"), ("unknown", "unknown")
    WAYS = {name: FACTS[f"tokenizer.ggml.normalizer.{key}"] for name, key in CLEANS}
    MARKS = {name: FACTS[f"tokenizer.ggml.{key}_token_id"] for name, key in MARKED}
    LABELS = FACTS.get("bert.classifier.output_labels", [])
    HEADS, POOLING = FACTS["bert.attention.head_count"], FACTS["bert.pooling_type"]

$pieces
    def whole(text):
        return pieces(text, PLACES, **WAYS, **MARKS)

    def linear(rows, name):
        return rows @ WEIGHTS[f"{name}.weight"].T + WEIGHTS[f"{name}.bias"]

    def norm(rows, name):
        rows = rows - rows.mean(-1, keepdims=True)
        rows = rows / np.sqrt((rows**2).mean(-1, keepdims=True) + FACTS["bert.attention.layer_norm_epsilon"])
        return rows * WEIGHTS[f"{name}.weight"] + WEIGHTS[f"{name}.bias"]

    def tokens(ids):  # (T, H)
        places = WEIGHTS["position_embd.weight"][: len(ids)]
        rows = norm(WEIGHTS["token_embd.weight"][ids] + places + WEIGHTS["token_types.weight"][0], "token_embd_norm")
        for at in range(FACTS["bert.block_count"]):
            sides = (linear(rows, f"blk.{at}.attn_{name}") for name in "qkv")
            asks, keys, values = (side.reshape(len(ids), HEADS, -1).swapaxes(0, 1) for side in sides)
            near = asks @ keys.swapaxes(1, 2) / asks.shape[-1] ** 0.5
            near = np.exp(near - near.max(-1, keepdims=True))
            mixed = (near / near.sum(-1, keepdims=True) @ values).swapaxes(0, 1).reshape(rows.shape)
            rows = norm(rows + linear(mixed, f"blk.{at}.attn_output"), f"blk.{at}.attn_output_norm")
            wide = linear(rows, f"blk.{at}.ffn_up")
            wide = wide / 2 * (1 + np.tanh(0.79788456 * (wide + 0.044715 * wide * wide * wide)))
            rows = norm(rows + linear(wide, f"blk.{at}.ffn_down"), f"blk.{at}.layer_output_norm")
        return rows

    def pooled(ids):  # a vector, or a head's scores, as the file says
        rows = tokens(ids)
        if POOLING == 4:
            return linear(np.tanh(linear(rows[0], "cls")), "cls.output")
        return {1: rows.mean(0), 2: rows[0], 3: rows[-1]}[POOLING]


def read(rows):  # [("a text",), ...]
    found = [whole(text) for (text,) in rows]
    found = [ids if len(ids) <= LIMIT else $cut for ids in found]
    long = max(map(len, found))
    ids = np.array([each + [$pad] * (long - len(each)) for each in found])
    return {"input_ids": ids, "attention_mask": np.array([[1] * len(each) + [0] * (long - len(each)) for each in found])}


def kept(inputs):  # ids of each row, without what it is filled up with
    return [ids[mask == 1].tolist() for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"])]


$asks
'''
LOGITS = """\
CONFIG = {"id2label": {str(at): label for at, label in enumerate(LABELS)}}


def ask(inputs):
    return {"logits": np.stack([pooled(ids) for ids in kept(inputs)])}


$answering"""
VECTORS = """\
def ask(inputs):
    long, rows = inputs["input_ids"].shape[1], [tokens(ids) for ids in kept(inputs)]
    return {"last_hidden_state": np.stack([np.pad(each, ((0, long - len(each)), (0, 0))) for each in rows])}


def answers(rows):
    return [{"vectors": ($scaled).tolist()} for vector in map(pooled, kept(read(rows)))]


if __name__ == "__main__":
    print(json.dumps(answers([tuple(sys.argv[1:2])])[0], ensure_ascii=False))
"""
UNIT = "vector / max(np.linalg.norm(vector), 1e-12)"


def speaks(run: Run, *, exact: bool) -> str:
    """`runner.py` of a language model; `exact`: keys and values are kept as they are."""
    words = {
        "room": str(run.limit + ROOM),
        "kept": "0" if exact else "1",  # ggml's numbers of F32 and F16
        "prompt": "chat(turns)" if run.task.chats else runners.WORDS,
    }
    return Template(SPEAKS).substitute(words)


def tells(run: Run, *, heads: bool) -> str:
    """`runner.py` of a model that tells of texts: by a head's scores, or by a vector."""
    scaled = "vector" if getattr(run.task, "normalize", None) is False else UNIT
    left = run.tuned.processor.truncation_side == "left"
    words = runners.answering(run, inputs=(), outputs=())
    asks = Template(LOGITS if heads else VECTORS).substitute(words, scaled=scaled)
    words |= {
        "width": "COUNT" if heads else "MODEL.n_embd()",
        "pieces": _pieces(),
        "cut": "ids[:1] + ids[1 - LIMIT :]" if left else "ids[: LIMIT - 1] + ids[-1:]",
        "asks": asks,
    }
    return Template(READS).substitute(words)


@cache
def _pieces() -> str:
    """How word pieces are read, as it stands in a runner."""
    parts = (inspect.getsource(each) for each in (piece_reader.words, piece_reader.pieces))
    return textwrap.indent("\n".join(parts), "    ")
