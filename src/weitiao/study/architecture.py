"""How the tuned model is built, as part of what is searched: blocks kept, where changes go, and of what rank.

    {"architecture": "usual", ...}                   ->  settled(...)  ->  what suits model and method, beside what else is asked
    {"model.num_hidden_layers": [3, 6]}              ->  settled(...)  ->  {"model": ["minilm-l6", "runs/s/bases/minilm-l6-3-layers"]}
    plan.bases                                       ->  make(...)     ->  these folders

A base of fewer blocks is a folder of its own, so that adapters, PEFT, exports and servers know it like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weitiao.core import registry
from weitiao.core.contracts import Method, Task
from weitiao.core.errors import WeitiaoError, fault
from weitiao.core.recipe import Recipe
from weitiao.core.why import reason

if TYPE_CHECKING:
    from torch import nn

    from weitiao.models.anatomy import Block

WORD = "architecture"
DEPTH = "model.num_hidden_layers"
BASES = "bases"
HIGH = 32
"""Rank of the blocks that are given another one."""


def usual(recipe: Recipe, task: Task, *, deep: int) -> dict[str, Any]:
    """What suits a model and its method.

    Args:
        recipe: resolved.
        task: what is learnt.
        deep: blocks that the base has; 0 where they cannot be cut.
    """
    from weitiao.models import anatomy, load

    bare = load.skeleton(recipe.model, task)
    kind: type[Method] = registry.entry("method", recipe.method["name"]).kind
    own, space = registry.settings(kind), {f"method.{key}": values for key, values in kind.space.items()}
    depths = sorted({max(2, ceil(deep / 2)), max(2, ceil(deep * 3 / 4)), deep}) if deep > 2 else []
    if depths:
        space[DEPTH] = depths
    try:
        blocks = anatomy.blocks(bare.model)
    except WeitiaoError:  # a family whose blocks are not known: all layers alike
        blocks = []
    if blocks and "target_modules" in own and isinstance(recipe.method.get("target_modules"), str):
        space["method.target_modules"] = list(
            dict.fromkeys(["all-linear", *_placements(bare.model, blocks[0])])
        )
    if blocks and "rank_pattern" in own and (least := (depths or [len(blocks)])[0]) > 1:
        named = blocks[0].name.rpartition(".")[0].rpartition(".")[2]
        low = "|".join(str(place) for place in range(least // 2))
        lower, upper = f"{named}[.]({low})[.].*", f"{named}[.](?!({low})[.]).*"
        space["method.rank_pattern"] = [{}, {lower: HIGH}, {upper: HIGH}]
    if bare.head:
        space["train.head_learning_rate_ratio"] = {"low": 1.0, "high": 10.0, "log": True}
    return space


def _placements(model: nn.Module, block: Block) -> list[str]:
    """Expressions for the layers of attention, and for those of the feed-forward; none where either is not to be told."""
    from weitiao.models.wrap import plain

    try:
        before, last = block.feed_forward(model)
    except WeitiaoError:  # experts, or a family that is not known
        return []
    from weitiao.models import linear

    wide = [*before, last]
    beside = [
        f"{block.name}.{name}"
        for name, module in block.module.named_modules()
        if linear.is_linear(module) and f"{block.name}.{plain(name)}" not in wide
    ]
    if not beside:
        return []
    ways = ("|".join(name[len(block.name) + 1 :] for name in names) for names in (beside, wide))
    return [f".*[.][0-9]+[.]({way})" for way in ways]


def settled(space: Mapping[str, Any], recipe: Recipe, task: Task) -> tuple[dict[str, Any], dict[str, int]]:
    """The space in keys of recipes, and folder -> blocks of the bases that it asks for.

    Args:
        space: as it is asked for.
        recipe: resolved.
        task: what is learnt.

    Raises:
        WeitiaoError: `bad_space`.
    """
    from weitiao.models import fewer_blocks

    if WORD not in space and DEPTH not in space:
        return dict(space), {}
    deep = fewer_blocks.depth(recipe.model, task)
    found = dict(space)
    if (word := found.pop(WORD, None)) is not None:
        if word != "usual":
            raise fault("bad_space", key=WORD, why=reason("space_architecture"))
        found = {**usual(recipe, task, deep=deep), **found}
        if "model" in space or "method" in space:  # each base and method has blocks and settings of its own
            raise fault("bad_space", key=WORD, why=reason("space_one_model"))
    if DEPTH not in found:
        return found, {}
    if "model" in space:
        raise fault("bad_space", key=DEPTH, why=reason("space_one_model"))
    asked = _counts(found.pop(DEPTH))
    if not asked or not all(0 < count <= deep for count in asked):
        raise fault("bad_space", key=DEPTH, why=reason("space_depth", model=recipe.model, depth=deep))
    place = Path(recipe.output_dir) / BASES
    bases = {
        str(place / f"{Path(recipe.model).name}-{count}-layers"): count for count in asked if count < deep
    }
    found["model"] = [*bases, *([recipe.model] if deep in asked else [])]
    return found, bases


def _counts(given: Any) -> list[int]:
    """Whole numbers that are listed, or all of a range; none where it says anything else."""
    parts = dict(given) if isinstance(given, Mapping) else {"choices": given}
    if "choices" not in parts:
        ends = [parts.pop("low", None), parts.pop("high", None), parts.pop("step", 1)]
        low, high, step = (one if type(one) is int else 0 for one in ends)
        parts = {"choices": list(range(low, high + 1, step)) if step > 0 else [], **parts}
    values = parts.pop("choices")
    whole = isinstance(values, list) and not parts and all(type(one) is int for one in values)
    return sorted(set(values)) if whole else []


def make(bases: Mapping[str, int], ref: str, task: Task) -> None:
    """Write the bases that are not there yet.

    Args:
        bases: folder -> blocks.
        ref: the base that they are cut from.
        task: what is learnt.

    Raises:
        WeitiaoError: as `fewer_blocks.cut`.
    """
    from weitiao.models import fewer_blocks

    for folder, count in bases.items():
        fewer_blocks.cut(ref, count, Path(folder), task)
