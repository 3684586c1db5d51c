"""The same graph with weights of 8 bits, a scale a column or kernel.

in_bytes(graph, file)                 what weights are multiplied with is rounded as it comes
in_bytes(graph, file, seen=batches)   of a graph of convolutions: by the range that it has in these, whatever comes

Seven bits of them are used: with eight, sums run over on processors without VNNI (onnxruntime's page on quantization).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Batches = Iterable[Mapping[str, Any]]
"""What a graph is given, by the names of its inputs."""
WORDS = {"per_channel": True, "reduce_range": True}


def in_bytes(graph: Path, file: Path, *, seen: Batches | None = None) -> None:
    """Write the rounded graph.

    Args:
        graph: in float32; its shapes of values are taken out.
        file: where it goes.
        seen: what it was trained on, looked at where there are convolutions to be rounded; None: not to be had.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static

    model = onnx.load(graph)
    del model.graph.value_info[:]  # shapes of values that the quantizer makes others of
    onnx.helper.set_model_props(
        model, {"onnx.quant.pre_process": "onnxruntime.quant"}
    )  # nothing is left to be said of that
    onnx.save(model, graph)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    # A convolution with a kernel a channel has few weights, of scales far from each other.
    apart = [node.name for node in convolutions if _groups(node) > 1]
    words: dict[str, Any] = {**WORDS, "weight_type": QuantType.QInt8}
    # The first one reads colours, and has few weights too; of a model of attention it is all there is.
    if seen is None or {node.name for node in convolutions[1:]} <= {*apart}:
        quantize_dynamic(graph, file, nodes_to_exclude=apart, **words)
        return
    batches = iter(seen)

    class Seen(CalibrationDataReader):
        """The batches, one by one."""

        def get_next(self) -> Any:
            """The next one; None behind the last."""
            return next(batches, None)

    quantize_static(
        graph,
        file,
        Seen(),
        op_types_to_quantize=["Conv", "Gemm", "MatMul"],  # sums and gates between them stay as they are
        nodes_to_exclude=[convolutions[0].name, *apart],
        activation_type=QuantType.QUInt8,
        extra_options={"MatMulConstBOnly": True},
        **words,
    )


def _groups(node: Any) -> int:
    return next((each.i for each in node.attribute if each.name == "group"), 1)
