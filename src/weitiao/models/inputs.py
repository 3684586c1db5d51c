"""What a model is called with, seen from a hook: arguments by name, positions, the bounds of packed rows.

config(model), embeddings(model)  what Transformers' models say of themselves
text_model(model)                 the module that turns ids into hidden states (the encoder of an encoder-decoder)
named(module, args, words)        arguments of a call by name
positions(model, words, shift)    where the tokens stand, moved on by `shift`
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from weitiao.core.contracts import BOUNDS
from weitiao.models import anatomy
from weitiao.models.positions import places


def config(model: Any) -> Any:
    """The configuration of a model of Transformers'; a plain module knows none."""
    return model.config


def embeddings(model: Any) -> nn.Module:
    """What turns ids into vectors."""
    found: nn.Module = model.get_input_embeddings()
    return found


def text_model(model: Any) -> nn.Module:
    """The module between ids and hidden states: BertModel, LlamaModel, OPT's decoder, the encoder of T5.

    It is the innermost one that takes ids and holds the first block: an outer one is not always called.
    """
    name = anatomy.blocks(model)[0].stack
    while name:
        if takes(model.get_submodule(name), "input_ids"):
            return model.get_submodule(name)
        name = name.rpartition(".")[0]
    return model if takes(model, "input_ids") else model.base_model


def named(module: nn.Module, args: Sequence[Any], words: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, whichever way they were given."""
    kind: Any = type(module)
    return {**dict(zip(_parameters(kind), args, strict=False)), **words}


def takes(module: nn.Module, word: str) -> bool:
    """Does its forward know an argument of that name?"""
    kind: Any = type(module)
    return word in _parameters(kind)


@cache
def _parameters(kind: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(kind.forward).parameters)[1:]


def positions(model: Any, words: Mapping[str, Any], *, shift: int) -> Tensor:
    """Position of every token (B, T), moved on by `shift`.

    Args:
        model: whose family decides how positions are counted.
        words: the call's arguments, with `input_ids` or `inputs_embeds`.
        shift: how many positions lie before the row.
    """
    given = words.get("position_ids")
    if given is not None:
        return given + shift
    ids = words.get("input_ids")
    config = model.config
    if ids is not None and places(config).counted:
        real = (ids != config.pad_token_id).long()
        return (real.cumsum(1) + shift) * real + config.pad_token_id
    shown = ids if ids is not None else words["inputs_embeds"]
    past = words.get("past_key_values")
    start = shift + (past.get_seq_length() if past is not None else 0)
    return torch.arange(start, start + shown.shape[1], device=shown.device)[None]


def bounds(words: Mapping[str, Any]) -> Tensor | None:
    """Where packed rows begin and the last one ends (rows + 1,), on the CPU; None where rows are padded."""
    return words.get(BOUNDS)
