"""A watcher of the user's, named in a recipe.

own("patience.py:TooSlow")  ->  the watcher that the class makes
"""

from __future__ import annotations

from weitiao.core.errors import fault
from weitiao.core.function import opened
from weitiao.core.why import reason
from weitiao.train.loop import Watcher

KEY = "train.watchers"


def own(named: str) -> Watcher:
    """The watcher of that name, made without arguments.

    Raises:
        WeitiaoError: `no_such_function`; `bad_watcher` when making it fails, or makes something else.
    """
    make = opened(named, key=KEY)
    try:
        made = make()
    except Exception as error:  # the user's own code
        why = reason("error_of_kind", type=type(error).__name__, error=error)
        raise fault("bad_watcher", key=KEY, watcher=named, why=why) from error
    if not isinstance(made, Watcher):
        raise fault("bad_watcher", key=KEY, watcher=named, why=reason("no_watcher", type=type(made).__name__))
    return made
