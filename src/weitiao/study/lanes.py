"""Trials side by side, each in a process of its own: so many lanes, and whoever comes next takes the one that is free.

go(trials, workers=2, tell=...)     until there is nothing to begin

More lanes come and go on other machines (`study.elsewhere`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from filelock import FileLock, Timeout

from weitiao.core.run import RunFolder
from weitiao.stages.events import Tell
from weitiao.study.child_process import LOOK_S, Apart, Relay
from weitiao.study.elsewhere import Floor, Start
from weitiao.study.fork_server import ForkServer, needed
from weitiao.study.trials import SHARED, Entry, Trials


def go(trials: Trials, *, workers: int, minutes: float | None, write: Callable[[], None], tell: Tell) -> int:
    """Train what is to be trained.

    Args:
        trials: which say what comes next.
        workers: lanes.
        minutes: none is begun or gone on with afterwards.
        write: keeps the state of the trials.
        tell: hears how each goes.

    Returns:
        The signal that ended it; 0 where it came to its end.
    """
    until = time.monotonic() + 60 * minutes if minutes else float("inf")
    with ExitStack() as held, Relay() as relay:
        known = needed()
        own: list[tuple[int | str, Start]] = [
            (lane, held.enter_context(ForkServer(known=known)).start) for lane in range(workers)
        ]
        floor = held.enter_context(Floor(trials.folder))
        busy: dict[int | str, tuple[Entry, Apart]] = {}
        try:
            while True:
                waits = False
                for lane, start in [*own, *floor.free()]:
                    if lane in busy or relay.caught or time.monotonic() >= until:
                        continue
                    entry = trials.next({one["number"] for one, _ in busy.values()})
                    if entry is None:
                        break
                    write()
                    if waits := _elsewhere(trials.run(entry)):
                        break
                    tell("entrant", label=entry["label"], place=entry["number"] + 1, all=trials.count)
                    busy[lane] = entry, _begin(trials, entry, relay, start)
                if not busy and not waits:
                    if not relay.caught and time.monotonic() < until:
                        trials.close()  # of those that time or a signal has ended, the others go on some day
                    return relay.caught
                if not busy:
                    time.sleep(LOOK_S)
                for lane, (entry, apart) in list(busy.items()):
                    if apart.ended(LOOK_S / len(busy)):
                        del busy[lane]
                        trials.note(entry, apart.outcome())
                        if relay.caught and entry["failure"]:
                            entry["failure"] = None  # whoever was asked to stop has not failed
                        write()
                        tell("trial_ended", entry=entry, goals=trials.goals)
                    elif fact := apart.log.newest():
                        _step(tell, trials, entry, fact)
        finally:
            for _, apart in busy.values():
                apart.stop()
                apart.outcome()


def _begin(trials: Trials, entry: Entry, relay: Relay, start: Start) -> Apart:
    pause = entry["until"]
    options = ["--pause-after", str(pause)] if pause is not None else []
    options += ["--shared", str((trials.folder / SHARED).absolute())]
    path = trials.begin(entry)
    return Apart.begin(path, label=entry["label"], relay=relay, start=start, options=options)


def _elsewhere(run: RunFolder) -> bool:
    """Is it being trained still, by a process that has outlived the search which began it?"""
    if not run.path.is_dir():
        return False
    lock = FileLock(run.path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _step(tell: Tell, trials: Trials, entry: Entry, fact: Mapping[str, Any]) -> None:
    settings = trials.recipe(entry).train
    done = max(fact["epoch"] / settings.num_train_epochs, fact["step"] / (settings.max_steps or 1e12))
    tell("step", label=entry["label"], done=min(done, 1.0), loss=fact["loss"])
