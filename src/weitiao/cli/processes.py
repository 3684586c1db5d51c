"""One command, several processes: torch's elastic launcher around `weitiao train`.

share_out(["train", "recipe.yaml"], processes=2, max_restarts=3)  ->  the exit code

When one of them dies, all are started anew and go on from the last checkpoint.  When one of them ends with an error
that a person must see to, it leaves a note, and those that are started after it end at once.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from weitiao.core import threads
from weitiao.core.errors import fault

NOTE = (
    "WEITIAO_ENDED"  # names the file in which the first process that ends with an error leaves its exit code
)
SIGNALS = (
    "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"  # torch's own, and what schedulers send before the time is over
)
SAVING_S = 600  # a process that is told to stop may still finish its step and write a checkpoint


def share_out(words: Sequence[str], *, processes: int, max_restarts: int) -> int:
    """Run `weitiao` with these words in several processes on this machine.

    Raises:
        WeitiaoError: `process_failed`, when one dies more often than `max_restarts`.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    threads.share(os.environ, processes)
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[NOTE] = str(note := Path(folder) / "ended")
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=f"weitiao-{os.getpid()}",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=max_restarts,
            signals_to_handle=SIGNALS,
            shutdown_timeout=SAVING_S,
        )
        try:
            elastic_launch(config, sys.executable)("-m", "weitiao", *words)
        except ChildFailedError as error:
            if not note.exists():
                first = error.get_first_failure()[1]
                raise fault(
                    "process_failed", process=first.local_rank, ended=first.exitcode, restarts=max_restarts
                ) from None
        except SignalException as stopped:
            return note_code(note) or 128 + int(stopped.sigval)
        finally:
            del os.environ[NOTE]  # it was for the processes that are started here
        return note_code(note)


def note_code(note: Path) -> int:
    """The exit code in a note; 0 when nobody left one."""
    return int(note.read_text(encoding="utf-8") or 0) if note.exists() else 0


def ended() -> int:
    """The exit code with which another process of this command has ended already; 0 when none has."""
    return note_code(Path(os.environ[NOTE])) if NOTE in os.environ else 0


def may_speak(code: int) -> bool:
    """Is this process the first to end with an error?  All others would say the same again."""
    if NOTE not in os.environ:
        return True
    try:
        with Path(os.environ[NOTE]).open("x", encoding="utf-8") as note:
            note.write(str(code))
    except FileExistsError:
        return False
    return True
