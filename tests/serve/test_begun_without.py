"""What a server has imported and looked through when it begins to listen: what is not needed costs every start."""

from __future__ import annotations

import pytest

from tests.api.test_start import modules

pytestmark = pytest.mark.whole

BEGUN = """
import gc
from weitiao import api
class Enough(Exception): ...
def began(address):
    assert gc.isenabled() and gc.get_freeze_count() > 50_000, "what is loaded is looked through by every request"
    looked = [one["collections"] for one in gc.get_stats()]
    assert looked[2] == 0, "and it was looked through while it was loaded"
    raise Enough
try:
    api.serve({run!r}, port=0, backend={backend!r}, began=began)
except Enough:
    assert gc.get_freeze_count() == 0
    needless = ("study", "forecast", "launch", "compress", "serve.tuning", "train.loop", "evaluate.report", "evaluate.metrics")
    found = [name for name in sys.modules if name.startswith(tuple("weitiao." + room for room in needless))]
    assert not found, found
else:
    raise AssertionError("it has not begun")
"""
NEEDLESS = {
    "sklearn",
    "matplotlib",
    "pandas",
    "pyarrow",
    "peft",
    "trl",
    "datasets",
    "gguf",
    "bitsandbytes",
    "torchvision",
    "onnx",
    "rich",
    "typer",
}
"""`scipy`, `sympy` and `accelerate` come with Transformers' models."""
OF_GRAPHS = {"torch", "transformers", "scipy", "huggingface_hub", "safetensors", "jinja2", "PIL"}


def test_a_server_begins_without_what_it_does_not_need(labels, tmp_path):
    found = modules(BEGUN.format(run=str(labels["first"].path), backend="torch"), tmp_path)
    assert not found & (NEEDLESS | {"onnxruntime"})
    assert {"torch", "fastapi"} <= found


def test_a_server_of_a_graph_needs_less(labels, tmp_path):
    pytest.importorskip("onnxruntime")
    labels["first"].export("onnx")
    found = modules(BEGUN.format(run=str(labels["first"].path), backend="onnx"), tmp_path)
    assert not found & (NEEDLESS | OF_GRAPHS)
    assert {"onnxruntime", "fastapi"} <= found
