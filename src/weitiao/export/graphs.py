"""Graphs of onnxruntime and programs of torch, made of plain models of Transformers: any number of rows, of any length.

traced(plain, "AutoModelForSequenceClassification", file, inputs=..., outputs=...)   one pass
traced_decoder(plain, file)                                                          what goes on, with what it has read so far
programmed(plain, ...), scripted(plain, ...), lowered(plain, ...)                    the same as `torch.export`, TorchScript, ExecuTorch have it
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weitiao.core.errors import WeitiaoError
from weitiao.export.differs import Unwritable

PAST, PRESENT = "past_key_values", "present"
"""What a decoder has read so far, and what it has read then, by the names that Optimum gave them."""


@contextmanager
def silent() -> Iterator[None]:
    """Hear nothing of the exporter; what it cannot make is `Unwritable`."""
    import warnings

    from weitiao.models.quiet import hushed, quiet

    # What the exporter says while it tries its ways is no user's matter: the graph is compared afterwards.
    with quiet(), hushed("torch.onnx", "onnxscript", "onnx_ir"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (WeitiaoError, OSError, MemoryError):
            raise
        except (
            Exception
        ) as error:  # the exporter raises nearly anything, with the model's own error at its end
            cause: BaseException = error
            while cause.__cause__ is not None:
                cause = cause.__cause__
            raise Unwritable((str(cause).strip().splitlines() or [type(cause).__name__])[0]) from error


@dataclass(frozen=True)
class Traceable:
    """A model with arguments in order, what it is tried with, and the names of what it says."""

    named: Any
    example: Mapping[str, Any]
    outputs: Sequence[str]
    sizes: Any
    """Which of the arguments' sizes may be any."""


def one_pass(
    plain: Path,
    auto_class: str,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    frame: Sequence[int] = (),
    most: Sequence[int] = (),
) -> Traceable:
    """A model of texts, whose rows and tokens may be of any number; or of pictures, of whose pixels only the rows may be.

    Args:
        plain: a folder of Transformers.
        auto_class: which opens it.
        inputs: what it is called with, each (rows, tokens).
        outputs: what it says.
        frame: channels, height and width of pictures; none where it reads texts.
        most: rows and tokens of a call; any number of them where nothing is said.
    """
    import torch
    import transformers
    from torch import nn

    class Named(nn.Module):
        """The model, with arguments in order and some of its outputs."""

        def __init__(self, model: Any):
            super().__init__()
            self.model = model

        def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            said = self.model(**dict(zip(inputs, given, strict=True)))
            return tuple(said[name] for name in outputs)

    model = getattr(transformers, auto_class).from_pretrained(plain, dtype=torch.float32).eval()
    # No two sizes alike, none of them 1: else they are taken for the same, or for fixed.
    if frame:
        whole = torch.ones(3, *frame)
        example = {name: whole[:, 0].long() if name == "pixel_mask" else whole for name in inputs}
        sizes = free(0, most=most)
        return Traceable(Named(model).eval(), example, outputs, (tuple(sizes for _ in inputs),))
    example = {name: torch.ones(3, 5, dtype=torch.int64) for name in inputs}
    sizes = free(0, 1, most=most)
    return Traceable(Named(model).eval(), example, outputs, (tuple(sizes for _ in inputs),))


def traced(plain: Path, auto_class: str, file: Path, **words: Any) -> None:
    """Write the graph of a model of one pass; weights of more than 2 GB lie beside `file`, `words` as of `one_pass`."""
    with silent():
        save(one_pass(plain, auto_class, **words), file)


def programmed(plain: Path, auto_class: str, file: Path, **words: Any) -> None:
    """Write the same as a program of `torch.export`."""
    import torch

    with silent(), torch.no_grad():
        made = one_pass(plain, auto_class, **words)
        found = torch.export.export(made.named, tuple(made.example.values()), dynamic_shapes=made.sizes)
        torch.export.save(found, file)


def scripted(plain: Path, auto_class: str, file: Path, **words: Any) -> None:
    """Write the same as a module of TorchScript."""
    import torch

    with silent(), torch.inference_mode():
        made = one_pass(plain, auto_class, **words)
        # What it says is compared afterwards, on rows of other sizes than these.
        found = torch.jit.trace(made.named, tuple(made.example.values()), strict=False, check_trace=False)
        found.save(str(file))


def lowered(plain: Path, auto_class: str, file: Path, **words: Any) -> None:
    """Write the same as a program of ExecuTorch, whose memory is laid out beforehand for `most` rows and tokens."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    with silent(), torch.no_grad():
        made = one_pass(plain, auto_class, **words)
        found = torch.export.export(made.named, tuple(made.example.values()), dynamic_shapes=made.sizes)
        edge = to_edge_transform_and_lower(found, partitioner=[XnnpackPartitioner()])
        with file.open("wb") as opened:
            edge.to_executorch().write_to_file(opened)


def free(*places: int, most: Sequence[int] = ()) -> dict[int, Any]:
    """Sizes that may be any, or any up to so many."""
    from torch.export import Dim

    if not most:
        return dict.fromkeys(places, Dim.DYNAMIC)
    return {place: Dim(f"size{place}", min=1, max=most[place]) for place in places}


def save(made: Traceable, file: Path) -> None:
    """Write the graph; weights of more than 2 GB lie beside it."""
    import torch

    with torch.inference_mode():
        program = torch.onnx.export(
            made.named,
            tuple(made.example.values()),
            input_names=list(made.example),
            output_names=list(made.outputs),
            dynamic_shapes=made.sizes,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(str(file))


def traced_decoder(plain: Path, file: Path) -> None:
    """Write the graph of a language model that is given what it has read so far, and says what it has read then.

    Called with ids (B, T), a mask (B, P + T) and, of each layer, keys and values (B, H, P, D); P is 0 where nothing was read.

    Args:
        plain: a folder of Transformers.
        file: where the graph goes; weights of more than 2 GB lie beside it.
    """
    import torch
    import transformers
    from torch import nn

    from weitiao.models import inputs

    class Going(nn.Module):
        """The model, with what it has read as arguments in order."""

        def __init__(self, model: Any):
            super().__init__()
            self.model = model
            self.counts = inputs.takes(model, "position_ids")

        def forward(
            self, ids: torch.Tensor, mask: torch.Tensor, *past: torch.Tensor
        ) -> tuple[torch.Tensor, ...]:
            words: dict[str, Any] = (
                {"past_key_values": transformers.DynamicCache(pairs(past))} if past else {}
            )
            if self.counts:  # rows may be filled up on either side
                words["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            said = self.model(input_ids=ids, attention_mask=mask, use_cache=True, **words)
            return (said.logits, *kept(said.past_key_values))

    with silent():
        model = transformers.AutoModelForCausalLM.from_pretrained(plain, dtype=torch.float32).eval()
        rows, read, new = 3, 4, 5  # as above
        ids, mask = (torch.ones(rows, length, dtype=torch.int64) for length in (new, read + new))
        with torch.inference_mode():
            _, *past = Going(model)(ids[:, :read], mask[:, :read])
        layers = [f"{place}.{name}" for place in range(len(past) // 2) for name in ("key", "value")]
        example = {"input_ids": ids, "attention_mask": mask}
        example |= {f"{PAST}.{name}": each.clone() for name, each in zip(layers, past, strict=True)}
        sizes = (free(0, 1), free(0, 1), tuple(free(0, 2) for _ in past))
        outputs = ["logits", *(f"{PRESENT}.{name}" for name in layers)]
        save(Traceable(Going(model).eval(), example, outputs, sizes), file)


def pairs(past: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Keys and values of each layer."""
    return list(zip(past[::2], past[1::2], strict=True))


def kept(cache: Any) -> list[Any]:
    """Keys and values of each layer, one after the other."""
    return [each for layer in cache.layers for each in (layer.keys, layer.values)]


def keeps_plainly(config: Any) -> bool:
    """Does a language model keep keys and values of all that it has read, in every layer, and nothing else?"""
    import transformers
    from transformers.cache_utils import DynamicLayer

    made = transformers.DynamicCache(config=config)
    return all(type(layer) is DynamicLayer for layer in made.layers)
