"""Models that read one row and write another: an encoder-decoder with an output layer over words.

    writes(model)                     is it one?
    start(model, tokenizer)           see to it that its decoder has a token to start from
    begin(model, before, behind)      what every answer begins with
    written_logits(model, ...)        scores of what is written, and of nothing that fills rows up
    decoder_inputs(model, labels_BT)  what its decoder reads where these are to be written (B, T): one step behind them

What is learnt is shifted once and here alone, by the model's own rule where it has one (mBART takes the last token of a
row, which names its language, for the first that is read).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from weitiao.core.contracts import BOUNDS, WRITTEN_BOUNDS
from weitiao.data.two_sides import IGNORE
from weitiao.models import end_to_end


def writes(model: Any) -> bool:
    """Does it read a row and give scores over words for another one?"""
    outputs = getattr(model, "get_output_embeddings", lambda: None)
    return bool(getattr(model.config, "is_encoder_decoder", False)) and outputs() is not None


def start(model: Any, processor: Any) -> str:
    """See to it that the configuration says where the decoder starts, as an `EncoderDecoderModel` made of two encoders does
    not; the token that it was given, empty where it had one."""
    config = model.config
    if getattr(config, "decoder_start_token_id", None) is not None:
        return ""
    settings = getattr(model, "generation_config", None)
    known = [getattr(settings, "decoder_start_token_id", None)]
    known += [getattr(processor, f"{name}_token_id", None) for name in ("bos", "cls", "pad")]
    found = next((token for token in known if token is not None), config.pad_token_id)
    config.decoder_start_token_id = found
    return str(processor.convert_ids_to_tokens(found))


def begin(model: Any, before: Sequence[int], behind: Sequence[int]) -> list[int]:
    """The tokens that every answer begins with, the decoder's start first.

    Args:
        model: whose decoder starts.
        before: what the tokenizer puts before a target (a language's mark).
        behind: what it puts behind it.
    """
    nothing_BT = torch.tensor([[*before, *behind]], device=next(model.parameters()).device)
    if not nothing_BT.numel():
        return [int(model.config.decoder_start_token_id)]
    read = decoder_inputs(model, nothing_BT)[0].tolist()
    # What is read first stands before what is written first.
    return [*read[:1], *before]


def decoder_inputs(model: Any, labels_BT: Tensor) -> Tensor:
    """The tokens from which each of the labels is predicted (B, T).

    Args:
        model: an encoder-decoder whose configuration says where it starts (`start`).
        labels_BT: what is to be written, filled up with `IGNORE` on the right.
    """
    if own := getattr(model, "prepare_decoder_input_ids_from_labels", None):
        return own(labels_BT)
    shifted_BT = labels_BT.roll(1, 1)
    shifted_BT[:, 0] = model.config.decoder_start_token_id
    return shifted_BT.masked_fill(shifted_BT == IGNORE, model.config.pad_token_id)


def written_logits(model: Any, inputs: Mapping[str, Any], labels_BT: Tensor) -> Tensor:
    """Scores (N, V), float32, of the tokens that are written, without those of what fills rows up.

    A hook before the output layer takes the others away, so that scores of many words are neither computed nor kept for
    them; where that is not what the model's scores are made of, they are taken away behind it.

    Args:
        model: an encoder-decoder.
        inputs: `input_ids` and `attention_mask` of what is read; or, of rows end to end (`models.end_to_end`), `input_ids`
            and where rows begin on both sides.
        labels_BT: what is written, filled up with `IGNORE`.
    """
    ids_BT, real_BT = decoder_inputs(model, labels_BT), labels_BT != IGNORE
    # Hooks come and go here: a compiled model would be compiled anew at every call.
    compiled = getattr(model, "_compiled_call_impl", None) is not None
    if BOUNDS in inputs and not compiled:
        read, written = inputs[BOUNDS], inputs[WRITTEN_BOUNDS]
        found = end_to_end.said(model, inputs["input_ids"], ids_BT[real_BT][None], read=read, written=written)
        return found.logits[0].float()
    if BOUNDS in inputs:
        inputs = _filled(inputs["input_ids"][0], inputs[BOUNDS], padding=model.config.pad_token_id or 0)
    words = {**inputs, "decoder_input_ids": ids_BT, "use_cache": False}
    if compiled:
        return model(**words).logits[real_BT].float()

    def taken(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = args[0]
        return (hidden[real_BT], *args[1:]) if hidden.shape[:2] == real_BT.shape else args

    hook = model.get_output_embeddings().register_forward_pre_hook(taken)
    try:
        logits = model(**words).logits
    finally:
        hook.remove()
    return (logits if logits.dim() == 2 else logits[real_BT]).float()


def _filled(ids_S: Tensor, bounds: Tensor, *, padding: int) -> dict[str, Tensor]:
    """Rows end to end as rows that are filled up: ids and mask (B, S)."""
    rows = ids_S.split(bounds.diff().tolist())
    fill = partial(torch.nn.utils.rnn.pad_sequence, batch_first=True)
    return {
        "input_ids": fill(list(rows), padding_value=padding),
        "attention_mask": fill([torch.ones_like(row) for row in rows]),
    }
