"""Weights that lie in a model's files and that its configuration has no place for.

    refuse_layers(model, names, ref="mine")     "encoder.layer.11...", where config.json says num_hidden_layers: 6
    left_over(model, names)                     ["layers.0.self_attn.q_proj.bias"], where it says attention_bias: false

That a head of another task is left out is as it should be.  A layer like those that were read is another matter: part
of the model would be thrown away, and without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.why import reason

COMPUTED = (".inv_freq", ".masked_bias", ".position_ids")
"""Tables that older releases of Transformers saved and newer ones compute."""


def refuse_layers(model: Any, names: Iterable[str], *, ref: str) -> None:
    """Is one of these unread weights named like a read one, but for the number of its layer?

    Raises:
        WeitiaoError: `unreadable_model`.
    """
    # A file of the body alone has names without the body's own, and one with a head has them with it.
    front = f"{model.base_model_prefix}."
    kinds = {_kind(name.removeprefix(front)) for name, _ in model.named_parameters()}
    layers = sorted(
        name for name in names if re.search(r"\.\d+\.", name) and _kind(name.removeprefix(front)) in kinds
    )
    if layers:
        why = reason("no_place_for_weights", count=len(layers), names=", ".join(layers[:2]))
        raise fault("unreadable_model", ref=ref, why=why)


def left_over(model: Any, names: Iterable[str]) -> list[str]:
    """Those of the unread weights that belong to a part which the model has: a bias, or a norm inside of a layer, that
    config.json does not speak of.  A head of another task is a part of its own.
    """
    front = f"{model.base_model_prefix}."
    body = {name.removeprefix(front) for name, _ in model.named_modules()} - {""}
    found = []
    for name in names:
        own = name.removeprefix(front)
        layer = re.match(r"(.*?\.\d+)\.", own)  # down to the number of the layer
        there = own.rpartition(".")[0] in body or (layer is not None and layer[1] in body)
        if there and not name.endswith(COMPUTED):
            found.append(name)
    return sorted(found)


def explain(model: Any, lacking: Iterable[str], names: Iterable[str], *, ref: str) -> WeitiaoError:
    """The error for a body that is not there whole.

    Args:
        model: as it was opened.
        lacking: its weights that the files do not have.
        names: weights of the files that it has no place for.
        ref: its name.
    """
    lacking, names = sorted(lacking), set(names)
    # Some heads of Transformers call the body otherwise than the family's files do, and so read none of it
    # (LlamaForQuestionAnswering: `transformer`, the files: `model`).
    ours, theirs = model.base_model_prefix, model.base_model.base_model_prefix
    if ours != theirs and f"{theirs}.{lacking[0].removeprefix(f'{ours}.')}" in names:
        return fault("head_reads_no_body", ref=ref, head=type(model).__name__, ours=ours, theirs=theirs)
    twin = next((name for name in sorted(names) if name.endswith(f".{lacking[0]}")), "")
    hint = reason("named_otherwise", twin=twin) if twin else ""
    return fault("lost_weights", ref=ref, count=len(lacking), names=", ".join(lacking[:4]), hint=hint)


def _kind(name: str) -> str:
    return re.sub(r"\d+", "#", name)
