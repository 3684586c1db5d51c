"""What could go wrong in a run and is not refused, said before its first step.

warnings(recipe, method, labels of the rows, validation=40, total=280)  ->  sentences
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from weitiao.core.contracts import Method
from weitiao.core.notices import notice
from weitiao.core.recipe import Recipe


def warnings(
    recipe: Recipe, method: Method, labels: Mapping[str, Mapping[str, int]], *, validation: int, total: int
) -> Iterator[str]:
    """One sentence a thing.

    Args:
        recipe: resolved.
        method: what trains.
        labels: side -> label -> rows, where rows have labels.
        validation: how many validation rows there are.
        total: steps of the whole run.
    """
    from weitiao.train import optim

    settings = recipe.train
    warmup = optim.count(settings.warmup_steps, total)
    if warmup >= total > 1:
        reached = optim.schedule(settings).share(total - 1, total=total, peak=settings.learning_rate or 1.0)
        warmup_steps = f"{settings.warmup_steps:g}"
        yield notice("warming_up_all_along", warmup=warmup_steps, total=total, share=f"{reached:.0%}")
    if method.listens and (not validation or settings.eval_strategy == "no"):
        yield notice("nobody_listens", method=recipe.method["name"])
    for side in ("validation", "test"):
        found = labels.get(side, {})
        if len(found) == 1 and len(labels["train"]) > 1:
            ((label, rows),) = found.items()
            yield notice("one_label", rows=rows, side=side, label=label)
