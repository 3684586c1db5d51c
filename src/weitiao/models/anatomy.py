"""The parts of any Transformers model, by one vocabulary: head, linear layers, embeddings.

head(model)     names of the parameters of the task's new output layer
linears(model)  name -> nn.Linear, of everything below that layer
"""

from __future__ import annotations

import torch
from torch import nn


def head(model: nn.Module) -> frozenset[str]:
    """Names of the parameters that lie outside the pretrained body, such as `classifier.weight`.

    A language model's output layer is pretrained (and often tied to the embeddings), so it is no head.
    """
    body = f"{getattr(model, 'base_model_prefix', '')}."
    output = _output_layer(model)
    pretrained = {id(weight) for weight in output.parameters()} if output is not None else set()
    names = (
        n for n, weight in model.named_parameters() if not n.startswith(body) and id(weight) not in pretrained
    )
    return frozenset(names)


def linears(model: nn.Module, head: frozenset[str]) -> dict[str, nn.Linear]:
    """Every linear layer of the pretrained body by its full name (what PEFT calls `all-linear`).

    Args:
        model: any Transformers model.
        head: names of parameters that are new, whose layers are left out.
    """
    new = {name.rpartition(".")[0] for name in head}
    output = _output_layer(model)
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not output and name not in new
    }


def _output_layer(model: nn.Module) -> nn.Module | None:
    # Only language models have one; other Transformers models answer None, plain torch modules have no such method.
    return getattr(model, "get_output_embeddings", lambda: None)()


def head_modules(model: nn.Module, head: frozenset[str]) -> list[str]:
    """The modules that hold the new parameters: `classifier` as a whole, `bert.pooler.dense` inside the body."""
    body = f"{getattr(model, 'base_model_prefix', '')}."
    inside = {name.rpartition(".")[0] for name in head if name.startswith(body)}
    return sorted(inside | {name.partition(".")[0] for name in head if not name.startswith(body)})


def parameter_counts(model: nn.Module) -> tuple[int, int]:
    """(trained, all) numbers of parameters; a shared weight counts once."""
    weights = list(model.parameters())
    return sum(w.numel() for w in weights if w.requires_grad), sum(w.numel() for w in weights)


def cast_frozen(model: nn.Module) -> None:
    """Store frozen linear weights in bfloat16, once, instead of casting them in every call under autocast.

    The products are the same bit for bit.  A weight that an embedding shares is copied, because autocast would not
    have cast the embedding.  Not for models whose base is saved from memory afterwards.
    """
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    for module in model.modules():
        if isinstance(module, nn.Linear) and not module.weight.requires_grad:
            if id(module.weight) in embeddings:
                module.weight = nn.Parameter(module.weight.detach().clone(), requires_grad=False)
            module.to(torch.bfloat16)
