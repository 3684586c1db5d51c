"""The textbook's table: what a number of parameters needs to be trained with Adam, no model looked at.

    rule_of_thumb(65e9, method="full", precision="mixed")
    ->  {"weights": 130e9, "gradients": 130e9, "master": 260e9, "first_moment": 260e9, "second_moment": 260e9}

Mixed precision is that of Micikevicius et al. 2018 (arXiv 1710.03740): weights and gradients in half precision, a master
copy of the weights and Adam's two moments in float32 (16 bytes a parameter, as Rajbhandari et al. 2020 count them,
arXiv 1910.02054).  Activations depend on the rows, and are not in it.
"""

from __future__ import annotations

import math

from weitiao.core import registry
from weitiao.core.errors import fault
from weitiao.core.why import because

PRECISIONS = ("mixed", "fp32")
FLOAT32, HALF = 4, 2  # bytes
PACKED = (4 + 0.127) / 8
"""Bytes of a weight in NF4, doubly quantised (Dettmers et al. 2023, arXiv 2305.14314, section 3)."""


def rule_of_thumb(
    params: float, *, method: str = "full", precision: str = "mixed", trained: float | None = None
) -> dict[str, float]:
    """Bytes by kind.

    Args:
        params: parameters of the model.
        method: `full`, or any other, whose frozen weights are then only held.
        precision: `mixed` or `fp32`.
        trained: how many parameters train; default: all, with `full` alone.

    Raises:
        WeitiaoError: `unknown_name` for the method, `wrong_usage` for numbers that make no sense.
    """
    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise fault("wrong_usage", **because("precision_unknown", precision=precision, known=known))
    kind = registry.build("method", {"name": method})
    for name, number in (("--params", params), ("--trained", trained)):
        if number is not None and not 1 <= number < math.inf:
            raise fault("wrong_usage", **because("no_count", name=name, number=f"{number:g}"))
    if method == "full":
        trained = params if trained is None else trained
    if trained is None:
        raise fault("wrong_usage", **because("trained_unsaid", method=method))
    if trained > params or (method == "full" and trained != params):
        facts = {"method": method, "trained": f"{trained:g}", "params": f"{params:g}"}
        raise fault("wrong_usage", **because("trains_not_so_many", **facts))
    half = HALF if precision == "mixed" else FLOAT32
    frozen = params - trained
    return {
        "weights": frozen * (PACKED if kind.base_bits == 4 else half) + trained * half,
        "gradients": trained * half,
        "master": trained * FLOAT32 if precision == "mixed" else 0.0,
        "first_moment": trained * FLOAT32,
        "second_moment": trained * FLOAT32,
    }
