"""Learnt vectors before every row: the module that holds them, and the hooks that put them there.

    put_before(model, Prompt(first, encoder))      [x_1 ... x_T]  ->  [p_1 ... p_P, e(x_1) ... e(x_T)]

What comes out at the vectors is cut off again, so that heads, losses and generation see the row alone.  They stand
before each row of a packed sequence; while generating they lie in the cache; of an encoder-decoder they stand before
the encoder's rows, and the decoder looks at them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from weitiao.core.contracts import BOUNDS, Inserted
from weitiao.models import inputs
from weitiao.models.wrap import hang

NAME = "prompt"  # what the module is called inside the model


class Prompt(Inserted, nn.Module):
    """The learnt vectors, and the encoder that makes them, if there is one."""

    def __init__(self, first: Tensor, encoder: nn.Module | None, *, stays: bool):
        super().__init__()
        self.embedding = nn.Parameter(first)
        self.encoder = encoder
        self.stays = stays

    def forward(self) -> Tensor:
        """(P, D), always in float32: rounding would be the same in every row."""
        with torch.autocast(self.embedding.device.type, enabled=False):
            return self.embedding if self.encoder is None else self.encoder(self.embedding)

    def settle(self, vectors: Tensor) -> None:
        """Be these vectors from now on; the encoder has done its work (PEFT saves no more than them either).

        Raises:
            KeyError: when they are of another shape.
        """
        if vectors.shape != self.embedding.shape:
            raise KeyError(f"prompt_embeddings of shape {tuple(vectors.shape)}")
        self.encoder = None
        self.embedding.data = vectors.to(self.embedding)


def put_before(model: Any, prompt: Prompt) -> None:
    """Hang the prompt into the model."""
    body = inputs.text_model(model)
    name = hang(body, NAME, prompt)
    # Hooks find the prompt by its name in the model that calls them, so that a copy of the model has its own.
    body.register_forward_pre_hook(partial(_before, name), with_kwargs=True)
    body.register_forward_hook(partial(_after, name), with_kwargs=True)
    if prompt.stays:
        model.get_decoder().register_forward_pre_hook(_lengthen_cross_mask, with_kwargs=True)


def _prompt(body: nn.Module, name: str) -> Prompt | None:
    prompt = body._modules.get(name)  # none once it has been taken off again
    return prompt if isinstance(prompt, Prompt) and prompt.enabled else None


def _before(
    name: str, body: nn.Module, args: Any, words: dict[str, Any]
) -> tuple[tuple[()], dict[str, Any]] | None:
    prompt, words = _prompt(body, name), inputs.named(body, args, words)
    if prompt is None:
        return None
    vectors_PD = prompt()
    count = len(vectors_PD)
    rows = inputs.bounds(words)
    past = words.get("past_key_values")
    if past is not None and past.get_seq_length():  # the vectors lie in the cache already
        words["position_ids"] = inputs.positions(
            body, words, shift=0 if "position_ids" not in words else count
        )
        words["attention_mask"] = _longer(words.get("attention_mask"), count)
        return (), words
    embed = inputs.embeddings(body)
    ids = words.pop("input_ids", None)
    rows_BTD = words["inputs_embeds"] if ids is None else embed(ids)
    vectors_PD = vectors_PD.to(rows_BTD.dtype)
    if rows is not None:
        words |= _packed(rows_BTD, rows, vectors_PD)
        return (), words
    batch = rows_BTD.shape[0]
    words["inputs_embeds"] = torch.cat([vectors_PD.expand(batch, -1, -1), rows_BTD], dim=1)
    words["attention_mask"] = _longer(words.get("attention_mask"), count)
    if words.get("token_type_ids") is not None:
        words["token_type_ids"] = nn.functional.pad(words["token_type_ids"], (count, 0))
    if words.get("position_ids") is not None:
        # Of several axes, where pictures stand among the words.
        axes = words["position_ids"].shape[:-1]
        own = torch.arange(count, device=rows_BTD.device).expand(*axes, -1)
        words["position_ids"] = torch.cat([own, words["position_ids"] + count], dim=-1)
    return (), words


def _packed(rows_1TD: Tensor, bounds: Tensor, vectors_PD: Tensor) -> dict[str, Any]:
    """The same vectors before each row of a sequence of many."""
    count, rows, device = len(vectors_PD), len(bounds) - 1, rows_1TD.device
    place = _places(bounds, count).to(device, non_blocking=True)
    long = rows_1TD.new_empty(1, rows_1TD.shape[1] + rows * count, rows_1TD.shape[2])
    starts = bounds[:-1] + count * torch.arange(rows, device=bounds.device)
    heads = (starts[:, None] + torch.arange(count, device=bounds.device)).flatten()
    heads = heads.to(device, non_blocking=True)
    long = long.index_copy(1, place, rows_1TD).index_copy(1, heads, vectors_PD.repeat(rows, 1)[None])
    moved = bounds + count * torch.arange(rows + 1, device=bounds.device)
    sizes = moved[1:] - moved[:-1]
    position = torch.arange(int(moved[-1]), device=bounds.device) - moved[:-1].repeat_interleave(sizes)
    position = position.to(device, non_blocking=True)
    return {"inputs_embeds": long, BOUNDS: moved, "position_ids": position[None]}


def _places(bounds: Tensor, count: int) -> Tensor:
    """Where each token of the packed rows stands once `count` vectors stand before every row."""
    sizes = bounds[1:] - bounds[:-1]
    row = torch.arange(len(sizes), device=bounds.device).repeat_interleave(sizes)
    return torch.arange(int(bounds[-1]), device=bounds.device) + count * (row + 1)


def _after(name: str, body: nn.Module, args: Any, words: dict[str, Any], output: Any) -> Any:
    prompt, words = _prompt(body, name), inputs.named(body, args, words)
    # `_before` gives embeddings wherever it has put the vectors in.
    if prompt is None or prompt.stays or words.get("inputs_embeds") is None:
        return output
    count, hidden_BTD, rows = len(prompt.embedding), output.last_hidden_state, inputs.bounds(words)
    past = words.get("past_key_values")
    if past is not None and past.get_seq_length() > hidden_BTD.shape[1]:
        return output  # a model that is given embeddings all the time, whose vectors lie in the cache
    if rows is None:
        output.last_hidden_state = hidden_BTD[:, count:]
    else:
        own = rows - count * torch.arange(len(rows), device=rows.device)
        place = _places(own, count).to(hidden_BTD.device, non_blocking=True)
        output.last_hidden_state = hidden_BTD.index_select(1, place)
    return output


def _lengthen_cross_mask(decoder: nn.Module, args: Any, words: dict[str, Any]) -> Any:
    """The decoder looks at the vectors' states too, so its mask over the encoder's states must cover them."""
    words = inputs.named(decoder, args, words)
    mask, states = words.get("encoder_attention_mask"), words.get("encoder_hidden_states")
    if mask is None or states is None:
        return None
    words["encoder_attention_mask"] = _longer(mask, states.shape[1] - mask.shape[1])
    return (), words


def _longer(mask: Tensor | None, count: int) -> Tensor | None:
    return mask if mask is None else nn.functional.pad(mask, (count, 0), value=1)
