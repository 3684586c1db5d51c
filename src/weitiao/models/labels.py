"""The outputs of a base that labels texts already: matched to the task's labels by name.

named(config)                  ->  ("negative", "positive"), or () where they have no names
fit(model, report, base, ...)  ->  how many outputs were left out, when new ones had to be drawn
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from weitiao.models import folders
from weitiao.models.opening import opened, resolve
from weitiao.models.quiet import quiet

if TYPE_CHECKING:
    from weitiao.models.assets.fetch import Progress

UNNAMED = re.compile(r"LABEL_\d+")  # what Transformers calls an output that nobody has named


def named(config: Any) -> tuple[str, ...]:
    """Names of a configuration's outputs in their order; none when they are numbers' only."""
    names = tuple(str(name) for _, name in sorted(config.id2label.items()))
    return () if any(map(UNNAMED.fullmatch, names)) else names


def outputs(ref: str, *, progress: Progress | None = None) -> tuple[str, ...]:
    """Names of a base's outputs in their order; none when it has none, or numbers only.

    Raises:
        WeitiaoError: as `load`.
    """
    source = resolve(ref, progress=progress)
    with opened(ref), quiet():
        return named(folders.configuration(source, ref=ref))


def same(ours: Iterable[str], theirs: Iterable[str]) -> bool:
    """Are these the same names in the same order, but for case?"""
    return [name.casefold() for name in ours] == [name.casefold() for name in theirs]


def fit(model: Any, report: Mapping[str, Any], base: Any, *, head: frozenset[str]) -> int:
    """Draw new outputs where those of the base mean something else; how many it had, 0 when they stay or are new anyway.

    Args:
        model: as loaded, with the task's names in its configuration.
        report: what Transformers found missing and of another size.
        base: the configuration as it was saved.
        head: names of the parameters of the head.
    """
    shapes = {name: tuple(shape) for name, shape, _ in report["mismatched_keys"] if name in head}
    if shapes:
        return next(iter(shapes.values()))[0]
    count = len(model.config.id2label)
    # The last layer has an output a label.
    last = [name for name in head if model.get_parameter(name).shape[0] == count]
    if not last or set(last) & set(report["missing_keys"]) or same(named(model.config), named(base)):
        return 0
    for name in sorted(last):
        weight = model.get_parameter(name).data
        if weight.dim() > 1:
            # As large as those that it replaces: a family may begin with others than `initializer_range` says.
            std = float(weight.std()) if weight.numel() > 1 else 0.0
            nn.init.normal_(weight, std=std or getattr(model.config, "initializer_range", None) or 0.02)
        else:
            # How seldom anything is there at all is known, of whatever label (the prior of a focal loss, Lin et al. 2017, 4.1);
            # under a softmax it is nothing.
            nn.init.constant_(weight, float(weight.mean()))
    return count
