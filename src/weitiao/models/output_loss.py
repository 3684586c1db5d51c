"""Cross-entropy of a language model's frozen output layer without keeping its logits.

    learn(model)                          ask the model once whether its logits are its output layer's and nothing else
    token_losses(model, inputs, target)   losses (N,) in parts; None where the plain way must be gone
    states(model, inputs)                 what the output layer reads (N, D); of_states(...): their losses
    whole(model, inputs)                  logits and states of a model that does more with its logits
    formula_losses(model, inputs, of)     the same of any formula of the scores of all words
    part_scores(model, inputs)            scores of some tokens at a time, without a gradient

Logits of N tokens over V words are the largest tensors of a training step, and the plain way makes four of them: the
product, its float32 copy, log-probabilities, and their gradient.  The gradient of a token's loss depends on its own
hidden state alone, so here loss and gradient are computed together, for `PART` tokens at a time, while their logits are
in the cache; what is kept until backward is the gradient of the hidden states (N, D).  600 tokens of SmolLM2 (49,152
words, bfloat16, one core with AVX-512 bfloat16): 242 ms instead of 452 ms, of which the two products are 190.

A model that does more with its logits than its output layer does (Gemma 2 caps them, Cohere and Granite scale them),
or whose output layer trains, goes the plain way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from weitiao.models.linear import half_of

PART = 128
"""Tokens whose logits exist at once; 64 to 256 take the same time."""
KNOWN = "weitiao_plain_head"  # the attribute of a model
Formula: TypeAlias = Callable[[Tensor, slice], Tensor]
"""Scores (P, V) in float32, and which of the learnt tokens they are of -> a loss of each (P,)."""


@torch.no_grad()
def learn(model: Any, *, by_value: bool = True) -> None:
    """Send two words through the model, and note whether its logits are its output layer's, bit for bit.

    Args:
        model: a causal language model.
        by_value: compare numbers; a model that has none (`forecast.fake_model`) can only be asked whether what its output
            layer gives is what it gives.
    """
    head, body = model.get_output_embeddings(), model.base_model
    seen: dict[str, Tensor] = {}
    if isinstance(head, nn.Linear) and body is not model:
        hooks = [
            body.register_forward_hook(lambda module, args, found: seen.update(body=found[0])),
            head.register_forward_hook(lambda module, args, found: seen.update(head=found)),
        ]
        try:
            ids = torch.tensor([[0, 1]], device=head.weight.device)
            logits = model(input_ids=ids, use_cache=False).logits
        finally:
            for hook in hooks:
                hook.remove()
    same = len(seen) == 2 and (
        torch.equal(logits, head(seen["body"])) if by_value else logits is seen["head"]
    )
    setattr(model, KNOWN, same)


def is_plain(model: Any) -> bool:
    """Are its logits known to be its output layer's?"""
    return getattr(model, KNOWN, False)


def keeps_logits(model: Any) -> bool:
    """Are the scores of all words needed at once, because the output layer learns or is not all of what makes them?"""
    if not is_plain(model):
        return True
    weight = model.get_output_embeddings().weight
    # Sharded among processes it is whole only inside of the model's own call.
    return weight.requires_grad or hasattr(weight, "device_mesh")


def called(model: Any, *, whole: bool) -> nn.Module:
    """The module that a language task calls when it learns: around its output layer, where no logits are needed.

    Args:
        model: a causal language model.
        whole: does the task look at all words of a token?
    """
    return model if whole or keeps_logits(model) else model.base_model


def token_losses(
    model: Any, inputs: Mapping[str, Any], target_N: Tensor, *, temperature: float = 1.0
) -> Tensor | None:
    """Cross-entropy of every learnt token (N,); None where logits are needed.

    Args:
        model: a causal language model.
        inputs: what it is called with; `logits_to_keep` (N,) says where, in B x T laid flat, the learnt tokens are
            predicted from.
        target_N: the learnt tokens.
        temperature: what scores are divided by.
    """
    if keeps_logits(model):
        return None
    return of_states(model, states(model, inputs), target_N, temperature=temperature)


def states(model: Any, inputs: Mapping[str, Any]) -> Tensor:
    """What the output layer of a model reads whose logits are that layer's (`is_plain`), at the learnt tokens (N, D)."""
    words = dict(inputs)
    keep_N = words.pop("logits_to_keep")
    hidden: Tensor = model.base_model(**words, use_cache=False)[0]
    return hidden.flatten(0, 1)[keep_N]


def whole(model: Any, inputs: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Logits (N, V) at the learnt tokens of any model, and what its output layer reads there (N, D)."""
    words = {**inputs, "use_cache": False}
    keep_N = words.pop("logits_to_keep")
    if getattr(model, "_compiled_call_impl", None) is not None:
        # Hooks come and go below: a compiled model would be compiled anew at every call.
        found = model(**words).logits, model.base_model(**words)[0]
    else:
        seen: list[Tensor] = []
        hook = model.get_output_embeddings().register_forward_pre_hook(
            lambda module, args: seen.append(args[0])
        )
        try:
            found = model(**words).logits, *seen
        finally:
            hook.remove()
    logits_NV, states_ND = (each.flatten(0, 1)[keep_N] for each in found)
    return logits_NV, states_ND


def of_states(model: Any, hidden_ND: Tensor, target_N: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Cross-entropy of every learnt token (N,), of what the output layer reads (`states`)."""
    head = model.get_output_embeddings()
    if keeps_logits(model):
        logits_NV = head(hidden_ND).float() / temperature
        return nn.functional.cross_entropy(logits_NV, target_N, reduction="none")
    # The layer is linear: what comes out is divided where what goes in is.
    divided_ND = hidden_ND if temperature == 1 else hidden_ND / temperature
    hidden_ND, weight_VD, bias_V = _in_half(divided_ND, head)
    bias_V = bias_V if bias_V is None or temperature == 1 else bias_V / temperature
    return _TokenLosses.apply(hidden_ND, weight_VD, bias_V, target_N, _learns(hidden_ND))


def formula_losses(model: Any, inputs: Mapping[str, Any], formula: Formula) -> Tensor | None:
    """A loss of every learnt token (N,) that looks at all of its words; None where logits are needed at once.

    Args:
        model: a causal language model.
        inputs: as of `token_losses`.
        formula: asked for a part of the tokens at a time.
    """
    if keeps_logits(model):
        return None
    hidden_ND, weight_VD, bias_V = _parts(model, inputs)
    return _FormulaLosses.apply(hidden_ND, weight_VD, bias_V, formula, _learns(hidden_ND))


def in_parts(logits_NV: Tensor, formula: Formula) -> Tensor:
    """The same of logits that are all there: what the formula makes of them is made again in the backward pass."""
    from torch.utils.checkpoint import checkpoint

    parts = [
        checkpoint(formula, part, which, use_reentrant=False, preserve_rng_state=False)
        for part, which in _cut(logits_NV)
    ]
    return torch.cat(parts)


@torch.no_grad()
def part_scores(model: Any, inputs: Mapping[str, Any]) -> Callable[[slice], Tensor] | None:
    """What gives scores (P, V) of some of the learnt tokens, in float32; None where logits are needed at once."""
    if keeps_logits(model):
        return None
    hidden_ND, weight_VD, bias_V = _parts(model, inputs)

    @torch.no_grad()
    def scores(which: slice) -> Tensor:
        return _scores(hidden_ND[which], weight_VD, bias_V)

    return scores


def _parts(model: Any, inputs: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor | None]:
    """Hidden states of the learnt tokens (N, D), and weight (V, D) and bias (V,) of the output layer."""
    return _in_half(states(model, inputs), model.get_output_embeddings())


def _in_half(hidden_ND: Tensor, head: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    half = half_of(hidden_ND) or hidden_ND.dtype
    return hidden_ND.to(half), head.weight.to(half), head.bias


def _learns(hidden_ND: Tensor) -> bool:
    return torch.is_grad_enabled() and hidden_ND.requires_grad


def _scores(hidden_PD: Tensor, weight_VD: Tensor, bias_V: Tensor | None) -> Tensor:
    logits_PV = nn.functional.linear(
        hidden_PD, weight_VD, None if bias_V is None else bias_V.to(hidden_PD.dtype)
    )
    return logits_PV.to(torch.promote_types(logits_PV.dtype, torch.float32))


def _cut(tensor_N: Tensor) -> list[tuple[Tensor, slice]]:
    """`PART` tokens at a time, and which these are."""
    parts = tensor_N.split(PART)
    return [(part, slice(nth * PART, nth * PART + len(part))) for nth, part in enumerate(parts)]


class _Known(torch.autograd.Function):
    """Losses whose gradient by h was found on the way forward; what comes back only weighs them."""

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (back_ND,) = ctx.saved_tensors
        return (back_ND * gradients[0][:, None]).to(back_ND.dtype), None, None, None, None


class _FormulaLosses(_Known):
    """Losses of scores W h + b by any formula, and their gradient by h."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, formula: Formula, learns: bool
    ) -> Tensor:
        losses: list[Tensor] = []
        gradients: list[Tensor] = []
        for part, which in _cut(hidden_ND):
            hidden = part.detach().requires_grad_(learns)
            with torch.set_grad_enabled(learns):
                found = formula(_scores(hidden, weight_VD, bias_V), which)
                if learns:
                    gradients += torch.autograd.grad(found.sum(), hidden)
            losses.append(found.detach())
        if learns:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)


class _TokenLosses(_Known):
    """-log softmax(W h + b)[target], and its gradient by h."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_N: Tensor, learns: bool
    ) -> Tensor:
        losses, gradients = [], []
        for hidden, target in zip(hidden_ND.split(PART), target_N.split(PART), strict=True):
            logits = nn.functional.linear(
                hidden, weight_VD, None if bias_V is None else bias_V.to(hidden.dtype)
            )
            log_shares = torch.log_softmax(logits, -1, dtype=torch.float32)
            losses.append(-log_shares.gather(1, target[:, None])[:, 0])
            if learns:
                shares = log_shares.exp_()
                shares[torch.arange(len(target), device=target.device), target] -= 1
                gradients.append(shares.to(weight_VD.dtype) @ weight_VD)
        if learns:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)
