"""The dropout of any Transformers model: what its configuration calls it, and whether there is any.

names(config)          ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"]
put(config, share)     all of them set
is_there(model)        does anything drop out in training?
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

# hidden_dropout_prob (BERT), attention_dropout (Llama), dropout_rate (T5), resid_pdrop (GPT-2) ...  `layerdrop`, which
# leaves out whole layers, is another thing.
WORDS = ("dropout", "pdrop")
HEADS = ("classif", "cls_", "summary_", "qa_", "pooler_")
"""Dropout of heads: whether a model has that head is not known from its configuration."""


def names(config: Any) -> list[str]:
    """What a configuration calls its dropout probabilities; the inner one of a text model too."""
    return sorted({name for _, name in _found(config)})


def put(config: Any, share: float) -> None:
    """Set all of them, before a model is made of the configuration."""
    for part, name in _found(config):
        setattr(part, name, share)


def total(config: Any) -> list[str]:
    """Those by which everything drops out."""
    return sorted({name for part, name in _found(config) if (getattr(part, name) or 0) >= 1})


def is_there(model: nn.Module) -> bool:
    """Does anything drop out in training: a module, or attention, whose probability is a number that it is called
    with?"""
    if any(_share(module) > 0 for module in model.modules()):
        return True
    config: Any = model.config
    return any((getattr(part, name) or 0) > 0 for part, name in _found(config) if not name.startswith(HEADS))


def silence(model: nn.Module) -> None:
    """Nothing drops out any more."""
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for name, value in vars(module).items():
            if isinstance(value, float) and any(
                word in name for word in WORDS
            ):  # attention's, a plain number
                setattr(module, name, 0.0)


def _share(module: nn.Module) -> float:
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p
    return module.dropout if isinstance(module, nn.RNNBase) else 0.0


def _found(config: Any) -> Iterator[tuple[Any, str]]:
    for part in {id(part): part for part in (config, config.get_text_config())}.values():
        for name, value in part.to_dict().items():
            number = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
            if number and any(word in name for word in WORDS):
                yield part, name
