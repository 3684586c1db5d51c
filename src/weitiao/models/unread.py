"""Weights that lie in a model's files and that its configuration has no place for.

    refuse_layers(model, names, ref="mine")     "encoder.layer.11...", where config.json says num_hidden_layers: 6

That a head of another task is left out is as it should be.  A layer like those that were read is another matter: part
of the model would be thrown away, and without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from weitiao.core.errors import fault


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
        why = f"config.json has no place for {len(layers)} of its weights: it names fewer layers than the files hold"
        raise fault("unreadable_model", ref=ref, why=f"{why} ({', '.join(layers[:2])})")


def _kind(name: str) -> str:
    return re.sub(r"\d+", "#", name)
