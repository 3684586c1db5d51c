"""A graph for onnxruntime: any number of rows of any length, and no torch where it runs.

run  ->  export/onnx/{model.onnx, config.json, tokenizer.json, runner.py}
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
from weitiao.export.folded import folded, unfoldable
from weitiao.export.form import Form
from weitiao.export.runners import answering

if TYPE_CHECKING:
    from weitiao.stages.run import Run

GRAPH = "model.onnx"
RUNNER = '''\
"""python runner.py "a text" ["its pair"]: this folder's model answers.  Needs onnxruntime, tokenizers and numpy, no network."""

import json
import os
import sys

import numpy as np
import onnxruntime
import tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = json.load(open(os.path.join(HERE, "config.json"), encoding="utf-8"))
TOKENIZER = tokenizers.Tokenizer.from_file(os.path.join(HERE, "tokenizer.json"))
TOKENIZER.encode_special_tokens = $characters
TOKENIZER.enable_truncation($limit, direction="$cut_side")
TOKENIZER.enable_padding(pad_id=$pad)
MODEL = onnxruntime.InferenceSession(os.path.join(HERE, "model.onnx"), providers=["CPUExecutionProvider"])


def read(rows):  # [("a text",), ...] or [("a text", "its pair"), ...]
    found = TOKENIZER.encode_batch([row[0] if len(row) == 1 else tuple(row) for row in rows])
    known = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    return {name: np.array([getattr(row, known[name]) for row in found], dtype=np.int64) for name in $inputs}


def ask(inputs):
    return dict(zip($outputs, MODEL.run($outputs, {name: inputs[name] for name in $inputs})))


$answering'''


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
        """What is no single pass over a text, modules that cannot be folded, tokenizers of Python."""
        from weitiao.models.folders import tokenizer

        if run.task.generates:
            return reason("form_not_spoken")
        if why := unfoldable(run):
            return why
        slow = not getattr(tokenizer(str(run.folder.model)), "is_fast", False)
        return reason("form_slow_tokenizer") if slow else ""

    def write(self, run: Run, folder: Path, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """The graph, the tokenizer's file, the runner."""
        with tempfile.TemporaryDirectory(prefix="weitiao-onnx-", dir=folder) as made:
            plain = Path(made) / "plain"
            plain.mkdir()
            folded(run, plain)
            with disk(folder):
                graph = folder / GRAPH if self.exact else Path(made) / GRAPH
                traced(plain, run.task.auto_class, graph, inputs=inputs, outputs=outputs)
                if not self.exact:
                    in_bytes(graph, folder / GRAPH)
                for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
                    if (plain / name).is_file():
                        shutil.copy(plain / name, folder / name)
        processor = run.tuned.processor
        words = answering(run, inputs=inputs, outputs=outputs) | {
            "pad": str(processor.pad_token_id or 0),
            "cut_side": processor.truncation_side,
            "characters": str(getattr(run.task, "split_special_tokens", True)),
        }
        write_text(folder / "runner.py", Template(RUNNER).substitute(words))


def traced(
    plain: Path, auto_class: str, file: Path, *, inputs: Sequence[str], outputs: Sequence[str]
) -> None:
    """Write the graph of a plain model, whose rows and tokens may be of any number.

    Args:
        plain: a folder of Transformers.
        auto_class: which opens it.
        file: where the graph goes; weights of more than 2 GB lie beside it.
        inputs: what it is called with, each (rows, tokens).
        outputs: what it says.
    """
    import warnings

    import torch
    import transformers
    from torch import nn

    from weitiao.models.quiet import hushed, quiet

    class Named(nn.Module):
        """The model, with arguments in order and some of its outputs."""

        def __init__(self, model: Any):
            super().__init__()
            self.model = model

        def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            said = self.model(**dict(zip(inputs, given, strict=True)))
            return tuple(said[name] for name in outputs)

    with quiet(), hushed("torch.onnx", "onnxscript", "onnx_ir"), warnings.catch_warnings():
        # What the exporter says while it tries its ways is no user's matter: the graph is compared afterwards.
        warnings.simplefilter("ignore")
        model = getattr(transformers, auto_class).from_pretrained(plain, dtype=torch.float32).eval()
        # No two sizes alike, none of them 1: else they are taken for the same, or for fixed.
        example = {name: torch.ones(3, 5, dtype=torch.int64) for name in inputs}
        sizes = ({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},)
        with torch.inference_mode():
            program = torch.onnx.export(
                Named(model).eval(),
                tuple(example.values()),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=(sizes * len(inputs),),
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        program.save(str(file))


def in_bytes(graph: Path, file: Path) -> None:
    """The same graph with weights of 8 bits, a scale a column; what they are multiplied with is rounded as it comes.

    Seven bits of them are used: with eight, sums run over on processors without VNNI (onnxruntime's page on quantization).
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(graph)
    del model.graph.value_info[:]  # shapes of values that the quantizer makes others of
    onnx.helper.set_model_props(
        model, {"onnx.quant.pre_process": "onnxruntime.quant"}
    )  # nothing is left to be said of that
    onnx.save(model, graph)
    quantize_dynamic(graph, file, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
