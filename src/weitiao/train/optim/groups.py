"""Which trained parameters learn at which rate, and which decay.

groups(model, settings, learning_rate=...)  ->  [{"params": [...], "lr": 1e-4, "weight_decay": 0.01, ...}, ...]

rate of a parameter = learning rate x the method's factor (LoRA+) x head_learning_rate_ratio x layerwise_lr_decay^level
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from weitiao.core.errors import fault
from weitiao.core.recipe import Train
from weitiao.core.why import because
from weitiao.models import anatomy


def groups(
    model: nn.Module,
    settings: Train,
    *,
    learning_rate: float,
    head: frozenset[str] = frozenset(),
    factors: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Groups of all that trains, in an order of their own; no decay on biases, norms, and factors kept as vectors.

    Beside what optimisers read, a group holds `peak_lr` (its rate at the highest, from which schedules go) and, for
    Muon alone, `matrix`: are these hidden matrices?

    Args:
        model: whose parameters know whether they train.
        settings: the recipe's `train` section.
        learning_rate: the peak rate.
        head: names of the parameters of the task's new output layer.
        factors: name of a parameter -> the method's factor on its rate; others have 1.

    Raises:
        WeitiaoError: `unfit_training` when a ratio has nothing to act on, or Muon no matrix; `unknown_anatomy` when
            the model's blocks are needed and not found.
    """
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    scales = _scales(model, settings, trained, head)
    matrices = hidden_matrices(model, trained) if settings.optim == "muon" else frozenset()
    norms = anatomy.norm_weights(model)
    found: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
    for name, weight in trained.items():
        # Factors that are kept as a row or a column (IA3) would be drawn to zero, which is not where they begin.
        spared = weight.ndim < 2 or 1 in weight.shape or id(weight) in norms
        factor = (factors or {}).get(name, 1.0) * scales.get(name, 1.0)
        found.setdefault((factor, spared, name in matrices), []).append(weight)
    return [
        {
            "params": weights,
            "lr": learning_rate * factor,
            "peak_lr": learning_rate * factor,
            "weight_decay": 0.0 if spared else settings.weight_decay,
            **({"matrix": matrix} if matrices else {}),
        }
        for (factor, spared, matrix), weights in sorted(found.items(), key=lambda group: group[0])
    ]


def _scales(
    model: nn.Module, settings: Train, trained: Mapping[str, nn.Parameter], head: frozenset[str]
) -> dict[str, float]:
    """Name -> the recipe's own factor on the rate."""
    ratio, decay = settings.head_learning_rate_ratio, settings.layerwise_lr_decay
    scales = dict.fromkeys(trained, 1.0)
    if ratio != 1:
        if not head & trained.keys():
            none = because("no_new_output")
            raise fault("unfit_training", key="head_learning_rate_ratio", value=ratio, **none)
        scales |= dict.fromkeys(head & trained.keys(), ratio)
    if decay != 1:
        levels = anatomy.levels(model, head)
        # The highest level that trains learns at the full rate, whether it is a head or, without one, a block.
        top = min(levels[name] for name in trained)
        scales = {name: scale * decay ** (levels[name] - top) for name, scale in scales.items()}
    return scales


def hidden_matrices(model: nn.Module, trained: Mapping[str, nn.Parameter]) -> frozenset[str]:
    """Names of the trained matrices inside the blocks; embeddings, heads, norms and vectors are none.

    Raises:
        WeitiaoError: `unknown_anatomy`, or `unfit_training` when there is none.
    """
    within = tuple(f"{block.name}." for block in anatomy.blocks(model))
    # T5 keeps an embedding (of distances) inside a block.
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    found = frozenset(
        name
        for name, weight in trained.items()
        if name.startswith(within)
        and weight.ndim == 2
        and 1 not in weight.shape
        and id(weight) not in embeddings
    )
    if not found:
        raise fault("unfit_training", key="optim", value="muon", **because("no_matrices"))
    return found
