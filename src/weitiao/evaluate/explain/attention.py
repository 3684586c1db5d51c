"""Where a model looks: how much attention each token gets, as a picture and no more.

    attended(model, inputs)  ->  (P, T), the mean over layers, heads and the tokens that look

Weights of attention say where a layer takes its values from, not what the answer rests on: others give the same answer
(Jain & Wallace 2019, arXiv 1902.10186).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from weitiao.core.why import reason

NOT_ASKED = ("logits_to_keep", "labels")


def attended(model: Any, inputs: Mapping[str, Any]) -> tuple[Any, str]:
    """How much attention each token gets (P, T), and why there is none, or nothing.

    Args:
        model: whichever; only one that can compute plain attention tells its weights.
        inputs: of padded rows.
    """
    given = {name: value for name, value in inputs.items() if name not in NOT_ASKED}
    ids_PT, mask_PT = given["input_ids"], given.get("attention_mask")
    with _eager(model) as able, torch.no_grad():
        if not able:
            return None, reason("no_plain_attention")
        try:
            said = model(**given, output_attentions=True)
        except (TypeError, ValueError, NotImplementedError):
            return None, reason("no_plain_attention")
    layers = [each for each in _weights(said) if each is not None and each.dim() == 4]
    length = ids_PT.shape[1]
    if not layers or min(*layers[0].shape[-2:]) < length or layers[0].shape[0] != len(ids_PT):
        return None, reason("no_attention_told")
    # Virtual tokens of prompt methods stand before a row's own.
    weight_PTT = torch.stack([each[..., -length:, -length:].float().mean(1) for each in layers]).mean(0)
    looks_PT = torch.ones_like(ids_PT) if mask_PT is None else mask_PT
    looks_PT = looks_PT.to(weight_PTT.dtype)
    total_P1 = looks_PT.sum(1, keepdim=True).clamp(min=1)
    return ((weight_PTT * looks_PT[..., None]).sum(1) / total_P1).cpu().numpy(), ""


def _weights(said: Any) -> Any:
    return getattr(said, "attentions", None) or getattr(said, "encoder_attentions", None) or ()


@contextmanager
def _eager(model: Any) -> Iterator[bool]:
    """Plain attention for a while: faster ways of computing it never hold its weights."""
    config = getattr(model, "config", None)
    before = getattr(config, "_attn_implementation", None)
    try:
        if before != "eager":
            model.set_attn_implementation("eager")
        able = getattr(config, "_attn_implementation", None) == "eager"
    except (AttributeError, ValueError, ImportError):
        able = False
    try:
        yield able
    finally:
        if before and getattr(config, "_attn_implementation", None) != before:
            model.set_attn_implementation(before)
