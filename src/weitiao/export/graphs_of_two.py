"""Graphs of an encoder-decoder: one reads a row, the other writes on, word by word.

traced_writer(plain, folder)  ->  folder/encoder_model.onnx   ids, mask            ->  what of the row every layer of the decoder looks at
                                  folder/decoder_model.onnx   ids, that, the past  ->  scores, and the past with these ids in it

Keys and values of the row that is read are computed once, by the first graph: so no weight lies in both but the words', and a
word costs no more for a longer row than attention to it does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weitiao.export.graphs import PAST, PRESENT, Traceable, free, kept, pairs, save, silent

ENCODER, DECODER = "encoder_model.onnx", "decoder_model.onnx"
"""By the names that Optimum gave them."""


def traced_writer(plain: Path, folder: Path) -> None:
    """Write both graphs.

    Args:
        plain: a folder of Transformers.
        folder: where they go.

    Raises:
        Unwritable: where it cannot be traced.
    """
    import torch
    import transformers
    from torch import nn
    from transformers import DynamicCache, EncoderDecoderCache

    def read(hidden: Any) -> Any:
        return transformers.modeling_outputs.BaseModelOutput(last_hidden_state=hidden)

    class Reading(nn.Module):
        """The encoder, and of each layer of the decoder keys and values of what it has read."""

        def __init__(self, model: Any):
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
            hidden = self.model.get_encoder()(input_ids=ids, attention_mask=mask)[0]
            past = EncoderDecoderCache(DynamicCache(), DynamicCache())
            # Any word makes the decoder look at the row; what it says of it is no part of the graph.
            words = {"decoder_input_ids": ids[:, :1], "past_key_values": past, "use_cache": True}
            self.model(encoder_outputs=read(hidden), attention_mask=mask, **words)
            return tuple(kept(past.cross_attention_cache))

    class Writing(nn.Module):
        """The decoder, with what it has written and what was read as arguments in order."""

        def __init__(self, model: Any, width: int):
            super().__init__()
            self.model, self.width = model, width

        def forward(
            self, ids: torch.Tensor, mask: torch.Tensor, *past: torch.Tensor
        ) -> tuple[torch.Tensor, ...]:
            own, across = past[: len(past) // 2], past[len(past) // 2 :]
            cache = EncoderDecoderCache(DynamicCache(pairs(own)), DynamicCache(pairs(across)))
            # Of the row itself only its size is looked at.
            row = read(across[0].new_zeros(*mask.shape, self.width))
            words = {"decoder_input_ids": ids, "past_key_values": cache, "use_cache": True}
            said = self.model(encoder_outputs=row, attention_mask=mask, **words)
            return (said.logits, *kept(cache.self_attention_cache))

    with silent():
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(plain, dtype=torch.float32).eval()
        # No two sizes alike, none of them 1: else they are taken for the same, or for fixed.
        rows, length, before, new = 3, 7, 4, 5
        ids, mask = torch.ones(2, rows, length, dtype=torch.int64)
        with torch.inference_mode():
            width = model.get_encoder()(input_ids=ids, attention_mask=mask)[0].shape[-1]
            across = Reading(model)(ids, mask)
            nothing = [each[:, :, :0] for each in across]
            _, *own = Writing(model, width)(ids[:, :before], mask, *nothing, *across)
        layers = [f"{place}.{side}" for side in ("decoder", "encoder") for place in range(len(own) // 2)]
        names = [f"{layer}.{name}" for layer in layers for name in ("key", "value")]
        given = {"input_ids": ids, "attention_mask": mask}
        says = [f"{PRESENT}.{name}" for name in names[len(own) :]]
        sizes: tuple[Any, ...] = (free(0, 1), free(0, 1))
        save(Traceable(Reading(model).eval(), given, says, sizes), folder / ENCODER)
        given = {"input_ids": ids[:, :new], "encoder_attention_mask": mask}
        given |= {f"{PAST}.{name}": each.clone() for name, each in zip(names, (*own, *across), strict=True)}
        says = ["logits", *(f"{PRESENT}.{name}" for name in names[: len(own)])]
        sizes = (free(0, 1), free(0, 1), tuple(free(0, 2) for _ in names))
        save(Traceable(Writing(model, width).eval(), given, says, sizes), folder / DECODER)
