"""Who moves the weights, in which groups, and how fast at which step (docs/optimisers.md).

resolved(settings, ...)             ->  what the recipe left open about them
build(model, settings, ...)         ->  the optimiser, its parameters in groups
schedule(settings).apply(optimizer, step, ...)  ->  the learning rate of that step, put into every group
"""

from weitiao.train.optim.groups import groups
from weitiao.train.optim.optimizers import build, resolved
from weitiao.train.optim.schedules import Schedule, count, schedule

__all__ = ["Schedule", "build", "count", "groups", "resolved", "schedule"]
