"""Numbers of a base that are none: NaN and infinities, which an export in float16 or a broken training leaves.

    refuse_unfinite("models/base", model, unread=[...])     nothing, or `not_finite_weights` with the first weight

Every number is looked at once, where it lies (6 GB a second on one core): no weight is copied.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from weitiao.core.errors import fault
from weitiao.models import folders
from weitiao.models.unread import COMPUTED

NARROW = ("float8", "float4")
"""Kinds of number that torch compares nothing of."""


def refuse_unfinite(source: str, model: Any, *, ref: str, unread: Collection[str]) -> None:
    """Is every weight of a folder that the model reads made of numbers?

    Args:
        source: the folder; a hub id is not looked at.
        model: as it was opened, with or without its weights.
        ref: the model's name in errors.
        unread: names of weights in the files that it does not read.

    Raises:
        WeitiaoError: `not_finite_weights`.
    """
    from safetensors import safe_open

    # A mask that is kept beside the weights is infinite by right.
    passed = {*unread, *(name for name, _ in model.named_buffers())}
    ignored = getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()
    for path in folders.weight_files(source):
        with safe_open(path, "pt") as file:
            for name in list(file.keys()):
                if (
                    name in passed
                    or name.endswith(COMPUTED)
                    or any(re.search(each, name) for each in ignored)
                ):
                    continue
                weight = file.get_tensor(name)
                if any(kind in str(weight.dtype) for kind in NARROW):
                    weight = weight.float()
                if not weight.is_floating_point() or not weight.numel():
                    continue
                # One pass and no copy: NaN is kept by both, and an infinity is one of them.
                least, most = weight.aminmax()
                if not bool(least.isfinite() & most.isfinite()):
                    count = int(weight.isfinite().logical_not().sum())
                    raise fault(
                        "not_finite_weights",
                        ref=ref,
                        name=name,
                        count=count,
                        total=weight.numel(),
                        path=path.name,
                    )
